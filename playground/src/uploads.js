// The files that were chosen for variables, by tab and path.
import { holds } from './document.js'
import { createStore } from './store.js'

const files = createStore({})
let active = { tab: '', path: '' }

export const chosen = {
  store: files,
  key: (tab, path) => `${tab} ${path}`,
  put(tab, path, file) {
    const { [this.key(tab, path)]: _, ...rest } = files.get()
    files.set(file ? { ...rest, [this.key(tab, path)]: file } : rest)
  },
  // follow notes which tab is open and where its operation takes a file.
  follow(tab, path) { active = { tab, path } },
  tab: () => active.tab,
  // wanted tells whether variables have a place for the open tab's file. Without one
  // null goes there, which removes what is there.
  wanted: (variables) => Boolean(active.path) && holds({ ...variables }, active.path),
  // current is the file for the open tab's operation, as {path, file}, if there is one.
  current() {
    const file = active.path && files.get()[this.key(active.tab, active.path)]
    return file ? { path: active.path, file } : undefined
  },
}
