// Who is signed in, in this tab of the browser and no longer than it lives.
import { createKeptStore, createStore } from './store.js'
import { fill, nonce, sandboxCode } from './placeholders.js'

// endpoint is seen from the page: the server may be below a path.
export const endpoint = '../graphql'

// session is null, or {accessToken, expires, refreshToken, person, appId, user};
// expires is by this browser's clock, appId is there where the login named one.
export const session = createKeptStore(sessionStorage, 'miniprofile.session', null)

// notice is what went wrong last with signing in, or null.
export const notice = createStore(null)

// renewals tells this tab's renewed tokens to those that were duplicated from it, as
// {was, now}, where was is the refresh token before. Without that they would use an
// old one, and the server would take them for thieves. Nobody else is told: who does
// not have the token before passes over it.
const renewals = new BroadcastChannel('miniprofile.renewals')
renewals.onmessage = ({ data: { was, now } }) => {
  if (session.get()?.refreshToken === was) session.set({ ...session.get(), ...now })
}

const me = '{ me { id nickname avatar { url(size: SMALL) } } }'
const early = 20_000 // milliseconds before it expires, an access token is renewed

// post sends an operation, with its file if it has one, and returns
// {status, answer, skew}: skew is the server's time less ours.
async function post({ query, operationName, variables }, { file, headers, token, signal } = {}) {
  const operation = { query, ...(operationName && { operationName }), ...(variables && { variables }) }
  const request = { method: 'POST', signal, headers: { Accept: 'application/json' } }
  if (file) {
    request.body = new FormData()
    request.body.append('operations', JSON.stringify(operation))
    request.body.append('map', JSON.stringify({ picture: [file.path] }))
    request.body.append('picture', file.file)
  } else {
    request.headers['Content-Type'] = 'application/json'
    request.body = JSON.stringify(operation)
  }
  if (token) request.headers.Authorization = `Bearer ${token}`
  Object.assign(request.headers, headers)
  const response = await fetch(endpoint, request)
  const sent = Date.parse(response.headers.get('Date'))
  const text = await response.text()
  let answer
  try {
    answer = JSON.parse(text)
  } catch {
    answer = { errors: [{ message: `HTTP ${response.status}: ${text.slice(0, 200)}`, extensions: { code: 'NO_JSON' } }] }
  }
  return { status: response.status, answer, skew: Number.isNaN(sent) ? 0 : sent - Date.now() }
}

// epoch counts who was signed in: what was asked for one person says nothing of the next.
let epoch = 0

const codeOf = ({ answer }) => answer.errors?.[0]?.extensions?.code

// adopt keeps the tokens that an answer brings; who are the person and appId of a
// login, and undefined of a refresh.
function adopt({ answer, skew }, who) {
  for (const payload of Object.values(answer.data ?? {})) {
    const tokens = payload?.tokens
    if (!tokens?.accessToken) continue
    if (who) epoch++
    const before = who ?? session.get()
    const expires = Date.parse(tokens.accessTokenExpiresAt) - skew
    const now = {
      accessToken: tokens.accessToken,
      expires: Number.isNaN(expires) ? null : expires,
      refreshToken: tokens.refreshToken ?? before?.refreshToken,
    }
    session.set({ ...before, ...now })
    if (before?.refreshToken) renewals.postMessage({ was: before.refreshToken, now })
    return true
  }
  return false
}

// renew asks for new tokens. Repeating it when the answer got lost is safe.
function renew(refreshToken) {
  const send = () => post({
    query: `mutation Renew($input: RefreshSessionInput!) {
      refreshSession(input: $input) { tokens { accessToken accessTokenExpiresAt refreshToken } }
    }`,
    variables: { input: { refreshToken } },
  })
  return send().catch(send)
}

// refresh renews the tokens: once, however many ask for it. It tells whether the
// session lives.
let refreshing = null
export function refresh() {
  refreshing ??= (async () => {
    const { refreshToken } = session.get() ?? {}
    if (!refreshToken) return false
    const result = await renew(refreshToken)
    if (session.get()?.refreshToken !== refreshToken) return session.get() !== null
    if (adopt(result)) return true
    if (codeOf(result) === 'UNAUTHENTICATED') session.set(null)
    return false
  })().finally(() => { refreshing = null })
  return refreshing
}

