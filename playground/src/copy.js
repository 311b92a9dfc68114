// An operation as a front-end developer would write it.
import { parse, print, separateOperations, valueFromASTUntyped } from 'graphql'
import { fieldsOf, holds, operationOf, withNull } from './document.js'
import { fill } from './placeholders.js'

// forms are the ways to write an operation down. Each takes
//
//	{url, query, operationName, variables, headers, uploads, token, session, say}
//
// where variables still have their placeholders, uploads are the places in them
// that could hold a file, headers are those to send besides, token is null unless it
// shall be shown, and say chooses between an English and a Chinese comment. With a file
// in the variables wx.request does not fit: it would send the null that stands in its
// place, which removes the picture. The client sends no headers but its own.
export const forms = [
  { id: 'request', name: 'wx.request', write: wxRequest, fits: (o) => !fileOf(o) },
  { id: 'upload', name: 'wx.uploadFile', write: wxUploadFile, fits: ({ uploads }) => uploads.length > 0 },
  { id: 'client', name: 'client', write: client, fits: (o) => headersOf(o).length === 0 && (!fileOf(o) || only(o).name === 'updateProfile') },
  { id: 'curl', name: 'curl', write: curl },
]

function wxRequest(o) {
  const indent = needsCode(o) ? '  ' : ''
  const request = `wx.request({
  url: ${quoted(o.url)},
  method: 'POST',${header(o)}
  data: {
    query: ${template(o, '    ')},${variablesOf(o, '    ')}
  },
  success: ({ data }) => {
    // ${o.say('called for every HTTP status', '任何 HTTP 状态都会进入 success')}
    if (data.errors) return console.error(data.errors[0].extensions.code, data.errors[0].message)
    console.log(data.data)
  },
  fail: console.error, // ${o.say('the network', '网络错误')}
})`
  return withCode(o, request, indent)
}

function wxUploadFile(o) {
  const indent = '  '
  const path = fileOf(o) ?? o.uploads[0]
  o = { ...o, variables: withNull(o.variables ?? {}, path) }
  const upload = `wx.uploadFile({
  url: ${quoted(o.url)},
  filePath, // ${o.say('or what open-type="chooseAvatar" gave', '也可以是 open-type="chooseAvatar" 给的路径')}
  name: 'picture',${header(o)}
  formData: {
    operations: JSON.stringify({
      query: ${template(o, '      ')},${variablesOf(o, '      ')}
    }),
    map: JSON.stringify({ picture: [${quoted(path)}] }),
  },
  success: ({ data }) => {
    const answer = JSON.parse(data) // ${o.say('uploadFile gives a string', 'uploadFile 给的是字符串')}
    if (answer.errors) return console.error(answer.errors[0].extensions.code, answer.errors[0].message)
    console.log(answer.data)
  },
  fail: console.error, // ${o.say('the network', '网络错误')}
})`
  return withCode(o, `wx.chooseMedia({
  count: 1,
  mediaType: ['image'],
  success: ({ tempFiles: [{ tempFilePath: filePath }] }) => ${shifted(upload, indent)},
})`, needsCode(o) ? indent : '')
}

function client(o) {
  const { name, input } = only(o)
  const { appId, device } = name === 'login' ? input : o.session ?? {}
  const options = { url: o.url, ...(appId && { appId }), ...(device && device !== 'playground' && { device }) }
  const [own, remark] = ownCall(o) ?? []
  const call = own ?? `client.query(${template({ ...o, query: alone(o) }, '')}${o.variables ? `, ${literal(o.variables, '')}` : ''})`
  const left = fieldsOf(operationOf(o.query, o.operationName)).includes('deleteAccount')
    ? `
  // ${o.say('the account is gone: without this, the next call would log in again', '账号已注销：不退出的话，下一次调用会重新登录')}
  .then((data) => client.logout().then(() => data))
  ` : ''
  const end = `${left}${remark ? ` // ${remark}\n  ` : ''}.then(console.log, (error) => console.error(error.code, error.requestId))`
  return `// ${o.say('miniprogram/client/lib, copied into your mini program as miniprofile', '把 miniprogram/client/lib 复制到你的小程序里，命名为 miniprofile')}
const { createClient } = require('./miniprofile/index')

const client = createClient(${literal(options, '')})

${own ? `${call}${end}\n` : withCode(o, call + end, '  ')}`
}

