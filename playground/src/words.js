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
  refreshed: ['The tokens are new.', '令牌已刷新。'],
  notRefreshed: ['The tokens could not be refreshed: the server did not answer.', '令牌未能刷新：服务器没有响应。'],
  tokenCopied: ['The access token is copied.', '访问令牌已复制。'],
  notCopied: ['The browser did not let it be copied.', '浏览器不允许复制。'],
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
  operationsHint: ['Each opens in a tab; then press Run.', '点击后在标签页中打开，再点“运行”。'],
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
  withTokenHint: ['Whoever has them is you.', '任何人拿到令牌都可以冒充你。'],
  client: ['client', '客户端'],
  operation: ['Operation', '操作'],
  leaveEditor: ['Tab leaves the editor; Ctrl-M (⌃⇧M on a Mac) lets it indent.', 'Tab 键移出编辑器；按 Ctrl-M（Mac 为 ⌃⇧M）可改为缩进。'],
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
  brokenJSON: ['Variables or headers are not JSON.', '变量或请求头不是合法的 JSON。'],
  noFile: ['No picture was chosen: null was sent, which removes the one that was there.', '没有选择图片：发送的是 null，原有头像已移除。'],
  noOperation: ['Write an operation first.', '请先写一个操作。'],
}

const choose = (pair, current) => pair?.[current === 'zh' ? 1 : 0]

export const word = (name) => choose(words[name], language.get())

// useWords returns t, which gives the word of a name, the language, and say, which
// chooses between two texts.
export function useWords() {
  const current = useStore(language)
  return useMemo(() => ({
    t: (name) => choose(words[name], current), current, say: (en, zh) => (current === 'zh' ? zh : en),
  }), [current])
}