// ask sends an operation as whoever is signed in, renewing the token when it has
// to: before it expires, and once more when the server no longer takes it.
async function ask(operation, options = {}) {
  const own = Object.keys(options.headers ?? {}).some((name) => name.toLowerCase() === 'authorization')
  if (own) return post(operation, options)
  const { expires, refreshToken } = session.get() ?? {}
  if (refreshToken && expires && expires - Date.now() < early) await refresh().catch(() => {})
  const token = session.get()?.accessToken
  const result = await post(operation, { ...options, token })
  const nothingDone = Object.values(result.answer.data ?? {}).every((value) => value === null)
  const { code, hint } = result.answer.errors?.[0]?.extensions ?? {}
  if (!token || code !== 'UNAUTHENTICATED' || hint || !nothingDone) return result
  // Perhaps somebody else has renewed it meanwhile.
  if (session.get()?.accessToken === token && !await refresh().catch(() => false) || !session.get()) return result
  return post(operation, { ...options, token: session.get().accessToken })
}

// identify asks who is signed in; a session that is dead is forgotten.
export async function identify() {
  if (!session.get()) return
  const asked = epoch
  const result = await ask({ query: me }).catch(() => null)
  if (!result || !session.get() || asked !== epoch) return
  if (result.answer.data?.me) session.set({ ...session.get(), user: result.answer.data.me })
  else if (codeOf(result) === 'UNAUTHENTICATED') session.set(null)
}

// run carries out what the editors say, and follows whom it signs in or out.
// fields are the names of the operation's root fields.
export async function run(operation, { fields, file, headers, signal }) {
  const variables = fill(operation.variables, session.get())
  const asked = epoch
  const started = performance.now()
  const result = await ask({ ...operation, variables }, { file, headers, signal })
  const took = performance.now() - started
  const { code, appId } = variables?.input ?? variables ?? {}
  const person = typeof code === 'string' && /^[\w-]+~/.test(code) ? code.split('~')[0] : null
  if (fields.includes('login')) adopt(result, { person, appId })
  else if (asked === epoch) adopt(result)
  if (operation.mutation || codeOf(result) === 'UNAUTHENTICATED') identify()
  return { ...result, took }
}

// signIn makes a session of a sandbox person.
export async function signIn(person, appId) {
  notice.set(null)
  const input = { code: sandboxCode(person), requestId: nonce(), device: 'playground', ...(appId && { appId }) }
  const send = () => post({
    query: `mutation SignIn($input: LoginInput!) {
      login(input: $input) { tokens { accessToken accessTokenExpiresAt refreshToken } }
    }`,
    variables: { input },
  })
  let result
  try {
    result = await send().catch(send) // the same code and requestId: the same session
  } catch {
    notice.set({ person, code: 'NETWORK' })
    return false
  }
  if (!adopt(result, { person, appId })) {
    notice.set({ person, ...result.answer.errors?.[0]?.extensions, message: result.answer.errors?.[0]?.message })
    return false
  }
  await identify()
  return true
}

// present takes an access token that was made elsewhere.
export async function present(accessToken) {
  notice.set(null)
  epoch++
  session.set({ accessToken: accessToken.trim(), expires: null })
  await identify()
  if (session.get()) return true
  notice.set({ code: 'UNAUTHENTICATED' })
  return false
}

// signOut ends the session here at once, and on the server if it answers.
export async function signOut() {
  const { accessToken, refreshToken } = session.get() ?? {}
  epoch++
  session.set(null)
  const end = (token) => post({ query: 'mutation SignOut { logout { ended } }' }, { token })
  try {
    if (codeOf(await end(accessToken)) !== 'UNAUTHENTICATED' || !refreshToken) return
    const { answer } = await renew(refreshToken) // the token may only have been too old
    const tokens = answer.data?.refreshSession?.tokens
    if (tokens) await end(tokens.accessToken)
  } catch {
    // Nobody answers: the session ends there when it expires.
  }
}
