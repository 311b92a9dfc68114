const operations = require('../../operations');
const { say, tell, when } = require('../../words');

/** @type {{client: import('../../miniprofile/index').Client}} */
const app = getApp();

/** @typedef {import('../../miniprofile/index').Session} Session */

Component({
  data: {
    /** @type {{id: string, name: string, seen: string, current: boolean}[]} */
    sessions: [],
    others: 0,
    loaded: false,
    error: '',
  },

  lifetimes: {
    attached() { this.refresh(); },
  },

  methods: {
    async refresh() {
      this.setData({ error: '' });
      try {
        /** @type {{me: {sessions: Session[]}}} */
        const { me } = await app.client.query(operations.sessions);
        const sessions = me.sessions.map((s) => ({ id: s.id, name: s.device || '未知设备', seen: when(s.seenAt), current: s.current }));
        sessions.sort((a, b) => Number(b.current) - Number(a.current));
        this.setData({ sessions, others: sessions.filter((s) => !s.current).length, loaded: true });
      } catch (error) {
        this.setData({ error: say(error) });
      }
    },

    /** @param {any} e */
    async end(e) {
      const { id, name } = e.currentTarget.dataset;
      const { confirm } = await wx.showModal({ title: '移除设备', content: `“${name}”会马上退出登录。`, confirmText: '移除', confirmColor: '#c62a2f' });
      if (!confirm) return;
      try {
        await app.client.logout({ sessionId: id });
      } catch (error) {
        tell(error);
      }
      await this.refresh();
    },

    async endAll() {
      const { confirm } = await wx.showModal({ title: '全部退出', content: '所有设备都会退出登录，包括这一台。', confirmText: '全部退出', confirmColor: '#c62a2f' });
      if (!confirm) return;
      const left = this.leave();
      wx.navigateBack({});
      await left;
    },

    /** 这一台马上就退出；没连上服务器的话，其他设备要再试一次才会退出。 */
    async leave() {
      try {
        await app.client.logout({ everywhere: true });
      } catch (error) {
        const { confirm } = await wx.showModal({ title: '其他设备还没有退出', content: say(error), confirmText: '重试' });
        if (confirm) await this.leave();
      }
    },
  },
});
