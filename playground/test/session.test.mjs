// Who is signed in, on a bad network: without a browser, against a server that
// loses answers.
import assert from 'node:assert/strict'
import { after, beforeEach, test } from 'node:test'

const storage = () => {
  const items = new Map()
  return { getItem: (k) => items.get(k) ?? null, setItem: (k, v) => items.set(k, v), removeItem: (k) => items.delete(k) }
}
globalThis.sessionStorage = storage()
const Channel = globalThis.BroadcastChannel
const channels = []
globalThis.BroadcastChannel = class extends Channel {
  constructor(name) {
    super(name)
    channels.push(this)
  }
}
after(() => channels.forEach((channel) => channel.close()))
const { identify, notice, refresh, run, session, signIn, signOut } = await import('../src/session.js')

// The server: tokens are counted, and only the newest is taken. held is what the next
// answer waits for.
let sent, newest, lose, dead, held
const later = () => new Promise((resolve) => { setTimeout(resolve, 5) })
const tokens = () => {
  newest++
  return { accessToken: `a${newest}`, refreshToken: `r${newest}`, accessTokenExpiresAt: new Date(Date.now() + 900_000).toISOString() }
}
const refused = { errors: [{ extensions: { code: 'UNAUTHENTICATED' } }], data: { me: null } }

function answer(query, variables, token) {
  if (query.includes('login(')) return { data: { login: { tokens: tokens() } } }
  if (query.includes('refreshSession')) return dead ? refused : { data: { refreshSession: { tokens: tokens() } } }
  if (dead || token !== `Bearer a${newest}`) return refused
  if (query.includes('logout')) {
    dead = true
    return { data: { logout: { ended: 1 } } }
  }
  return { data: { me: { id: token } } }
}

globalThis.fetch = async (_, { headers, body, signal }) => {
  signal?.throwIfAborted()
  const { query, variables } = JSON.parse(body)
  sent.push({ query, variables })
  const text = JSON.stringify(answer(query, variables, headers.Authorization))
  const wait = held ?? later()
  held = null
  await wait
  signal?.throwIfAborted()
  if (lose > 0) {
    lose--
    throw new TypeError('network')
  }
  return { status: 200, headers: new Headers({ Date: new Date().toUTCString() }), text: async () => text }
}

beforeEach(() => {
  [sent, newest, lose, dead, held] = [[], 0, 0, false, null]
  session.set(null)
  notice.set(null)
})

const me = () => run({ query: 'query Me { me { id } }' }, { fields: ['me'] })
const count = (text) => sent.filter(({ query }) => query.includes(text)).length

test('many that find the token expired wait for one refresh', async () => {
  await signIn('ming')
  session.set({ ...session.get(), expires: Date.now() - 1 })
  for (const { answer: { data } } of await Promise.all(Array.from({ length: 20 }, me))) assert.equal(data.me.id, 'Bearer a2')
  assert.equal(count('refreshSession'), 1)
  assert.deepEqual(JSON.parse(sessionStorage.getItem('miniprofile.session')).refreshToken, 'r2')
})

test('many whose token the server refuses wait for one refresh, and repeat once', async () => {
  await signIn('ming')
  session.set({ ...session.get(), accessToken: 'spoiled' })
  for (const { answer: { data } } of await Promise.all(Array.from({ length: 20 }, me))) assert.equal(data.me.id, 'Bearer a2')
  assert.equal(count('refreshSession'), 1)
  assert.equal(count('query Me'), 40)
})

test('who hears late that the token is refused takes the one that is there by now', async () => {
  await signIn('ming')
  session.set({ ...session.get(), accessToken: 'spoiled' })
  const late = me()
  session.set({ ...session.get(), accessToken: 'a1' })
  assert.equal((await late).answer.data.me.id, 'Bearer a1')
  assert.equal(count('refreshSession'), 0)
})

test('a refresh whose answer is lost is repeated and signs nobody out', async () => {
  await signIn('ming')
  session.set({ ...session.get(), expires: Date.now() - 1 })
  lose = 1
  assert.ok((await me()).answer.data.me.id)
  assert.equal(count('refreshSession'), 2)
})

test('a dead session is forgotten, once that is certain', async () => {
  await signIn('ming')
  lose = 9
  await assert.rejects(me())
  assert.ok(session.get(), 'a network that is away signs nobody out')
  lose = 0
  dead = true
  await me()
  assert.equal(session.get(), null)
  assert.equal(sessionStorage.getItem('miniprofile.session'), null)
})

