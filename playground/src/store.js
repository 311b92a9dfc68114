// A value that components watch.
import { useSyncExternalStore } from 'react'

export function createStore(value) {
  const watchers = new Set()
  return {
    get: () => value,
    set(next) {
      value = next
      for (const watch of watchers) watch()
    },
    watch(watch) {
      watchers.add(watch)
      return () => watchers.delete(watch)
    },
  }
}

export const useStore = (store) => useSyncExternalStore(store.watch, store.get)

// kept is a store whose value survives a reload; null forgets it.
export function createKeptStore(storage, key, fallback) {
  let first = fallback
  try {
    first = JSON.parse(storage.getItem(key)) ?? fallback
  } catch {
    // Storage is full or forbidden: the value lives as long as the page.
  }
  const store = createStore(first)
  store.watch(() => {
    try {
      if (store.get() === null) storage.removeItem(key)
      else storage.setItem(key, JSON.stringify(store.get()))
    } catch {
      // As above.
    }
  })
  return store
}
