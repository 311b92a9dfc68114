// Every word of the page, in both languages.
import { useMemo } from 'react'
import { createKeptStore, useStore } from './store.js'

const first = (navigator.languages?.[0] ?? navigator.language ?? 'en').toLowerCase().startsWith('zh') ? 'zh' : 'en'

export const language = createKeptStore(localStorage, 'miniprofile.language', first)

const words = {
  title: ['Playground', '接口调试台'],
  sandbox: ['Sandbox', '沙箱'],
  sandboxHint: ['WeChat is simulated: anyone can be anyone.', '微信由沙箱模拟，你可以扮演任何人。'],
  signInAs: ['Sign in as', '一键登录'],
  chooseWho: ['Sign in as…', '选择登录身份'],
  more: ['More…', '更多…'],
  signOut: ['Sign out', '退出登录'],
  refreshNow: ['Refresh the tokens', '立即刷新令牌'],
  copyToken: ['Copy the access token', '复制访问令牌'],
  account: ['Account', '账号'],
  otherPerson: ['Somebody else', '换个身份'],
  trouble: ['Trouble', '故障演练'],
  troubleHint: ['What a client must be able to take.', '客户端应当能妥善处理的情况。'],
  anyName: ['any name: a-z 0-9 _ -', '任意名字：a-z 0-9 _ -'],
  app: ['Mini program', '小程序'],
  close: ['Close', '关闭'],
  token: ['Access token', '访问令牌'],
  tokenHint: ['Kept in this tab only.', '只保存在当前标签页。'],
  useToken: ['Use it', '使用'],
  operations: ['Operations', '常用操作'],
  operationsHint: ['Ready to run. Each opens in a tab.', '开箱即用，点击后在标签页中打开。'],
  docs: ['Docs', '文档'],
  explorer: ['Explorer', '字段浏览器'],
  history: ['History', '历史'],
  run: ['Run', '运行'],
  stop: ['Stop', '停止'],
  prettify: ['Prettify', '格式化'],
  copyAs: ['Copy as', '复制为'],
  copied: ['Copied', '已复制'],
  copy: ['Copy', '复制'],
  withToken: ['with my tokens', '带上我的令牌'],
  withTokenHint: ['Whoever has them is you.', '拿到令牌的人就等于你。'],
  client: ['client', '客户端'],
  operation: ['Operation', '操作'],
  variables: ['Variables', '变量'],
  headers: ['Headers', '请求头'],
  response: ['Response', '响应'],
  responseEmpty: ['Run an operation to see its answer here.', '运行一个操作，响应会显示在这里。'],
  newTab: ['New tab', '新建标签页'],
  closeTab: ['Close the tab', '关闭标签页'],
  chooseFile: ['Choose a picture…', '选择图片…'],
  removeFile: ['Remove', '移除'],
  goesTo: ['goes to', '对应变量'],
  picture: ['The picture in the answer', '响应中的头像'],
  dark: ['Dark', '深色'],
  light: ['Light', '浅色'],
  system: ['As the system', '跟随系统'],
  theme: ['Theme', '主题'],
  failed: ['The server cannot be reached. Is it running?', '连接不上服务器。它在运行吗？'],
  noOperation: ['Write an operation first.', '请先写一个操作。'],
}

// advice is what a client does about a code.
export const advice = {
  UNAUTHENTICATED: ['Refresh the session; if that fails, log in again.', '刷新会话；不行就重新登录。'],
  LOGIN_CODE_REJECTED: ['Call wx.login again, for a new code.', '重新调用 wx.login 获取新的 code。'],
  ACCOUNT_BLOCKED: ['WeChat refuses this person: tell them.', '微信拒绝了该账号：请告知用户。'],
  BAD_USER_INPUT: ['Show the message at the field.', '在对应字段旁显示错误信息。'],
  CONFLICT: ['The profile has changed: read it again, then decide.', '资料已变化：重新读取后再决定。'],
  CONTENT_REJECTED: ['Ask for another nickname or picture.', '请用户换一个昵称或头像。'],
  CONSENT_REQUIRED: ['Ask the user for consent.', '先征得用户同意。'],
  RATE_LIMITED: ['Wait, then try again.', '稍等片刻再试。'],
  UPSTREAM_UNAVAILABLE: ['Try again after a while.', '过一会儿再试。'],
  UPSTREAM_MISCONFIGURED: ['Nothing a client can do: the operator must act.', '前端无能为力：需要运维处理。'],
  INTERNAL: ['Report the request id.', '把请求 ID 报给后端。'],
  NETWORK: ['The server did not answer.', '服务器没有响应。'],
}

const wrong = ['The request itself is wrong: correct the program.', '请求本身写错了：请修改程序。']

const choose = (pair, current) => pair?.[current === 'zh' ? 1 : 0]

export const adviceFor = (code, current) => choose(advice[code] ?? wrong, current)

export const word = (name) => choose(words[name], language.get())

// useWords returns t, which gives the word of a name, the language, and say, which
// chooses between two texts.
export function useWords() {
  const current = useStore(language)
  return useMemo(() => ({
    t: (name) => choose(words[name], current), current, say: (en, zh) => (current === 'zh' ? zh : en),
  }), [current])
}
