// What the page makes of a schema and of an operation, without a browser.
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { test } from 'node:test'
import { buildSchema, extendSchema, parse, print, validate } from 'graphql'
import { adviceFor } from '../src/advice.js'
import { forms } from '../src/copy.js'
import { holds, operationOf, uploadsOf, withNull } from '../src/document.js'
import { operationsFor } from '../src/operations.js'
import { local } from '../src/outcome.js'
import { fill } from '../src/placeholders.js'
import { stoppable } from '../src/stoppable.js'
import { chosen } from '../src/uploads.js'

const read = (path) => readFileSync(new URL(`../../${path}`, import.meta.url), 'utf8')
const requireClient = createRequire(import.meta.url)
const schema = buildSchema(read('schema.graphqls'))
const sandbox = { apps: ['wxsandbox0000000'] }
const has = (type, field) => Boolean(schema.getType(type)?.getFields()[field])

// A schema like those of the servers to come.
const younger = (() => {
  const additions = [
    ['Mutation', 'bindPhoneNumber', 'extend type Mutation { bindPhoneNumber(input: XBindInput!): XBindPayload! } input XBindInput { code: String encryptedData: String move: Boolean! } type XBindPayload { user: User! }'],
    ['Mutation', 'recordConsent', 'extend type Mutation { recordConsent(input: XConsentInput!): XConsentPayload! } input XConsentInput { scope: XScope! purpose: String! policyVersion: String! note: String } enum XScope { PROFILE PHONE } type XConsentPayload { consent: XConsent! } type XConsent { scope: XScope! at: Time! }'],
    ['Mutation', 'deleteAccount', 'extend type Mutation { deleteAccount(input: XDeleteInput!): XDeletePayload! } input XDeleteInput { code: String! } type XDeletePayload { at: Time! }'],
    ['User', 'export', 'extend type User { export: JSON! }'],
  ]
  const missing = additions.filter(([type, field]) => !has(type, field)).map(([, , text]) => text)
  return missing.length ? extendSchema(schema, parse(missing.join('\n'))) : schema
})()

