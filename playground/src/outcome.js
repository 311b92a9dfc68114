// How the last operation of each tab went: {status, took, answer} by the tab's id,
// and nothing while it is under way.
import { createStore } from './store.js'

export const outcomes = createStore({})

// picturesIn returns the addresses of pictures in an answer, at most four.
export function picturesIn(answer) {
  const found = new Set()
  const walk = (value) => {
    if (typeof value === 'string' && value.includes('/avatars/')) found.add(value)
    else if (value && typeof value === 'object') Object.values(value).forEach(walk)
  }
  walk(answer?.data)
  return [...found].slice(0, 4)
}

// local is a picture's address on the server that this page came from, seen from
// the page: that server may be known by other names, and below a path. It is
// undefined for addresses that are not like those of a server: this page loads
// nothing from elsewhere.
export function local(address) {
  const name = /^[^?#]*\/avatars\/([^/?#]+)$/.exec(address)?.[1]
  return name && `../avatars/${name}`
}
