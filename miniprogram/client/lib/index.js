'use strict';
// The client of miniprofile for mini programs: all of it is in this file. What it promises stands in index.d.ts.

/**
 * @typedef {import('./index').ClientError} ClientError
 * @typedef {import('./index').Progress} Progress
 * @typedef {import('./schema').LoginResult['login']} Login
 * @typedef {Login['tokens']} Tokens
 * @typedef {{statusCode: number, header?: Record<string, any>, data: any}} Answer as wx.request and wx.uploadFile give it
 * @typedef {{over?: ClientError, cut(e: ClientError): void, end(e: ClientError): void, onProgress?: (p: Progress) => void}} Call
 * @typedef {{access?: string, refresh?: string, got?: number, life?: number, pending?: {code: string, requestId: string}, out?: boolean}} State
 * What is stored: tokens, with the device's time when they came and how long the access token lives from then, 0 when
 * that is not known; or a login whose answer is not there yet; or that the user has logged out.
 */

const LANES = 8; // requests at a time: WeChat allows 10, and the app has its own
const TRIES = 3; // of what may be repeated; codes that may be refused one after another
const PATIENCE = 10; // seconds that a call waits for its repetition
const RETRYABLE = ['NETWORK', 'TIMEOUT', 'LOGIN_FAILED', 'RATE_LIMITED', 'UPSTREAM_UNAVAILABLE'];
const PICTURES = ['jpeg', 'png', 'gif'];

const PROFILE = `{ id version nickname avatar { small: url(size: SMALL) large: url(size: LARGE) status }
gender birthday region { country province city } preferences createdAt updatedAt }`;
const TOKENS = 'tokens { accessToken accessTokenExpiresAt refreshToken }';
const USER = 'user ' + PROFILE;

/** @param {string} name @param {string} input its type @param {string} payload what is wanted of it */
const mutation = (name, input, payload) => `mutation ${name}($input: ${input}!) { ${name}(input: $input) { ${payload} } }`;

const documents = {
  me: `query me { me ${PROFILE} }`,
  login: mutation('login', 'LoginInput', `created ${TOKENS} ${USER}`),
  refreshSession: mutation('refreshSession', 'RefreshSessionInput', TOKENS),
  logout: mutation('logout', 'LogoutInput', 'ended'),
  updateProfile: mutation('updateProfile', 'UpdateProfileInput', USER),
  createAvatarUpload: mutation('createAvatarUpload', 'CreateAvatarUploadInput', 'id url fileField fields { name value }'),
  bindPhoneNumber: mutation('bindPhoneNumber', 'BindPhoneNumberInput', USER),
};

