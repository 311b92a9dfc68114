const config = require('../../config');
const operations = require('../../operations');

/** @type {{client: import('../../miniprofile/index').Client}} */
const app = getApp();

/** 微信和页面在等的回答，可能不止一个。 @type {((answer: any) => void)[]} */
const waiting = [];
/** 最近一次留下的记录。 @type {Promise<any>} */
let record;

Component({
  /** 是否一打开页面就问，不等用到的时候。 */
  properties: { early: Boolean },

  data: { open: false, own: false, contract: '《用户隐私保护指引》' },

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

    /** 自己的服务器要用户的同意时，由页面来问。 @returns {Promise<boolean>} 同意了，并且留下了记录 */
    ask() {
      // 微信那边可能早已同意过，它的按钮就不一定有回音，所以用普通的按钮。
      this.setData({ open: true, own: !waiting.length });
      return new Promise((resolve) => {
        waiting.push(({ event }) => resolve(event === 'agree' && record.then(() => true)));
      });
    },

    read() { wx.openPrivacyContract({}); },

    agree() {
      this.setData({ open: false });
      // 微信那边有记录，自己也要留一份：什么目的、哪个版本、什么时候。
      record = app.client.query(
        operations.recordConsent,
        { input: { consent: { scopes: ['NICKNAME', 'AVATAR', 'PHONE'], purpose: '展示您的资料', policyVersion: config.policyVersion } } },
        { safe: true },
      );
      record.catch(() => {}); // 没有留下的话，服务器要它的时候再问
      waiting.splice(0).forEach((resolve) => resolve({ event: 'agree', buttonId: 'agree' }));
    },

    refuse() {
      this.setData({ open: false });
      waiting.splice(0).forEach((resolve) => resolve({ event: 'disagree' }));
    },
  },
});
