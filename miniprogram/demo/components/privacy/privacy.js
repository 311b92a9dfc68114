const config = require('../../config');
const operations = require('../../operations');

/** @type {{client: import('../../miniprofile/index').Client}} */
const app = getApp();

/** 微信在等的回答，可能不止一个。 @type {((answer: any) => void)[]} */
const waiting = [];

Component({
  data: { open: false, contract: '《用户隐私保护指引》' },

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
        this.setData({ open: true });
      });
    },
  },

  methods: {
    read() { wx.openPrivacyContract({}); },

    agree() {
      this.setData({ open: false });
      waiting.splice(0).forEach((resolve) => resolve({ event: 'agree', buttonId: 'agree' }));
      // 微信那边有记录，自己也要留一份：什么目的、哪个版本、什么时候。
      app.client.query(
        operations.recordConsent,
        { input: { consent: { scopes: ['NICKNAME', 'AVATAR', 'PHONE'], purpose: '展示您的资料', policyVersion: config.policyVersion } } },
        { safe: true },
      ).catch(() => {});
    },

    refuse() {
      this.setData({ open: false });
      waiting.splice(0).forEach((resolve) => resolve({ event: 'disagree' }));
    },
  },
});
