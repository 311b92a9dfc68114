const config = require('../../config');
const operations = require('../../operations');

/** @type {{client: import('../../miniprofile/index').Client}} */
const app = getApp();

/** 微信和页面在等的回答，可能不止一个。 @type {((answer: any) => void)[]} */
const waiting = [];
/** 最近一次留下的记录。 @type {Promise<any>} */
let record;

Component({
  data: { open: false, own: false, contract: '《用户隐私保护指引》' },

  lifetimes: {
    attached() {
      if (!wx.getPrivacySetting) return; // 基础库 2.32.3 之前没有
      wx.getPrivacySetting({
        success: (setting) => {
          if (setting.needAuthorization) this.setData({ open: true, contract: setting.privacyContractName });
        },
      });
      // 用到头像、昵称、手机号时，微信先问这里。
      wx.onNeedPrivacyAuthorization((resolve) => {
        waiting.push(/** @type {any} */ (resolve));
        this.setData({ open: true, own: false });
      });
    },
  },

  methods: {
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
