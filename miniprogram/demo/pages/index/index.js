const { say, tell } = require('../../words');
const config = require('../../config');
const operations = require('../../operations');

/** @type {{client: import('../../miniprofile/index').Client}} */
const app = getApp();

/** 沙箱里每个人有自己的号码。 @param {string} person */
function numberOf(person) {
  let sum = 0;
  for (let i = 0; i < person.length; i++) sum = (sum * 31 + person.charCodeAt(i)) % 1e8;
  return `138${`${sum}`.padStart(8, '0')}`;
}

Component({
  data: {
    /** @type {import('../../miniprofile/index').Profile | null} */
    user: null,
    signedOut: false,
    /** 账号已经注销，还没有删除 */
    deleted: false,
    error: '',
    nickname: '',
    saving: false,
    uploading: 0,
    /** @type {string | null} null：还不知道 */
    phone: null,
    sandbox: !!config.sandboxPerson,
  },

  lifetimes: {
    attached() { this.refresh(); },
  },

  pageLifetimes: {
    // 从别的页面回来：可能已经退出，也可能换了人。
    show() { if (this.data.user || this.data.signedOut || this.data.deleted) this.refresh(); },
  },

  methods: {
    async refresh() {
      if (app.client.signedOut) {
        this.setData({ user: null, signedOut: true, deleted: false, error: '' });
        return;
      }
      this.setData({ error: '' });
      try {
        this.show(await app.client.me());
        this.readPhone();
      } catch (error) {
        this.fail(error);
      }
    },

    /** @param {any} error */
    fail(error) {
      if (error.hint === 'DELETION_PENDING') this.setData({ user: null, deleted: true });
      else if (this.data.user || this.data.signedOut || this.data.deleted) tell(error);
      else this.setData({ error: say(error) });
    },

    /** @param {import('../../miniprofile/index').Profile} user */
    show(user) {
      const same = this.data.user && this.data.user.id === user.id;
      this.setData({ user, signedOut: false, deleted: false, nickname: user.nickname || '', phone: same ? this.data.phone : null });
    },

    async login() {
      const { deleted } = this.data;
      if (deleted || wx.getStorageSync('deleted')) {
        // 登录会恢复还没有删除的账号，所以先问。
        const { confirm } = await wx.showModal({ title: '恢复账号', content: '您已注销这个账号。如果数据尚未删除，登录后账号会恢复，注销随之取消。', confirmText: '恢复' });
        if (!confirm) return;
      }
      wx.showLoading({ title: '正在登录', mask: true });
      try {
        this.show((await app.client.login({ fresh: deleted })).user);
        wx.removeStorageSync('deleted');
        this.readPhone();
      } catch (error) {
        tell(error);
      } finally {
        wx.hideLoading();
      }
    },

    /**
     * 收集一项资料：用户同意之后，同意的记录和资料一起送去。
     * @template T
     * @param {keyof typeof config.purposes} scope
     * @param {(consent?: import('../../miniprofile/index').ConsentInput) => Promise<T>} send
     */
    async collect(scope, send) {
      if (!(await this.selectComponent('#privacy').ask())) throw Object.assign(new Error('refused'), { code: 'CONSENT_REQUIRED' });
      try {
        return await send({ scopes: [scope], purpose: config.purposes[scope], policyVersion: config.policyVersion });
      } catch (error) {
        const { code, field } = /** @type {any} */ (error);
        if (code !== 'BAD_USER_INPUT' || field) throw error;
        return send(); // 较旧的服务器不认识 consent
      }
    },

    /** 微信给的是本机的临时文件，要马上传走。 @param {any} e */
    async chooseAvatar(e) {
      if (!this.data.user) {
        wx.showToast({ title: '请先登录', icon: 'none' }); // 选的时候退出了
        return;
      }
      if (this.data.uploading) return;
      this.setData({ uploading: 1 });
      try {
        this.show(await this.collect('AVATAR', (consent) => app.client.updateProfile({ avatar: e.detail.avatarUrl, consent }, {
          onProgress: ({ progress }) => this.setData({ uploading: Math.max(1, progress) }),
        })));
      } catch (error) {
        this.fail(error);
      } finally {
        this.setData({ uploading: 0 });
      }
    },

    /** 微信会在失焦时检查昵称，不合适就清空，所以从表单里取最后的值。 @param {any} e */
    async saveNickname(e) {
      const nickname = (e.detail.value.nickname || '').trim();
      const { user } = this.data;
      if (!user || nickname === (user.nickname || '') || this.data.saving) return;
      this.setData({ saving: true });
      try {
        this.show(await (nickname
          ? this.collect('NICKNAME', (consent) => app.client.updateProfile({ nickname, consent }, { safe: true }))
          : app.client.updateProfile({ nickname: null }, { safe: true })));
        wx.showToast({ title: '已保存', icon: 'success' });
      } catch (error) {
        this.fail(error);
      } finally {
        this.setData({ saving: false });
      }
    },

    /** @param {any} e */
    async bindPhone(e) {
      // 开发者工具给不出沙箱认识的 code。
      const code = config.sandboxPerson ? `phone~${numberOf(config.sandboxPerson)}~${Date.now()}` : e.detail.code;
      if (code) {
        await this.bind(code, false);
      } else if (!/deny|privacy permission/.test(e.detail.errMsg)) {
        // 不是用户拒绝：没有额度（1400001）、没有声明（112）等等。
        console.warn(e.detail.errno, e.detail.errMsg);
        wx.showToast({ title: '现在取不到手机号，请稍后再试', icon: 'none', duration: 3000 });
      }
    },

    /** @param {string} code @param {boolean} move 从其他账号改绑过来 */
    async bind(code, move) {
      try {
        await this.collect('PHONE', (consent) => app.client.bindPhoneNumber({ code, move, consent }));
        this.setData({ phone: '已绑定' });
        this.readPhone();
      } catch (error) {
        if (/** @type {any} */ (error).field !== 'move') {
          this.fail(error);
          return;
        }
        const { confirm } = await wx.showModal({ title: say(error), content: '改绑后，那个账号将不再绑定这个手机号。', confirmText: '改绑' });
        if (confirm) await this.bind(code, true); // 十分钟内，同一个 code 可以再用
      }
    },

    /** 只露出首尾几位。 */
    async readPhone() {
      try {
        const { me } = await app.client.query(operations.phone);
        this.setData({ phone: me.phone ? me.phone.number.replace(/^(\d{3})\d+(\d{4})$/, '$1****$2') : '' });
      } catch (error) {} // 没有也不要紧
    },

    openSessions() { wx.navigateTo({ url: '/pages/sessions/sessions' }); },
    openData() { wx.navigateTo({ url: '/pages/data/data' }); },

    async logout() {
      const { confirm } = await wx.showModal({ title: '退出登录', content: '退出后，这台设备上的登录会马上失效。', confirmText: '退出', confirmColor: '#c62a2f' });
      if (confirm) this.leave();
    },

    /** 账号已经注销，不恢复。 */
    leaveDeleted() {
      wx.setStorageSync('deleted', true); // 以后登录要先问
      this.leave();
    },

    leave() {
      app.client.logout().catch(() => {}); // 本机已经退出；没连上服务器也不要紧
      this.refresh();
    },
  },
});
