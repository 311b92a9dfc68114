const operations = require('../../operations');
const { say, tell, when, scopes } = require('../../words');
const config = require('../../config');

/** @type {{client: import('../../miniprofile/index').Client}} */
const app = getApp();

Component({
  data: {
    busy: '',
    size: '',
    text: '',
    /** @type {{scope: string, name: string, purpose: string, granted: string}[] | null} null：还不知道 */
    consents: null,
    error: '',
  },

  lifetimes: {
    attached() { this.refresh(); },
  },

  methods: {
    async refresh() {
      this.setData({ error: '' });
      try {
        this.show((await app.client.query(operations.consents)).me.consents);
      } catch (error) {
        this.setData({ error: say(error) });
      }
    },

    /** 撤回过的也有记录，不再显示。 @param {import('../../miniprofile/index').Consent[]} consents */
    show(consents) {
      this.setData({
        consents: consents.filter((c) => !c.withdrawnAt)
          .map(({ scope, purpose, grantedAt }) => ({ scope, name: scopes[scope] || scope, purpose, granted: when(grantedAt) })),
      });
    },

    /** 撤回同意，服务器就删除这项资料。 @param {any} e */
    async withdraw(e) {
      const { scope, name } = e.currentTarget.dataset;
      const { confirm } = await wx.showModal({
        title: '撤回同意', content: `您的${name}会被${scope === 'PHONE' ? '解除绑定并' : ''}删除。以后愿意时，可以重新提供。`, confirmText: '撤回', confirmColor: '#c62a2f',
      });
      if (!confirm || this.data.busy) return;
      this.setData({ busy: scope });
      wx.removeStorageSync('agreed'); // 再提供资料时，先问；没有收到回答，也可能已经撤回
      try {
        const { withdrawConsent: { user } } = await app.client.query(operations.withdrawConsent, { input: { scopes: [scope] } }, { safe: true });
        this.show(user.consents);
        wx.showToast({ title: '已撤回', icon: 'success' });
      } catch (error) {
        tell(error);
      } finally {
        this.setData({ busy: '' });
      }
    },

    read() { this.selectComponent('#privacy').read(); },

    async exportData() {
      if (this.data.busy) return;
      this.setData({ busy: 'export' });
      try {
        const { me } = await app.client.query(operations.export);
        const text = JSON.stringify(me.export, null, 2);
        this.setData({ text, size: `${text.length} 个字符` });
      } catch (error) {
        tell(error);
      } finally {
        this.setData({ busy: '' });
      }
    },

    /** 剪切板也要隐私授权；成功时微信自己会提示。 */
    copy() {
      wx.setClipboardData({
        data: this.data.text,
        fail: ({ errMsg }) => {
          console.warn(errMsg);
          wx.showToast({ title: '没有复制成功，可以长按文字来复制', icon: 'none', duration: 3000 });
        },
      });
    },

    /** 注销要用新的 code 证明是本人。 */
    async deleteAccount() {
      const { confirm } = await wx.showModal({
        title: '注销账号', content: '头像、昵称、手机号等资料都会被删除，所有设备都会退出登录。', confirmText: '注销', confirmColor: '#c62a2f',
      });
      if (!confirm || this.data.busy) return;
      this.setData({ busy: 'delete' });
      try {
        const code = config.sandboxPerson ? `${config.sandboxPerson}~${Date.now()}` : (await wx.login()).code;
        const { deleteAccount: { erasedAt } } = await app.client.query(operations.deleteAccount, { input: { code } });
        app.client.logout().catch(() => {}); // 会话已经没有了，这里忘掉令牌
        wx.removeStorageSync('agreed'); // 新的账号要重新问
        // 服务器可能留了反悔的时间：在那之前登录，账号就恢复了。
        if (Date.parse(erasedAt) > Date.now() + 60000) {
          wx.setStorageSync('deleted', true); // 再登录时先问
          wx.showToast({ title: `将于${when(erasedAt)}删除，此前登录可恢复`, icon: 'none', duration: 3000 });
        } else wx.showToast({ title: '已注销', icon: 'success' });
        wx.navigateBack({});
      } catch (error) {
        tell(error);
      } finally {
        this.setData({ busy: '' });
      }
    },
  },
});