// ownCall is a call of the client's own method that does what the operation does,
// and a remark on it, where query is not the better one.
function ownCall(o) {
  const { name, input } = only(o)
  switch (name) {
    case 'login':
      return ['client.login()']
    case 'refreshSession':
      return ['client.me()', o.say('the client refreshes by itself', '客户端会自动刷新令牌')]
    case 'logout':
      return [`client.logout(${Object.keys(input).length ? literal(input, '') : ''})`]
    case 'bindPhoneNumber':
      if (typeof input.code !== 'string') return [`client.bindPhoneNumber(${literal(input, '')})`]
      return [`client.bindPhoneNumber(${Object.keys(input).length === 1 ? 'e.detail.code' : literal({ ...input, code: 'CODE_OF_PHONE_BUTTON' }, '')})`, o.say('of the phone button', '手机号按钮的事件')]
    case 'updateProfile':
      if (!fileOf(o)) return undefined
      return [
        Object.keys(input).length === 1 ? 'client.setAvatar(filePath)' : `client.updateProfile(${literal({ ...input, avatar: '{{filePath}}' }, '')})`,
        o.say('what chooseAvatar gave', 'chooseAvatar 给的路径'),
      ]
  }
}

// only is the name and the input of an operation's only field, where there is no more to it.
function only(o) {
  const { selectionSet: { selections: [field, ...more] }, variableDefinitions } = operationOf(o.query, o.operationName)
  if (more.length > 0 || field.kind !== 'Field' || field.directives.length > 0 || variableDefinitions.some((v) => v.defaultValue)) return {}
  const given = field.arguments.find((a) => a.name.value === 'input')
  return { name: field.name.value, input: (given && valueFromASTUntyped(given.value, o.variables)) ?? {} }
}

function curl(o) {
  const variables = fill(o.variables, { ...o.session, refreshToken: '{{refreshToken}}' })
  const body = { query: document(o), ...(o.operationName && { operationName: o.operationName }), ...(variables && { variables }) }
  const lines = []
  if (needsToken(o) && o.token) lines.push(`TOKEN=${o.token}`)
  const refreshes = JSON.stringify(body).includes('{{refreshToken}}')
  if (refreshes && o.token && o.session?.refreshToken) lines.push(`REFRESH_TOKEN=${o.session.refreshToken}`)
  const parts = [`curl -s ${o.url}`]
  if (needsToken(o)) parts.push('-H "Authorization: Bearer $TOKEN"')
  for (const [name, value] of headersOf(o)) parts.push(`-H '${inShell(`${name}: ${value}`)}'`)
  const text = `'${inShell(JSON.stringify(body)).replaceAll('{{refreshToken}}', `'"$REFRESH_TOKEN"'`)}'`
  if (fileOf(o)) {
    parts.push(`--form-string operations=${text}`, `--form-string map='{"picture":["${fileOf(o)}"]}'`, '-F picture=@photo.jpg')
  } else {
    parts.push("-H 'Content-Type: application/json'", `-d ${text}`)
  }
  lines.push(parts.join(' \\\n  '))
  return `${lines.join('\n')}\n`
}

const inShell = (text) => text.replaceAll("'", String.raw`'\''`)

// headersOf are the headers to send besides. An Authorization is a token like that
// of the session: it is the copy's own to place, and not to be shown unasked.
const headersOf = ({ headers }) => Object.entries(headers ?? {}).filter(([name]) => name.toLowerCase() !== 'authorization')

// fileOf is the place where the variables say that a file goes.
const fileOf = (o) => o.uploads.find((path) => holds({ ...o.variables }, path))

const document = (o) => {
  try {
    return print(parse(o.query, { noLocation: true })).trim()
  } catch {
    return o.query.trim()
  }
}

// alone is the operation without the others of its document: client.query takes no name.
const alone = (o) => print(separateOperations(parse(o.query, { noLocation: true }))[o.operationName ?? ''])