/** @type {typeof import('./index').createClient} */
function createClient(options) {
  /** @type {import('./index').Platform} */
  const platform = options.platform || options.wx || wx;
  const storage = options.storage || {
    getItem: (k) => platform.getStorageSync(k),
    setItem: (k, v) => platform.setStorageSync(k, v),
    removeItem: (k) => platform.removeStorageSync(k),
  };
  const place = 'miniprofile ' + options.url; // no server gets the tokens of another
  const timeout = options.timeout || 20000;
  /** @type {Set<Call>} */
  const calls = new Set();
  /** @type {Record<string, Set<(x: any) => void>>} */
  const listeners = { session: new Set(), error: new Set() };
  /** @type {(() => void)[]} */
  const queue = [];
  let busy = 0;
  let state = load() || {};
  let direct = true; // whether pictures may go straight to the bucket, as far as we know
  /** @type {Promise<{tokens: Tokens, login?: Login}> | null} */
  let renewal = null;
  /** @type {Promise<import('./schema').LogoutPayload>} the last logout */
  let leaving = Promise.resolve({ ended: 0 });
  /** @type {{error: ClientError, until: number} | null} */
  let gate = null;

  /** What is stored, if it is whole. @returns {State | null} */
  function load() {
    try {
      const s = JSON.parse(storage.getItem(place) || 'null');
      const texts = s.pending ? [s.pending.code, s.pending.requestId] : [s.access, s.refresh];
      if (s.out || texts.every((t) => typeof t === 'string' && /^[!-~]+$/.test(t))) return s;
    } catch (e) {} // not ours, or cut short: as if it were not there
    return null;
  }

  /** @param {State} next */
  function save(next) {
    state = next;
    try {
      storage.setItem(place, JSON.stringify(next));
    } catch (e) {
      // Full. An old refresh token would end the session at the next start; none only means another login.
      try { storage.removeItem(place); } catch (e) {}
    }
  }

  /** @param {'session' | 'error'} event @param {any} value */
  function emit(event, value) {
    listeners[event].forEach((f) => {
      try { f(value); } catch (e) { console.error(e); }
    });
  }

  /**
   * Calls a method of the platform. Whatever it does (answer, fail, answer twice, never answer) comes out as one
   * answer or one error.
   * @param {any} object @param {string} method @param {object} request @param {string} code of its failure @param {Call} [call]
   * @returns {Promise<any>}
   */
  function ask(object, method, request, code, call) {
    return new Promise((resolve, reject) => {
      /** @type {any} */
      let task;
      /** @type {any} */
      let timer;
      const settle = (/** @type {(value: any) => void} */ how) => (/** @type {any} */ value) => {
        clearTimeout(timer);
        how(value);
      };
      const fail = settle(reject);
      const stop = (/** @type {ClientError} */ e) => {
        fail(e);
        if (task && task.abort) task.abort();
      };
      const watch = () => {
        clearTimeout(timer);
        timer = setTimeout(() => stop(fault('TIMEOUT', method + ': no answer')), timeout);
      };
      watch(); // WeChat is silent about some failures
      if (call) call.cut = stop;
      try {
        task = object[method](Object.assign({
          success: settle(resolve),
          fail: (/** @type {any} */ e) => fail(fault(code, (e && e.errMsg) || method + ' failed')),
        }, request));
      } catch (e) {
        fail(fault('UNSUPPORTED', method + ' is not there'));
      }
      if (!task) return;
      if (task.catch) task.catch(() => {}); // Taro's are promises too
      if (task.onProgressUpdate) {
        task.onProgressUpdate((/** @type {Progress} */ p) => {
          watch();
          if (call && call.onProgress) call.onProgress(p);
        });
      }
    });
  }

  /** Sends one request when there is room. @param {Call} call @param {'request' | 'uploadFile'} method @param {object} request @returns {Promise<Answer>} */
  async function send(call, method, request) {
    if (busy >= LANES) await new Promise((next) => queue.push(() => next(undefined)));
    else busy++;
    try {
      if (call.over) throw call.over;
      return await ask(platform, method, request, 'NETWORK', call);
    } finally {
      call.cut = () => {};
      const next = queue.shift();
      if (next) next();
      else busy--;
    }
  }

  /** Its time-out is that of no progress. @param {Call} call @param {object} request */
  const upload = (call, request) => send(call, 'uploadFile', Object.assign(request, { timeout: 600000 }));

  /** Sends an operation once. @param {Call} call @param {string} query @param {unknown} variables @param {string} [token] @param {string} [filePath] of a picture for input.avatar */
  async function post(call, query, variables, token, filePath) {
    /** @type {Record<string, string>} */
    const header = {};
    if (token) header.authorization = 'Bearer ' + token;
    const data = JSON.stringify({ query, variables });
    const { url } = options;
    const answer = await (filePath
      ? upload(call, { url, header, filePath, name: '0', formData: { operations: data, map: '{"0":["variables.input.avatar"]}' } })
      : send(call, 'request', { url, header: Object.assign(header, { 'content-type': 'application/json' }), method: 'POST', data, timeout }));
    return { data: read(answer), at: Date.parse(headerOf(answer, 'date')) };
  }

  /** Does it again where that is safe and of use. @template T @param {Call} call @param {boolean} safe @param {() => Promise<T>} work */
  async function persist(call, safe, work) {
    for (let n = 1; ; n++) {
      try {
        return await work();
      } catch (e) {
        // Who was RATE_LIMITED changed nothing; of any other failure one cannot know.
        const error = /** @type {ClientError} */ (e);
        const pause = error.retryAfter || (0.4 + Math.random() * 0.4) * n;
        if (call.over || n === TRIES || pause > PATIENCE || !(safe && error.retryable || error.code === 'RATE_LIMITED')) throw e;
        await new Promise((next) => setTimeout(next, pause * 1000));
        if (call.over) throw call.over;
      }
    }
  }

  /** The one login or refresh under way, whoever waits for it. */
  function renew() {
    if (!renewal) {
      const done = () => { renewal = null; };
      renewal = enter();
      renewal.then(done, done);
    }
    return renewal;
  }

  /** Gets new tokens: by the refresh token, or else by a code of wx.login. @returns {Promise<{tokens: Tokens, login?: Login}>} */
  async function enter() {
    const call = newCall();
    state = state.out ? state : load() || state; // another page's client may have refreshed
    const left = gate ? (gate.until - Date.now()) / 1000 : 0;
    if (gate && left > 0 && left <= (gate.error.retryAfter || 0)) throw Object.assign(gate.error, { retryAfter: Math.ceil(left) });
    gate = null;
    const { refresh } = state;
    try {
      if (refresh) {
        try {
          const { data, at } = await persist(call, true, () => post(call, documents.refreshSession, { input: { refreshToken: refresh } }));
          return accept(data.refreshSession.tokens, at);
        } catch (e) {
          if (/** @type {ClientError} */ (e).retryable) throw e;
          if (!state.out) save({}); // the session is over: a new one, without the user noticing
        }
      }
      for (let n = 1; ; n++) {
        const pending = state.pending || { code: await code(), requestId: random() };
        if (state.out) throw signedOut();
        if (!state.pending) save({ pending }); // so that a lost answer can be asked for again, also after a restart
        try {
          const input = Object.assign({ appId: options.appId, device: device() }, pending);
          const { data, at } = await persist(call, true, () => post(call, documents.login, { input }));
          return accept(data.login.tokens, at, data.login);
        } catch (e) {
          const error = /** @type {ClientError} */ (e);
          if (!error.retryable && !state.out) save({});
          if (error.code !== 'LOGIN_CODE_REJECTED' || n === TRIES) throw e;
        }
      }
    } catch (e) {
      const error = /** @type {ClientError} */ (e);
      if (error.retryAfter) gate = { error, until: Date.now() + error.retryAfter * 1000 };
      throw e;
    }
  }

  /** Keeps new tokens, unless the user has logged out meanwhile. @param {Tokens} tokens @param {number} at the server's time @param {Login} [login] */
  function accept(tokens, at, login) {
    if (!state.out) {
      const life = Date.parse(tokens.accessTokenExpiresAt) - at;
      save({ access: tokens.accessToken, refresh: tokens.refreshToken, got: Date.now(), life: life > 0 ? life : 0 });
      const { user, created } = login || /** @type {Partial<Login>} */ ({});
      emit('session', { signedIn: true, reason: login ? 'login' : 'refresh', user, created });
    }
    return { tokens, login };
  }

  /** By the server's clock, of which we know how far away the end was. A device whose clock was put back waits for UNAUTHENTICATED. */
  function expired() {
    const age = Date.now() - (state.got || 0);
    return !state.access || (!!state.life && age > state.life * 0.9);
  }

  /** @returns {Promise<string>} a code of wx.login */
  async function code() {
    const answer = await ask(platform, 'login', { timeout }, 'LOGIN_FAILED');
    if (!answer.code) throw fault('LOGIN_FAILED', 'login: no code');
    return answer.code;
  }

  /** A name for the list of sessions. */
  function device() {
    try {
      return options.device || /** @type {any} */ (platform).getDeviceInfo().model.slice(0, 64) || undefined;
    } catch (e) {} // an older WeChat
  }

  /** Does work with a valid token: at most one repetition, and only after UNAUTHENTICATED. @template T @param {Call} call @param {boolean} safe @param {(token: string) => Promise<T>} work */
  async function signed(call, safe, work) {
    for (let repeated = false; ; repeated = true) {
      if (state.out) throw signedOut();
      if (renewal || expired()) await renew();
      if (call.over) throw call.over;
      const token = state.access || '';
      try {
        return await persist(call, safe, () => work(token));
      } catch (e) {
        if (repeated || call.over) throw e;
        unlessOver(e);
        if (state.access === token && !renewal) await renew();
      }
    }
  }

  /** @param {Call} call @param {string} document @param {unknown} variables @param {boolean} safe @param {string} [filePath] */
  const operate = (call, document, variables, safe, filePath) =>
    signed(call, safe, (token) => post(call, document, variables, token, filePath).then((a) => a.data));

  /** One of our own mutations. @param {Call} call @param {keyof documents} name @param {object} input @param {boolean} safe @param {string} [filePath] */
  const change = (call, name, input, safe, filePath) => operate(call, documents[name], { input }, safe, filePath).then((data) => data[name]);

  /** Sends a picture to where createAvatarUpload says. @param {Call} call @param {string} filePath @returns {Promise<string | undefined>} nothing when that way is closed */
  async function toBucket(call, filePath) {
    let type, size;
    try {
      type = (await ask(platform, 'getImageInfo', { src: filePath }, 'NETWORK')).type;
      size = (await ask(/** @type {any} */ (platform).getFileSystemManager(), 'getFileInfo', { filePath }, 'NETWORK')).size;
    } catch (e) {} // the platform cannot tell
    if (!size || PICTURES.indexOf(type) < 0) return;
    try {
      const form = await change(call, 'createAvatarUpload', { contentType: 'image/' + type, size }, true);
      /** @type {Record<string, string>} */
      const formData = {};
      form.fields.forEach((/** @type {{name: string, value: string}} */ f) => { formData[f.name] = f.value; });
      const { statusCode } = await upload(call, { url: form.url, filePath, name: form.fileField, formData });
      if (statusCode >= 200 && statusCode < 300) return form.id;
    } catch (e) {
      const { code, message } = /** @type {ClientError} */ (e);
      // An older server; or a bucket that is not on the mini program's list of domains.
      if (code !== 'GRAPHQL_VALIDATION_FAILED' && !/domain/.test(message)) throw e;
      direct = false;
    }
  }

  /** @param {Call} call @param {import('./index').ProfileInput} input @param {import('./index').Safety} how @returns {Promise<any>} */
  async function update(call, input, how) {
    const filePath = input.avatar || undefined;
    const next = /** @type {import('./schema').UpdateProfileInput} */ (Object.assign({}, input));
    if (filePath && direct) next.avatarUploadId = await toBucket(call, filePath);
    if (next.avatarUploadId) delete next.avatar;
    else if (filePath) next.avatar = null; // its place; the picture is a part of the form
    return (await change(call, 'updateProfile', next, !!how.safe, next.avatarUploadId ? undefined : filePath)).user;
  }

  /** Out at once here; then the server is told. @param {import('./schema').LogoutInput} input */
  async function leave(input) {
    let { access, refresh } = state;
    const under = renewal;
    save({ out: true });
    calls.forEach((call) => call.end(signedOut()));
    emit('session', { signedIn: false, reason: 'logout' });
    try {
      if (under) ({ accessToken: access, refreshToken: refresh } = (await under).tokens);
    } catch (e) {} // then it made no session
    const call = newCall();
    return persist(call, true, async () => {
      for (let renewed = false; access; renewed = true) {
        try {
          return (await post(call, documents.logout, { input }, access)).data.logout;
        } catch (e) {
          unlessOver(e);
        }
        // It may only have been too old.
        access = renewed ? '' : await post(call, documents.refreshSession, { input: { refreshToken: refresh } }).then((a) => a.data.refreshSession.tokens.accessToken, unlessOver);
      }
      return { ended: 0 }; // it was over already
    });
  }

  /** Makes a call that can be aborted. @template T @param {(call: Call) => Promise<T>} work @param {{onProgress?: (p: Progress) => void}} [how] @returns {import('./index').Call<T>} */
  function open(work, how) {
    const call = newCall();
    if (how) call.onProgress = how.onProgress;
    const promise = new Promise((resolve, reject) => {
      calls.add(call);
      call.end = (e) => {
        if (!calls.delete(call)) return;
        call.over = e;
        call.cut(e);
        reject(e);
      };
      work(call).then((value) => { calls.delete(call); resolve(value); }, (e) => {
        if (calls.delete(call)) emit('error', e);
        reject(e);
      });
    });
    return /** @type {any} */ (Object.assign(promise, { abort: () => call.end(fault('ABORTED', 'aborted')) }));
  }

  const me = (/** @type {Call} */ call) => operate(call, documents.me, {}, true).then((data) => data.me);

  return {
    get signedIn() { return !!state.access; },
    get signedOut() { return !!state.out; },
    login: () => open(async (call) => {
      if (state.out && renewal) await renewal.catch(() => {}); // its tokens are for logout
      if (state.out) save({});
      const login = state.access ? undefined : (await renew()).login;
      return login ? { user: login.user, created: login.created } : { user: await me(call), created: false };
    }),
    me: () => open(me),
    updateProfile: (input, how = {}) => open((call) => update(call, input, how), how),
    setAvatar: (avatar, how = {}) => open((call) => update(call, { avatar }, how), how),
    bindPhoneNumber: (code) => open(async (call) => (await change(call, 'bindPhoneNumber', typeof code === 'string' ? { code } : code, true)).user),
    logout(input = {}) {
      if (input.sessionId) return open((call) => change(call, 'logout', input, true));
      if (!state.out) leaving = leave(input);
      return open(() => leaving);
    },
    query: (document, variables = {}, how = {}) => open((call) =>
      operate(call, document, variables, how.safe === undefined ? !/\bmutation\b/.test(document) : how.safe)),
    on(event, f) {
      listeners[event].add(f);
      return () => { listeners[event].delete(f); };
    },
  };
}

