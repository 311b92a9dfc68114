const { createClient } = require('./miniprofile/index');
const config = require('./config');

/** 沙箱不认识真正的 code，所以换掉 wx.login；其余都是 wx 本身。 */
function sandbox(/** @type {string} */ person) {
  return Object.create(wx, {
    login: {
      value: (/** @type {WechatMiniprogram.LoginOption} */ { success }) => {
        if (success) success({ code: `${person}~${Date.now()}${Math.random()}`, errMsg: 'login:ok' });
      },
    },
  });
}

App({
  client: createClient({ url: config.url, platform: config.sandboxPerson ? sandbox(config.sandboxPerson) : wx }),

  onLaunch() {
    // 启动就登录，页面打开时多半已经好了。失败也不要紧：每次调用都会自己登录。
    if (!this.client.signedOut) this.client.login().catch(() => {});
    this.client.on('error', (error) => console.warn(error.code, error.requestId || '', error.message));
  },
});
