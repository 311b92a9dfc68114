// The operations that are ready to run. Each is shown where the server's schema
// has what it asks for, so those of a younger server appear by themselves.
import {
  getNamedType, getNullableType, isEnumType, isInputObjectType, isLeafType, isListType, isNonNullType, isObjectType, parse, validate,
} from 'graphql'

const tokens = `tokens {
      accessToken
      accessTokenExpiresAt
      refreshToken
      refreshTokenExpiresAt
    }`

// Each has its names and comments in both languages, and either a document or
// the field of Mutation or User that one is made for.
const ready = [
  {
    en: 'Log in', zh: '登录',
    comment: [
      '登录：用 wx.login 给的 code 换取会话。沙箱里 code 写作 PERSON~NONCE，{{…}} 在发送时自动填入。',
      'Log in with the code of wx.login. In the sandbox a code is PERSON~NONCE; {{…}} is filled in when it is sent.',
    ],
    document: `mutation Login($input: LoginInput!) {
  login(input: $input) {
    created
    user { id nickname }
    ${tokens}
  }
}`,
    variables: ({ apps }) => ({
      input: {
        code: apps.length ? '{{person}}~{{nonce}}' : 'CODE_OF_WX_LOGIN',
        requestId: '{{requestId}}',
        ...(apps.length > 1 && { appId: apps[0] }),
        device: 'playground',
      },
    }),
  },
  {
    en: 'Who am I', zh: '我是谁',
    comment: ['当前登录用户的资料。令牌会自动带上。', 'The profile of whoever is signed in. The token is sent by itself.'],
    document: `query Me {
  me {
    id
    version
    nickname
    avatar { url(size: SMALL) status }
    gender
    birthday
    region { country province city }
    preferences
    createdAt
    updatedAt
  }
}`,
  },
  {
    en: 'Set the nickname', zh: '修改昵称',
    comment: ['修改资料：不写的字段保持原样，null 清空，有值则设置。', 'Change the profile: absent leaves a field as it is, null clears it, a value sets it.'],
    document: `mutation SetNickname($input: UpdateProfileInput!) {
  updateProfile(input: $input) {
    user { id version nickname gender region { province city } preferences }
  }
}`,
    variables: () => ({
      input: { nickname: '小明', gender: 'OTHER', region: { country: '中国', province: '广东', city: '深圳' }, preferences: { theme: 'dark' } },
    }),
  },
  {
    en: 'Set the picture', zh: '上传头像',
    comment: ['上传头像：先在上方选择一张图片，再运行。', 'Upload a picture: choose one above, then run.'],
    document: `mutation SetPicture($input: UpdateProfileInput!) {
  updateProfile(input: $input) {
    user { id avatar { url(size: LARGE) status } }
  }
}`,
    variables: () => ({ input: { avatar: null } }),
  },
  {
    en: 'Sessions', zh: '登录设备',
    comment: ['账号在哪些设备上登录，以及最近发生了什么。', 'Where I am signed in, and what happened to the account lately.'],
    document: `query Sessions {
  me {
    sessions { id current device appId createdAt seenAt expiresAt }
    audit { at event sessionId fields }
  }
}`,
  },
  {
    en: 'Phone number', zh: '手机号', mutation: 'bindPhoneNumber',
    comment: ['绑定手机号：用手机号按钮给的 code。沙箱里 code 写作 phone~号码~NONCE，{{phone}} 因人而异。', 'Bind the phone number with the code of the phone button. In the sandbox a code is phone~NUMBER~NONCE; {{phone}} is another for each person.'],
    samples: { code: ({ apps }) => (apps.length ? 'phone~{{phone}}~{{nonce}}' : 'CODE_OF_PHONE_BUTTON') },
  },
  {
    en: 'Import from WeChat', zh: '导入微信资料', mutation: 'importWeChatProfile',
    comment: [
      '导入微信资料：把 wx.getUserInfo 给的 encryptedData 和 iv 粘贴到变量里。沙箱里打开 /sandbox/opendata?person=PERSON 即可得到，PERSON 是当前登录的人。',
      'Import what WeChat knows: paste encryptedData and iv of wx.getUserInfo. In the sandbox /sandbox/opendata?person=PERSON has them, for the PERSON who is signed in.',
    ],
    samples: { encryptedData: () => 'ENCRYPTED_DATA', iv: () => 'IV' },
  },
  {
    en: 'My consents', zh: '我的同意记录', user: 'consents',
    comment: ['我同意过哪些用途。', 'What I have agreed to.'],
  },
  {
    en: 'Record consent', zh: '记录同意', mutation: 'recordConsent',
    comment: ['记录用户对某一用途的同意。', 'Record that the user agrees to a purpose.'],
  },
  {
    en: 'Withdraw consent', zh: '撤回同意', mutation: 'withdrawConsent',
    comment: ['撤回同意：它所涵盖的数据随之删除。', 'Withdraw a consent: what it covered is deleted.'],
  },
  {
    en: 'Direct upload', zh: '直传头像', mutation: 'createAvatarUpload',
    comment: ['申请直传：得到一份可原样用于 wx.uploadFile 的表单。', 'Ask for a direct upload: the form fits wx.uploadFile as it is.'],
    samples: { contentType: () => 'image/jpeg', size: () => 204800 },
  },
  {
    en: 'Export my data', zh: '导出数据', user: 'export',
    comment: ['导出：我们保存的关于我的一切。', 'Export: everything that is held on me.'],
  },
  {
    en: 'Refresh', zh: '刷新令牌',
    comment: ['刷新令牌。过期时本页会自动刷新，这里供你观察。', 'Trade the refresh token for new tokens. This page does it by itself in time; here you can watch.'],
    document: `mutation Refresh($input: RefreshSessionInput!) {
  refreshSession(input: $input) {
    ${tokens}
  }
}`,
    variables: () => ({ input: { refreshToken: '{{refreshToken}}' } }),
  },
  {
    en: 'Log out', zh: '退出登录',
    comment: ['退出登录：结束当前会话。{sessionId} 指定某一台，{everywhere: true} 全部退出。', 'Log out: ends this session. {sessionId} ends one of the others, {everywhere: true} all.'],
    document: `mutation Logout($input: LogoutInput) {
  logout(input: $input) { ended }
}`,
    variables: () => ({ input: { everywhere: false } }),
  },
  {
    en: 'Merge accounts', zh: '合并账号', mutation: 'mergeAccount',
    comment: [
      '合并账号：把另一个账号并入当前账号，凭对方新的 wx.login code。沙箱里对方要先登录过一次。',
      'Merge another account into this one: a fresh code of its person is the proof. In the sandbox that person must have logged in once.',
    ],
    samples: { code: ({ apps }) => (apps.length ? 'bob~{{nonce}}' : 'CODE_OF_WX_LOGIN') },
  },
  {
    en: 'Delete the account', zh: '注销账号', mutation: 'deleteAccount',
    comment: ['注销账号：需要一个新的 wx.login code 作为凭证。', 'Delete the account: a fresh code of wx.login is the proof.'],
  },
]