test('the operations that a server can do are ready, valid, and explained twice', () => {
  for (const [server, wanted] of [
    [schema, ['Log in', 'Who am I', 'Set the nickname', 'Set the picture', 'Import from WeChat', 'Merge accounts', 'Sessions', 'Refresh', 'Log out']],
    [younger, ['Phone number', 'Record consent', 'Export my data', 'Delete the account']],
  ]) {
    const operations = operationsFor(server, sandbox)
    for (const name of wanted) assert.ok(operations.some(({ en }) => en === name), name)
    for (const { query, variables, zh, comment } of operations) {
      assert.deepEqual(validate(server, parse(query)), [], query)
      if (variables) JSON.parse(variables)
      assert.match(query, /^# [^\n]*\p{Script=Han}[^\n]*\n# [A-Z]/u)
      assert.match(zh, /\p{Script=Han}/u)
      assert.equal(comment.length, 2)
    }
  }
  if (!has('Mutation', 'deleteAccount')) {
    assert.ok(!operationsFor(schema, sandbox).some(({ en }) => en === 'Delete the account'), 'an operation that the server lacks')
  }
})

test('what is made for a younger schema can be run', () => {
  const named = (name) => operationsFor(younger, sandbox).find(({ en }) => en === name)
  if (!has('Mutation', 'bindPhoneNumber')) {
    assert.deepEqual(JSON.parse(named('Phone number').variables), { input: { code: 'phone~{{phone}}~{{nonce}}', move: true } })
  }
  if (!has('Mutation', 'recordConsent')) {
    assert.deepEqual(JSON.parse(named('Record consent').variables).input.scope, 'PROFILE')
  }
  if (!has('User', 'export')) assert.match(named('Export my data').query, /me \{\n {4}export\n/)
})

test('outside the sandbox no operation has a code of the sandbox', () => {
  for (const { variables } of operationsFor(younger, { apps: [] })) assert.doesNotMatch(variables, /~|person/)
})

test('uploads are found wherever a variable takes one', () => {
  const paths = (text) => uploadsOf(schema, operationOf(text))
  assert.deepEqual(paths('mutation($input: UpdateProfileInput!) { updateProfile(input: $input) { user { id } } }'), ['variables.input.avatar'])
  assert.deepEqual(paths('mutation($file: Upload) { updateProfile(input: {avatar: $file}) { user { id } } }'), ['variables.file'])
  assert.deepEqual(paths('mutation($n: Int, $x: Nothing) { logout { ended } }'), [])
  assert.equal(operationOf('{ me {'), undefined)
  assert.ok(holds({ input: { avatar: null } }, 'variables.input.avatar'))
  assert.ok(!holds({ input: 5 }, 'variables.input.avatar'))
  assert.deepEqual(withNull({ input: { nickname: 'x' } }, 'variables.input.avatar'), { input: { nickname: 'x', avatar: null } })
})

test('there is advice in both languages about every code that a server has', () => {
  const codes = new Set([
    ...schema.description.match(/^- ([A-Z_]+(?:,\s+[A-Z_]+)*(?:\s+and\s+[A-Z_]+)?):/gm).flatMap((line) => line.match(/[A-Z]+(?:_[A-Z]+)*/g)),
    ...[...read('graph/errors.go').matchAll(/Code: "([A-Z_]+)"/g)].map(([, code]) => code),
  ])
  assert.ok(codes.size >= 22 && codes.has('READ_ONLY') && codes.has('UNSUPPORTED_MEDIA_TYPE') && codes.has('NOT_FOUND'), [...codes].join())
  for (const code of codes) {
    assert.ok(adviceFor(code, 'en'), `${code} in English`)
    assert.match(adviceFor(code, 'zh') ?? code, /\p{Script=Han}/u)
  }
  assert.notEqual(adviceFor('READ_ONLY', 'en'), adviceFor('BAD_REQUEST', 'en'))
  assert.equal(adviceFor('OF_A_YOUNGER_SERVER', 'en'), undefined, 'nothing is said of what is not known')
})

test('what is stopped is aborted, and tells nothing more', async () => {
  const told = []
  const observer = { next: (r) => told.push(r), error: (e) => told.push(e.name), complete: () => told.push('complete') }
  const waiting = (signal) => new Promise((resolve, reject) => { signal.addEventListener('abort', () => reject(signal.reason)) })
  stoppable(waiting).subscribe(observer).unsubscribe()
  let answer
  const late = stoppable(() => new Promise((resolve) => { answer = resolve })).subscribe(observer)
  late.unsubscribe()
  answer('late')
  await new Promise(setImmediate)
  assert.deepEqual(told, [])
  stoppable(async () => 'result').subscribe(observer)
  stoppable(() => Promise.reject(new TypeError('network'))).subscribe(observer)
  await new Promise(setImmediate)
  assert.deepEqual(told, ['result', 'complete', 'TypeError'])
})

test('placeholders are put in each time anew', () => {
  const one = fill({ input: { code: '{{person}}~{{nonce}}', list: ['{{requestId}}', 1, null, '{{other}}'] } }, { person: 'hong' })
  assert.match(one.input.code, /^hong~[0-9a-f]{24}$/)
  assert.match(one.input.list[0], /^[0-9a-f]{24}$/)
  assert.deepEqual(one.input.list.slice(1), [1, null, '{{other}}'])
  assert.notEqual(one.input.code, fill(one.input.code.replace(/~.*/, '~{{nonce}}'), null))
})

test('an operation is written down so that no text breaks out of it', () => {
  const nasty = "'; `${1}` \\ \" $(touch x) \n 小明"
  const query = 'mutation N($input: UpdateProfileInput!) { updateProfile(input: $input) { user { nickname(x: "`${1}`") } } }'
  const operation = {
    url: 'http://x/graphql', query, operationName: 'N', variables: { input: { nickname: nasty, 'odd-name': [{ a: [] }] } },
    uploads: ['variables.input.avatar'], token: null, session: null, say: (en) => en,
  }
  for (const { id, write } of forms) {
    if (id === 'curl') continue // the browser's test runs that one
    let seen
    const wx = {
      request: ({ data }) => { seen = data },
      chooseMedia: ({ success }) => success({ tempFiles: [{ tempFilePath: 'p' }] }),
      uploadFile: ({ formData }) => { seen = JSON.parse(formData.operations) },
      getStorageSync: () => 't',
    }
    const require = () => ({ createClient: () => ({ query: async (q, variables) => { seen = { query: q, variables } } }) })
    new Function('wx', 'require', write(operation))(wx, require)
    const { avatar, ...input } = seen.variables.input
    assert.deepEqual(input, operation.variables.input, id)
    assert.equal(avatar, id === 'upload' ? null : undefined)
    assert.equal(seen.query.replaceAll(/\s+/g, ' ').trim(), query.replaceAll(/\s+/g, ' '), id)
  }
})

// carryOut runs copied code with the client that is published, signed in, and
// returns what it makes the client with, the first operation that reaches
// the server, and the names of all.
async function carryOut(code) {
  let made
  const all = []
  const answer = ({ query, variables }, success, header) => {
    const name = operationOf(query).selectionSet.selections[0].name.value
    if (name !== 'createAvatarUpload') all.push({ name, query, input: variables?.input, header })
    setImmediate(success, { statusCode: 200, data: JSON.stringify({ data: { [name]: { ended: 1, user: { id: 'x' } } } }) })
  }
  let codes = 0
  const wx = {
    login: ({ success }) => setImmediate(success, { code: `code-${++codes}` }),
    getDeviceInfo: () => ({ model: 'iPhone 17' }),
    getStorageSync: () => '{"access":"a","refresh":"r"}', setStorageSync() {}, removeStorageSync() {},
    request: ({ data, success, header }) => answer(typeof data === 'string' ? JSON.parse(data) : data, success, header),
    uploadFile: ({ formData, filePath, success, header }) => {
      const operation = JSON.parse(formData.operations)
      const [path] = Object.values(JSON.parse(formData.map))[0]
      assert.ok(holds(operation.variables, path), path)
      operation.variables.input.avatar = filePath
      answer(operation, success, header)
    },
    chooseMedia: ({ success }) => setImmediate(success, { tempFiles: [{ tempFilePath: 'wxfile://photo' }] }),
  }
  const { createClient } = requireClient('../../miniprogram/client/lib/index.js')
  const mine = () => ({ createClient: (options) => createClient({ ...made = options, platform: wx }) })
  await new Promise((resolve, reject) => {
    const say = { log: resolve, error: (...what) => reject(new Error(what.join(' '))) }
    new Function('wx', 'require', 'console', 'e', 'filePath', code)(wx, mine, say, { detail: { code: 'of-the-button' } }, 'wxfile://photo')
  })
  return { made, sent: all[0], all: all.map(({ name }) => name) }
}

const english = { url: 'http://x/graphql', headers: undefined, uploads: [], token: null, session: null, say: (en) => en }
const written = (id, operation) => forms.find((form) => form.id === id).write({ ...english, ...operation })
const inputOf = (name, type, selection, input) => ({ query: `mutation($input: ${type}) { ${name}(input: $input) { ${selection} } }`, variables: { input } })

test('what is copied for the client does what was tried', async () => {
  const consent = { scopes: ['PHONE'], purpose: 'delivery', policyVersion: '1' }
  const phone = (input) => inputOf('bindPhoneNumber', 'BindPhoneNumberInput!', 'user { id }', input)
  const profile = (input) => ({ ...inputOf('updateProfile', 'UpdateProfileInput!', 'user { id }', input), uploads: ['variables.input.avatar'] })
  const inline = (query) => ({ query })
  for (const [operation, name, input] of [
    [phone({ code: null }), 'bindPhoneNumber', { code: null }],
    [phone({ code: 'phone~1~{{nonce}}' }), 'bindPhoneNumber', { code: 'of-the-button' }],
    [phone({ code: 'phone~1~{{nonce}}', move: true, consent }), 'bindPhoneNumber', { code: 'of-the-button', move: true, consent }],
    [phone({ encryptedData: 'd', iv: 'i' }), 'bindPhoneNumber', { encryptedData: 'd', iv: 'i' }],
    [inline('mutation { bindPhoneNumber(input: {code: null}) { user { id } } }'), 'bindPhoneNumber', { code: null }],
    [inputOf('logout', 'LogoutInput', 'ended', { sessionId: 's' }), 'logout', { sessionId: 's' }],
    [inputOf('logout', 'LogoutInput', 'ended', { everywhere: true }), 'logout', { everywhere: true }],
    [inline('mutation { logout(input: {everywhere: true}) { ended } }'), 'logout', { everywhere: true }],
    [inline('mutation { logout(input: {sessionId: "s"}) { ended } }'), 'logout', { sessionId: 's' }],
    [{ query: 'mutation($all: Boolean) { logout(input: {everywhere: $all}) { ended } }', variables: { all: true } }, 'logout', { everywhere: true }],
    [inline('mutation { logout { ended } }'), 'logout', {}],
    [profile({ avatar: null }), 'updateProfile', { avatar: 'wxfile://photo' }],
    [profile({ nickname: '小明', avatar: null, consent }), 'updateProfile', { nickname: '小明', avatar: 'wxfile://photo', consent }],
    [profile({ nickname: 'playground' }), 'updateProfile', { nickname: 'playground' }],
    [{ query: 'mutation($file: Upload) { updateProfile(input: {nickname: "x", avatar: $file}) { user { id } } }', variables: { file: null }, uploads: ['variables.file'] }, 'updateProfile', { nickname: 'x', avatar: 'wxfile://photo' }],
    [inputOf('refreshSession', 'RefreshSessionInput!', 'tokens { accessToken }', { refreshToken: '{{refreshToken}}' }), 'me', undefined],
  ]) {
    const code = written('client', operation)
    const { sent } = await carryOut(code)
    assert.deepEqual([sent.name, sent.input], [name, input], code)
  }
  // Where there is more to it than the client's own methods do, it is sent as it is.
  for (const [query, operationName, whole = query] of [
    ['query A { me { id } }', 'A', 'query A { me { id } } mutation B { logout(input: {everywhere: true}) { ended } }'],
    ['mutation($i: LogoutInput = {everywhere: true}) { logout(input: $i) { ended } }'],
    ['mutation { logout(input: {sessionId: "s"}) @skip(if: true) { ended } }'],
    ['{ ...F } fragment F on Query { me { id } }'],
    ['mutation { logout { ended } bindPhoneNumber(input: {code: null}) { user { id } } }'],
  ]) {
    const { sent } = await carryOut(written('client', { query: whole, operationName }))
    assert.equal(print(parse(sent.query)), print(parse(query)))
  }
  const login = (input) => inputOf('login', 'LoginInput!', 'created', { code: '{{person}}~{{nonce}}', ...input })
  for (const [operation, options] of [
    [login({ device: 'playground' }), {}],
    [login({ device: 'iPad', appId: 'wxapp' }), { device: 'iPad', appId: 'wxapp' }],
    [{ query: '{ me { id } }', session: { appId: 'wxapp' } }, { appId: 'wxapp' }],
    [{ ...login({}), session: { appId: 'of another login' } }, {}],
  ]) {
    const { made, sent } = await carryOut(written('client', operation))
    assert.deepEqual(made, { url: english.url, ...options })
    assert.equal(sent.name, 'me')
  }
})

test('a code that is a proof is got from wx.login, whatever form is copied', async () => {
  for (const named of ['Delete the account', 'Merge accounts']) {
    for (const apps of [[], ['wxapp']]) {
      const { query, variables } = operationsFor(schema, { apps }).find(({ en }) => en === named)
      for (const id of ['client', 'request']) {
        const { sent } = await carryOut(written(id, { query, operationName: query.match(/mutation (\w+)/)[1], variables: JSON.parse(variables) }))
        assert.match(sent.input.code, /^code-\d$/, `${named} as ${id}`)
      }
    }
  }
})

test('a picture for what the client cannot send is not offered as its code', () => {
  const request = forms.find(({ id }) => id === 'request')
  assert.equal(request.fits({ query: '{ me { id } }', variables: undefined, uploads: [] }), true)
  assert.equal(request.fits({ query: '', variables: { input: { avatar: null } }, uploads: ['variables.input.avatar'] }), false, 'it would remove the picture')
  const { fits } = forms.find(({ id }) => id === 'client')
  const query = 'mutation($input: UpdateProfileInput!) { updateProfile(input: $input) { user { id } } }'
  const uploads = ['variables.input.avatar']
  assert.ok(fits({ query, variables: { input: { avatar: null } }, uploads }))
  assert.ok(fits({ query, variables: { input: { nickname: 'x' } }, uploads }))
  assert.ok(!fits({ query: query.replace('} }', '} } logout { ended }'), variables: { input: { avatar: null } }, uploads }))
})

// readyToCopy is an operation that is ready, as forms take it.
const readyToCopy = (named) => {
  const { query, variables } = operationsFor(schema, sandbox).find(({ en }) => en === named)
  const operation = operationOf(query)
  return { ...english, query, operationName: operation.name.value, variables: variables && JSON.parse(variables), uploads: uploadsOf(schema, operation) }
}

test('what sets the picture is not offered as code that removes it', () => {
  const operation = readyToCopy('Set the picture')
  const fitting = forms.filter(({ fits }) => !fits || fits(operation)).map(({ id }) => id)
  assert.deepEqual(fitting, ['upload', 'client', 'curl'])
  assert.ok(forms.find(({ id }) => id === 'request').fits(readyToCopy('Set the nickname')))
})

test('a place for a file that is not there is known', () => {
  chosen.follow('tab', 'variables.input.avatar')
  assert.ok(chosen.wanted({ input: { avatar: null } }))
  assert.ok(!chosen.wanted({ input: { nickname: 'x' } }))
  assert.ok(!chosen.wanted(undefined))
  chosen.follow('tab', undefined)
  assert.ok(!chosen.wanted({ input: { avatar: null } }))
})

test('what is ready shows what it is about, and reads no more', () => {
  const named = (name) => operationsFor(schema, sandbox).find(({ en }) => en === name)
  assert.match(named('Phone number').query, /phone \{ countryCode number \}/)
  for (const { en, query } of operationsFor(schema, sandbox)) if (en !== 'Export my data') assert.doesNotMatch(query, /\bexport\b/, en)
  const { consent } = JSON.parse(named('Record consent').variables).input
  assert.deepEqual(consent.scopes, ['NICKNAME'])
  assert.doesNotMatch(consent.purpose, /…/)
  assert.deepEqual(JSON.parse(named('Withdraw consent').variables).input.scopes, ['NICKNAME'])
})

test('each person has a phone number of their own, which is always the same', () => {
  const { code } = readyToCopy('Phone number').variables.input
  const number = (session) => fill(code, session).split('~')[1]
  const numbers = ['ming', 'hong', 'alice', 'alice-nounion', 'bob'].map((person) => number({ person }))
  assert.equal(new Set(numbers).size, numbers.length)
  for (const one of numbers) assert.match(one, /^138\d{8}$/)
  assert.equal(number({ person: 'ming' }), numbers[0])
  assert.notEqual(number({ user: { id: 'x' } }), number({ user: { id: 'y' } }))
})

test('a phone code of the sandbox stands for that of the button', async () => {
  for (const id of ['request', 'client']) {
    const { sent } = await carryOut(written(id, readyToCopy('Phone number')))
    assert.equal(sent.input.code, 'of-the-button', id)
  }
  assert.match(written('curl', readyToCopy('Phone number')), /phone~138\d{8}~[0-9a-f]{24}/)
})

test('the client is signed out of an account that is deleted', async () => {
  const { all } = await carryOut(written('client', readyToCopy('Delete the account')))
  assert.deepEqual(all, ['deleteAccount', 'logout'])
})

test('headers are copied, but for a token that was not asked for', async () => {
  const headers = { 'X-Mine': "it's 1", 'x-number': 2, authorization: 'Bearer secret' }
  const operation = { ...readyToCopy('Who am I'), headers }
  const { sent } = await carryOut(written('request', operation))
  assert.deepEqual(sent.header, { Authorization: 'Bearer {"access":"a","refresh":"r"}', 'X-Mine': "it's 1", 'x-number': '2' })
  const picture = { ...readyToCopy('Set the picture'), headers }
  assert.equal((await carryOut(written('upload', picture))).sent.header['X-Mine'], "it's 1")
  assert.match(written('curl', operation), /\n {2}-H 'X-Mine: it'\\''s 1' \\\n {2}-H 'x-number: 2'/)
  assert.ok(!forms.find(({ id }) => id === 'client').fits(operation), 'the client sends no such header')
  for (const { id, write } of forms) assert.doesNotMatch(write(id === 'upload' ? picture : operation), /secret/, id)
})

test('curl and wx.uploadFile send what the page would', async () => {
  assert.match(written('curl', { query: 'mutation { login(input: {code: "ming~{{nonce}}"}) { created } }' }), /ming~\{\{nonce\}\}/)
  const query = 'mutation($input: UpdateProfileInput!, $proof: DeleteAccountInput!) { updateProfile(input: $input) { user { id } } deleteAccount(input: $proof) { erasedAt } }'
  const { sent } = await carryOut(written('upload', { query, variables: { input: { nickname: 'x' }, proof: { code: '{{person}}~{{nonce}}' } }, uploads: ['variables.input.avatar'] }))
  assert.deepEqual(sent.input, { nickname: 'x', avatar: 'wxfile://photo' })
})

test('pictures are asked of the server that the page came from, wherever it is', () => {
  for (const address of ['http://127.0.0.1:8080/avatars/a-132.jpg', 'https://example.com/api/avatars/a-132.jpg']) {
    assert.equal(local(address), '../avatars/a-132.jpg')
  }
  for (const address of ['https://cdn.example.com/a-132.jpg', 'https://example.com/?x=/avatars/a-132.jpg', 'https://example.com/avatars/../x', '/avatars/']) {
    assert.equal(local(address), undefined, address)
  }
})
