const config = require('../../config');
const { scopes } = require('../../words');

/** 微信和页面在等的回答，可能不止一个。 @type {((answer: any) => void)[]} */
const waiting = [];

Component({
  /** 是否一打开页面就问，不等用到的时候。 */
  properties: { early: Boolean },

  data: {
    open: false,
    own: false,
    contract: '《用户隐私保护指引》',
    purposes: Object.entries(config.purposes).map(([scope, purpose]) => ({ name: scopes[scope], purpose })),
  },

  lifetimes: {
    attached() {
      if (!wx.getPrivacySetting) return; // 基础库 2.32.3 之前没有
      wx.getPrivacySetting({
        success: (setting) => {
          this.setData({ open: this.data.early && setting.needAuthorization, contract: setting.privacyContractName });
        },
      });
      this.listen();
    },
    detached() { this.refuse(); }, // 没有回答就离开了
  },

  pageLifetimes: {
    show() { this.listen(); }, // 从也有这个组件的页面回来：只有最后一次监听有效
  },

  methods: {
    /** 用到头像、昵称、手机号、剪切板时，微信先问这里。 */
    listen() {
      if (!wx.onNeedPrivacyAuthorization) return;
      wx.onNeedPrivacyAuthorization((resolve) => {
        waiting.push(/** @type {any} */ (resolve));
        this.setData({ open: true, own: false });
      });
    },

    /** 收集资料之前，由页面来问；这一版的指引已经同意过，就不再问。 @returns {Promise<boolean>} 是否同意 */
    ask() {
      if (wx.getStorageSync('agreed') === config.policyVersion) return Promise.resolve(true);
      // 微信那边可能早已同意过，它的按钮就不一定有回音，所以用普通的按钮。
      this.setData({ open: true, own: !waiting.length });
      return new Promise((resolve) => {
        waiting.push(({ event }) => resolve(event === 'agree'));
      });
    },

    read() {
      const say = (/** @type {string} */ title) => wx.showToast({ title, icon: 'none', duration: 3000 });
      if (wx.openPrivacyContract) wx.openPrivacyContract({ fail: () => say('现在打不开，请稍后再试') });
      else say('微信版本太旧，请更新后查看');
    },

    agree() {
      this.setData({ open: false });
      wx.setStorageSync('agreed', config.policyVersion); // 服务器上的记录，和每一项资料一起送去
      waiting.splice(0).forEach((resolve) => resolve({ event: 'agree', buttonId: 'agree' }));
    },

    refuse() {
      this.setData({ open: false });
      waiting.splice(0).forEach((resolve) => resolve({ event: 'disagree' }));
    },
  },
});