// operationsFor returns {en, zh, comment, query, variables} for all that schema can do.
export function operationsFor(schema, settings) {
  return ready.flatMap((operation) => {
    const made = operation.document ? { document: operation.document, variables: operation.variables?.(settings) }
      : operation.mutation ? mutation(schema, operation, settings) : query(schema, operation)
    if (!made || validate(schema, parse(made.document)).length > 0) return []
    return [{
      en: operation.en, zh: operation.zh, comment: operation.comment,
      query: `${operation.comment.map((line) => `# ${line}`).join('\n')}\n${made.document}\n`,
      variables: made.variables ? JSON.stringify(made.variables, null, 2) : '',
    }]
  })
}

const capital = (name) => name[0].toUpperCase() + name.slice(1)

// mutation makes a document and variables for a field of Mutation with one input.
function mutation(schema, { mutation: name, samples = {} }, settings) {
  const field = schema.getMutationType()?.getFields()[name]
  if (!field) return null
  const [input] = field.args
  const type = input && getNamedType(input.type)
  const head = input ? `mutation ${capital(name)}($${input.name}: ${input.type})` : `mutation ${capital(name)}`
  const call = input ? `${name}(${input.name}: $${input.name})` : name
  return {
    document: `${head} {\n  ${call}${selection(field.type, 2, '  ')}\n}`,
    variables: input && { [input.name]: isInputObjectType(type) ? sample(type, samples, settings) : null },
  }
}

// query makes a document for a field of the signed-in user.
function query(schema, { user: name }) {
  const field = schema.getType('User')?.getFields?.()[name]
  if (!field || field.args.some((a) => isNonNullType(a.type) && a.defaultValue === undefined)) return null
  return { document: `query ${capital(name)} {\n  me {\n    ${name}${selection(field.type, 2, '    ')}\n  }\n}` }
}

// user are the fields of a user that a mutation shows: what it may have changed, and
// nothing that is dear to read, as export is.
const user = ['id', 'version', 'nickname', 'gender', 'region { country province city }', 'phone { countryCode number }']

// selection selects the plain fields of a type, and of those within it.
function selection(type, depth, indent) {
  const named = getNamedType(type)
  if (!isObjectType(named)) return ''
  const lines = named.name === 'User' ? user : Object.values(named.getFields()).flatMap((field) => {
    if (field.args.some((a) => isNonNullType(a.type) && a.defaultValue === undefined)) return []
    if (isLeafType(getNamedType(field.type))) return [field.name]
    if (depth <= 1) return []
    const inner = selection(field.type, depth - 1, `${indent}  `)
    return inner ? [field.name + inner] : []
  })
  return lines.length ? ` {\n${lines.map((line) => `${indent}  ${line}\n`).join('')}${indent}}` : ''
}

// sample makes a value for an input type: its required fields, and those that
// say what the operation is about.
function sample(type, samples, settings) {
  const entries = Object.values(type.getFields()).flatMap((field) => {
    const given = samples[field.name] ?? common[field.name]
    if (given) return [[field.name, given(settings)]]
    if (!isNonNullType(field.type) || field.defaultValue !== undefined) return []
    const named = getNamedType(field.type)
    const one = isInputObjectType(named) ? sample(named, samples, settings)
      : isEnumType(named) ? named.getValues()[0].name
        : { Boolean: true, Int: 1, Float: 1 }[named.name] ?? '…'
    return [[field.name, isListType(getNullableType(field.type)) ? [one] : one]]
  })
  return Object.fromEntries(entries)
}

const common = {
  code: ({ apps }) => (apps.length ? '{{person}}~{{nonce}}' : 'CODE_OF_WX_LOGIN'),
  purpose: () => '在评论中显示昵称',
  policyVersion: () => '2026-11-01',
}