/** @param {string} code @param {string} message @param {object} [more] @returns {ClientError} */
function fault(code, message, more) {
  return /** @type {any} */ (Object.assign(new Error(message), { code, retryable: RETRYABLE.indexOf(code) >= 0 }, more));
}

/** @returns {Call} */
function newCall() {
  return { cut() {}, end() {} };
}

/** Throws what does not say that the session is over. @param {any} e @returns {undefined} */
function unlessOver(e) {
  if (e.code !== 'UNAUTHENTICATED') throw e;
}

function signedOut() {
  return fault('SIGNED_OUT', 'the user has logged out');
}

/** The data of an answer. WeChat calls every answer a success, and gives a text where it could not read JSON, as always for uploads. @param {Answer} answer */
function read(answer) {
  let body = answer.data;
  try {
    if (typeof body === 'string') body = JSON.parse(body.replace(/^\uFEFF/, ''));
  } catch (e) {}
  if (body && body.errors && body.errors.length) {
    const { message, extensions: x = {} } = body.errors[0];
    throw fault(x.code || 'INTERNAL', message, { requestId: x.requestId, field: x.field, retryAfter: x.retryAfter, errors: body.errors });
  }
  if (body && body.data) return body.data;
  // Not of miniprofile: a proxy's, or a hotel's login page.
  const status = answer.statusCode;
  throw fault('HTTP', 'HTTP status ' + status, {
    status, requestId: headerOf(answer, 'x-request-id') || undefined, retryAfter: +headerOf(answer, 'retry-after') || undefined,
    retryable: status < 400 || status > 428,
  });
}

/** The case of header names differs between clients. @param {Answer} answer @param {string} name */
function headerOf(answer, name) {
  const header = answer.header || {};
  return String(header[Object.keys(header).filter((k) => k.toLowerCase() === name)[0]] || '');
}

/** A requestId. */
function random() {
  return (Math.random().toString(36) + Math.random().toString(36) + Date.now().toString(36)).replace(/\W/g, '');
}

module.exports = { createClient, documents };
