/** 给用户看的话，按错误的 code。 @type {Record<string, string>} */
const words = {
  NETWORK: '网络不太好，请稍后再试',
  TIMEOUT: '服务器没有回应，请稍后再试',
  HTTP: '服务暂时不可用，请稍后再试',
  LOGIN_FAILED: '微信登录没有成功，请稍后再试',
  LOGIN_CODE_REJECTED: '微信登录没有成功，请再试一次',
  DELETION_PENDING: '账号已注销，数据尚未删除', // 是 hint
  ACCOUNT_BLOCKED: '微信暂时不允许这个账号登录',
  RATE_LIMITED: '操作太频繁了，请稍等一会儿',
  UPSTREAM_UNAVAILABLE: '服务正忙，请稍后再试',
  READ_ONLY: '服务正在维护，暂时不能修改，请稍后再试',
  CONTENT_REJECTED: '内容没有通过审核，请换一个',
  CONSENT_REQUIRED: '请先阅读并同意隐私保护指引',
  PAYLOAD_TOO_LARGE: '图片太大了，请换一张',
  GRAPHQL_VALIDATION_FAILED: '服务器的版本较旧，还没有这个功能',
};
/** @type {Record<string, string>} */
const fields = {
  nickname: '昵称限 1 到 32 个字，不能有换行等控制字符', avatar: '这张图片不能用，请换一张', size: '图片太大了，请换一张',
  code: '授权已经过期，请再点一次', move: '这个手机号已绑定其他账号',
};

/** 用户可以同意收集的资料。 @type {Record<string, string>} */
const scopes = { AVATAR: '头像', NICKNAME: '昵称', PHONE: '手机号', GENDER: '性别', BIRTHDAY: '生日', REGION: '地区', PREFERENCES: '偏好设置' };

/** @param {any} error @returns {string} */
function say(error) {
  if (/file not found|no such file/i.test(error.message)) return '找不到这张图片，请重新选择'; // 微信删了临时文件
  if (error.code === 'BAD_USER_INPUT' && fields[error.field]) return fields[error.field];
  return words[error.hint] || words[error.code] || `出了点问题${error.requestId ? `（编号 ${error.requestId}）` : ''}`;
}

/** 告诉用户出了什么事；自己取消的不用说。 @param {any} error */
function tell(error) {
  if (error.code !== 'ABORTED' && error.code !== 'SIGNED_OUT') wx.showToast({ title: say(error), icon: 'none', duration: 3000 });
}

/** @param {string} time 的形式是 2026-11-22T09:30:00.123Z @returns {string} */
function when(time) {
  const d = new Date(time);
  const two = (/** @type {number} */ n) => (n < 10 ? `0${n}` : `${n}`);
  return `${d.getFullYear()}年${d.getMonth() + 1}月${d.getDate()}日 ${two(d.getHours())}:${two(d.getMinutes())}`;
}

module.exports = { say, tell, when, scopes };
