// What stands in the variables as {{name}} is put in when they are sent, so that
// an operation can be run again and no token has to be pasted.

export function nonce() {
  return Array.from(crypto.getRandomValues(new Uint8Array(12)), (byte) => byte.toString(16).padStart(2, '0')).join('')
}

export const sandboxCode = (person) => `${person}~${nonce()}`

export const defaultPerson = 'ming'

// phone is a number that is a person's own: a number belongs to one account.
function phone(session) {
  const person = session?.person ?? session?.user?.id ?? defaultPerson
  const hash = [...person].reduce((sum, letter) => (Math.imul(sum, 31) + letter.codePointAt(0)) >>> 0, 7)
  return `138${String(hash % 1e8).padStart(8, '0')}`
}

const values = {
  nonce,
  requestId: nonce,
  phone,
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
