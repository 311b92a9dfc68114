// What a client does about a code, in both languages.
const advice = {
  UNAUTHENTICATED: ['Refresh the session; if that fails, log in again.', '刷新会话；不行就重新登录。'],
  LOG_IN_AGAIN: ['Log in again with wx.login; refreshing does not help.', '重新调用 wx.login 登录；刷新没有用。'], // a hint
  DELETION_PENDING: ['The user has deleted the account, and a login restores it: ask them first.', '用户已注销账号，登录会恢复它：请先询问用户。'], // a hint
  LOGIN_CODE_REJECTED: ['Call wx.login again, for a new code.', '重新调用 wx.login 获取新的 code。'],
  ACCOUNT_BLOCKED: ['WeChat refuses this person: tell them.', '微信拒绝了该账号：请告知用户。'],
  BAD_USER_INPUT: ['Mark the field; the message is for developers.', '在对应字段处提示用户；message 是给开发者看的。'],
  CONFLICT: ['The profile has changed: read it again, then decide.', '资料已变化：重新读取后再决定。'],
  CONTENT_REJECTED: ['Ask for another nickname or picture.', '请用户换一个昵称或头像。'],
  CONSENT_REQUIRED: ['Ask the user for consent.', '先征得用户同意。'],
  RATE_LIMITED: ['Wait, then try again.', '稍等片刻再试。'],
  UPSTREAM_UNAVAILABLE: ['Try again after a while.', '过一会儿再试。'],
  PAYLOAD_TOO_LARGE: ['Send less: a smaller picture, for instance.', '内容太大：例如换一张小一点的图片。'],
  READ_ONLY: ['Nothing can be changed for a while: try again later.', '服务暂时只读，稍后再试。'],
  UPSTREAM_MISCONFIGURED: ['Nothing a client can do: the operator must act.', '前端无能为力：需要运维处理。'],
  INTERNAL: ['Report the request id.', '把请求 ID 报给后端。'],
  NOT_FOUND: ['There is nothing at this address.', '这个地址上没有内容。'],
  PERSISTED_QUERY_NOT_FOUND: ['Send the query itself, with its hash.', '连同哈希一起发送查询原文。'],
  DOCUMENT_NOT_TRUSTED: ['Nothing a client can do: the operator lists the documents that are carried out.', '前端无能为力：服务端只执行运维人员登记过的 GraphQL 文档。'],
  ...Object.fromEntries([
    'BAD_REQUEST', 'GRAPHQL_PARSE_FAILED', 'GRAPHQL_VALIDATION_FAILED',
    'METHOD_NOT_ALLOWED', 'NOT_ACCEPTABLE', 'UNSUPPORTED_MEDIA_TYPE',
  ].map((code) => [code, ['The request itself is wrong: correct the program.', '请求本身写错了：请修改程序。']])),
  // The page's own:
  NETWORK: ['The server did not answer.', '服务器没有响应。'],
  NO_JSON: ['The answer is not of the API: something stands in between.', '响应不是 API 返回的，可能来自中间的代理。'],
}

// adviceFor is undefined for a code that is not known here.
export const adviceFor = (code, current) => advice[code]?.[current === 'zh' ? 1 : 0]