test('a login whose answer is lost is repeated with the same code and request id', async () => {
  lose = 1
  assert.ok(await signIn('hong'))
  const [first, second] = sent.filter(({ query }) => query.includes('login(')).map(({ variables }) => variables.input)
  assert.deepEqual(first, second)
  assert.match(first.code, /^hong~/)
  assert.ok(first.requestId.length >= 16)
})

test('what was asked for one person says nothing of the next', async () => {
  await signIn('ming')
  let tell
  held = new Promise((resolve) => { tell = resolve })
  const asked = identify()
  await signIn('hong')
  tell()
  await asked
  assert.equal(session.get().person, 'hong')
  assert.equal(session.get().user.id, 'Bearer a2')
})

test('the app that a login named is known for as long as its session', async () => {
  await signIn('ming', 'wxone')
  await refresh()
  assert.deepEqual([session.get().appId, session.get().refreshToken], ['wxone', 'r2'])
  const login = { query: 'mutation($input: LoginInput!) { login(input: $input) { created } }', variables: { input: { code: 'hong~1', appId: 'wxtwo' } } }
  await run(login, { fields: ['login'] })
  assert.deepEqual([session.get().appId, session.get().person], ['wxtwo', 'hong'])
  await signIn('ming')
  assert.equal(session.get().appId, undefined)
})

test('signing out ends it here, whatever the server says', async () => {
  await signIn('ming')
  lose = 9
  await signOut()
  assert.equal(session.get(), null)
})

test('signing out waits for nobody', async () => {
  await signIn('ming')
  const done = signOut()
  assert.equal(session.get(), null)
  await done
  assert.ok(dead, 'the server is told')
})

test('signing out with a token that is too old ends the session on the server too', async () => {
  await signIn('ming')
  session.set({ ...session.get(), accessToken: 'too old' })
  await signOut()
  assert.ok(dead)
  assert.equal(session.get(), null)
})

test('tokens that come after signing out are dropped', async () => {
  await signIn('ming')
  const query = 'mutation Refresh($input: RefreshSessionInput!) { refreshSession(input: $input) { tokens { accessToken } } }'
  const late = run({ query, variables: { input: { refreshToken: '{{refreshToken}}' } } }, { fields: ['refreshSession'] })
  const out = signOut()
  await Promise.all([late, out])
  assert.equal(session.get(), null)
})

test('a tab that was duplicated learns of renewed tokens, and a stranger does not', { timeout: 60_000 }, async () => {
  const otherTab = async (name, kept) => {
    globalThis.sessionStorage = storage()
    if (kept) sessionStorage.setItem('miniprofile.session', kept)
    return import(`../src/session.js?${name}`)
  }
  await signIn('ming')
  session.set({ ...session.get(), user: { id: 'x' } })
  const duplicate = await otherTab('duplicate', JSON.stringify(session.get()))
  const stranger = await otherTab('stranger', JSON.stringify({ ...session.get(), refreshToken: 'of somebody else' }))
  const nobody = await otherTab('nobody')
  const renewed = (tab, token) => new Promise((resolve) => {
    tab.session.watch(() => tab.session.get()?.refreshToken === token && resolve())
  })
  for (const token of ['r2', 'r3']) {
    const learned = renewed(duplicate, token)
    assert.ok(await refresh())
    await learned
  }
  const heard = renewed({ session }, 'r4')
  assert.ok(await duplicate.refresh())
  await heard
  assert.deepEqual([session.get().accessToken, session.get().user.id], ['a4', 'x'])
  assert.equal(stranger.session.get().refreshToken, 'of somebody else')
  assert.equal(nobody.session.get(), null)
})

test('what is stopped is given up, but for the refresh that others wait for', async () => {
  await signIn('ming')
  session.set({ ...session.get(), expires: Date.now() - 1 })
  const controller = new AbortController()
  const stopped = run({ query: 'query Me { me { id } }' }, { fields: ['me'], signal: controller.signal })
  controller.abort()
  await assert.rejects(stopped, { name: 'AbortError' })
  assert.equal(count('query Me'), 0)
  assert.equal(session.get().refreshToken, 'r2')
})

test('an Authorization of one\'s own is left alone', async () => {
  await signIn('ming')
  session.set({ ...session.get(), accessToken: 'spoiled' })
  const { answer: { data } } = await run({ query: 'query Me { me { id } }' }, { fields: ['me'], headers: { authorization: 'Bearer mine' } })
  assert.equal(data.me, null)
})