const template = (o, indent) => {
  const text = document(o).replaceAll(/[\\`]|\$\{/g, String.raw`\$&`)
  return text.includes('\n') ? `\`\n${indent}  ${shifted(text, `${indent}  `)}\n${indent}\`` : `\`${text}\``
}

// variablesOf includes the operationName, which stands beside them.
const variablesOf = (o, indent) => {
  const several = (o.query.match(/^\s*(query|mutation)\b/gm) ?? []).length > 1
  return (several && o.operationName ? `\n${indent}operationName: ${quoted(o.operationName)},` : '')
    + (o.variables ? `\n${indent}variables: ${literal(o.variables, indent)},` : '')
}

// What makes or renews a session needs no token.
const needsToken = (o) => fieldsOf(operationOf(o.query, o.operationName)).some((f) => f !== 'login' && f !== 'refreshSession')

const header = (o) => {
  const token = o.token ? quoted(`Bearer ${o.token}`) : "`Bearer ${wx.getStorageSync('accessToken')}`"
  const fields = headersOf(o).map(([name, value]) => `${keyOf(name)}: ${quoted(String(value))}`)
  if (needsToken(o)) fields.unshift(`Authorization: ${token}`)
  return fields.length ? `\n  header: { ${fields.join(', ')} },` : ''
}

// A code of the sandbox stands for one of wx.login, or of the phone button.
const isCode = (text) => text === 'CODE_OF_WX_LOGIN' || /^(\{\{person\}\}|[\w-]+)~.*\{\{nonce\}\}$/.test(text) && !text.startsWith('phone~')

const isPhoneCode = (text) => text === 'CODE_OF_PHONE_BUTTON' || /^phone~[^~]*~/.test(text)

const some = (value, is) => (typeof value === 'string' ? is(value) : value !== null && typeof value === 'object' && Object.values(value).some((v) => some(v, is)))

const needsCode = (o) => some(o.variables, isCode)

const withCode = (o, call, indent) => (some(o.variables, isPhoneCode)
  ? `// ${o.say('e is the event of', 'e 是这个按钮的事件：')} <button open-type="getPhoneNumber" bindgetphonenumber="…">\n` : '')
  + (needsCode(o) ? `wx.login({
  success: ({ code }) => ${shifted(call, indent)},
})
` : `${call}\n`)

const shifted = (text, indent) => text.replaceAll('\n', `\n${indent}`)

const quoted = (text) => `'${JSON.stringify(text).slice(1, -1).replaceAll(String.raw`\"`, '"').replaceAll("'", String.raw`\'`)}'`

const keyOf = (name) => (/^[A-Za-z_$][\w$]*$/.test(name) ? name : quoted(name))

// literal writes a value, which may have a name, as JavaScript.
function literal(value, indent, name) {
  if (typeof value === 'string') {
    if (isCode(value)) return 'code'
    if (isPhoneCode(value)) return 'e.detail.code'
    if (value === '{{filePath}}') return 'filePath'
    if (name === 'device' && value === 'playground') return 'wx.getDeviceInfo().model'
    if (value === '{{requestId}}' || value === '{{nonce}}') return 'Math.random().toString(36).slice(2) + Date.now().toString(36)'
    if (value === '{{refreshToken}}') return "wx.getStorageSync('refreshToken')"
    return quoted(fill(value, null))
  }
  if (value === null || typeof value !== 'object') return JSON.stringify(value)
  const array = Array.isArray(value)
  const parts = array ? value.map((v) => literal(v, `${indent}  `)) : Object.entries(value).map(([own, v]) => {
    const text = literal(v, `${indent}  `, own)
    const key = keyOf(own)
    return key === text ? key : `${key}: ${text}`
  })
  const [open, close] = array ? '[]' : '{}'
  if (parts.length === 0) return open + close
  const line = array ? `[${parts.join(', ')}]` : `{ ${parts.join(', ')} }`
  if (line.length + indent.length <= 90 && !line.includes('\n')) return line
  return `${open}\n${parts.map((part) => `${indent}  ${part},\n`).join('')}${indent}${close}`
}
