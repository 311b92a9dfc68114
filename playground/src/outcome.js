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

// local is a picture's address on the server that this page came from: that one
// may be known by other names. It is undefined for pictures that lie elsewhere,
// as on a CDN: this page loads nothing from there.
export function local(address) {
  const url = URL.parse ? URL.parse(address, location.origin) : new URL(address, location.origin)
  return url?.pathname.startsWith('/avatars/') ? url.pathname : undefined
}
