// What stands in the variables as {{name}} is put in when they are sent, so that
// an operation can be run again and no token has to be pasted.

export function nonce() {
  return Array.from(crypto.getRandomValues(new Uint8Array(12)), (byte) => byte.toString(16).padStart(2, '0')).join('')
}

export const sandboxCode = (person) => `${person}~${nonce()}`

export const defaultPerson = 'ming'

const values = {
  nonce,
  requestId: nonce,
  person: (session) => session?.person ?? defaultPerson,
  refreshToken: (session) => session?.refreshToken ?? '',
}

// fill returns variables with all placeholders put in.
export function fill(variables, session) {
  if (typeof variables === 'string') {
    return variables.replaceAll(/\{\{(\w+)\}\}/g, (text, name) => values[name]?.(session) ?? text)
  }
  if (Array.isArray(variables)) return variables.map((value) => fill(value, session))
  if (variables === null || typeof variables !== 'object') return variables
  return Object.fromEntries(Object.entries(variables).map(([name, value]) => [name, fill(value, session)]))
}
