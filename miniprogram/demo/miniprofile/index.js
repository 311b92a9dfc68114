'use strict';
// The client of miniprofile for mini programs: all of it is in this file. What it promises stands in index.d.ts.

/**
 * @typedef {import('./index').ClientError} ClientError
 * @typedef {import('./index').Progress} Progress
 * @typedef {import('./index').Profile} Profile
 * @typedef {import('./schema').Results} Results
 * @typedef {Results['login']['login']} Login
 * @typedef {Login['tokens']} Tokens
 * @typedef {{statusCode: number, header?: Record<string, any>, data: any}} Answer as wx.request and wx.uploadFile give it
 * @typedef {{over?: ClientError, cut?: (e: ClientError) => void, onProgress?: (p: Progress) => void}} Call over: why it is; cut: ends what is under way
 * @typedef {{access?: string, refresh?: string, got?: number, life?: number, pending?: {code: string, requestId: string}, out?: boolean}} State
 * What is stored: tokens, with the device's time when they came and how long the access token lives from then, 0 when
 * that is not known; a login whose answer is not there yet; or that the user has logged out.
 */

/**
 * The text of an operation, and the type of its data.
 * @template T
 * @typedef {string & {data?: T}} Document
 */

const { assign } = Object;

const LANES = 8; // requests at a time: WeChat allows 10, and the app has its own
const TRIES = 3; // of what may be repeated; codes that may be refused one after another
const PATIENCE = 10; // seconds that a call waits for its repetition
const RETRYABLE = ['NETWORK', 'TIMEOUT', 'LOGIN_FAILED', 'RATE_LIMITED', 'UPSTREAM_UNAVAILABLE', 'READ_ONLY'];
const PICTURES = ['jpeg', 'png', 'gif'];

const PROFILE = `{id version nickname avatar{small:url(size:SMALL)large:url(size:LARGE)status}
gender birthday region{country province city}preferences createdAt updatedAt}`;
const TOKENS = 'tokens{accessToken accessTokenExpiresAt refreshToken}';
const USER = 'user ' + PROFILE;

/** @template {keyof Results} N @param {N} name @param {string} payload what is wanted of it @returns {Document<Results[N]>} */
const mutation = (name, payload) =>
  `mutation ${name}($input:${name[0].toUpperCase() + name.slice(1)}Input!){${name}(input:$input){${payload}}}`;

/** @type {{[N in keyof Results]: Document<Results[N]>}} */
const documents = {
  me: /** @type {Document<Results['me']>} */ (`query me{me${PROFILE}}`),
  login: mutation('login', `created ${TOKENS} ${USER}`),
  refreshSession: mutation('refreshSession', TOKENS),
  logout: mutation('logout', 'ended'),
  updateProfile: mutation('updateProfile', USER),
  createAvatarUpload: mutation('createAvatarUpload', 'id url fileField fields{name value}'),
  bindPhoneNumber: mutation('bindPhoneNumber', USER),
};

/** @type {typeof import('./index').createClient} */
function createClient(options) {
  if (!options || !options.url) throw new Error('no url, as https://a.com/graphql');
  const { url, appId } = options;
  /** @type {import('./index').Platform} */
  const platform = options.platform || options.wx || wx;
  const storage = options.storage || {
    getItem: (k) => platform.getStorageSync(k),
    setItem: (k, v) => platform.setStorageSync(k, v),
    removeItem: (k) => platform.removeStorageSync(k),
  };
  const place = 'miniprofile ' + url + (appId ? ' ' + appId : ''); // no server, and no mini program, gets the tokens of another
  const timeout = options.timeout || 20000;
  /** @type {Set<(why: ClientError) => void>} what ends the calls under way */
  const calls = new Set();
  /** @type {Record<string, Set<(x: any) => void>>} */
  const listeners = { session: new Set(), error: new Set() };
  /** @type {((value?: any) => void)[]} */
  const queue = [];
  let busy = 0;
  let state = load() || {};
  let direct = true; // whether pictures may go straight to the bucket, as far as we know
  /** @type {Promise<State | undefined> | null} */
  let renewal = null;
  /** @type {Login} the last one, if there was any */
  let entered;
  /** @type {State} what the last logout has to end */
  let left = {};
  /** @type {Promise<import('./schema').LogoutPayload> | null} the last logout, unless it failed */
  let leaving = null;
  /** @type {{error?: any, until?: any}} the last login that was told to wait, and until when */
  let gate = {};

  /** What is stored, if it is whole. @returns {State | undefined} */
  function load() {
    try {
      const s = JSON.parse(/** @type {string} */ (storage.getItem(place)));
      const texts = s.pending ? [s.pending.code, s.pending.requestId] : [];
      if (s.access || !s.pending) texts.push(s.access, s.refresh);
      if (s.out || texts.every((t) => typeof t === 'string' && /^[!-~]+$/.test(t))) return s;
    } catch (e) {} // not ours, or cut short: as if it were not there
    return undefined;
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
        task = object[method](assign({
          success: settle(resolve),
          fail: (/** @type {any} */ e) => fail(fault(code, (e && e.errMsg) || method + ' failed')),
        }, request));
      } catch (e) {
        fail(fault('UNSUPPORTED', method + ': ' + e));
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
    if (busy >= LANES) await new Promise((next) => queue.push(next));
    else busy++;
    try {
      if (call.over) throw call.over;
      return await ask(platform, method, request, 'NETWORK', call);
    } finally {
      call.cut = undefined;
      const next = queue.shift();
      if (next) next();
      else busy--;
    }
  }

  /** Its time-out is that of no progress. @param {Call} call @param {object} request */
  const upload = (call, request) => send(call, 'uploadFile', assign(request, { timeout: 600000 }));

  /**
   * Sends an operation once.
   * @template T
   * @param {Call} call @param {Document<T>} query @param {unknown} variables @param {string} [token]
   * @param {string} [filePath] of a picture for input.avatar
   * @returns {Promise<{data: T, at: number}>} at is the server's time
   */
  async function post(call, query, variables, token, filePath) {
    /** @type {Record<string, string>} */
    const header = {};
    if (token) header.authorization = 'Bearer ' + token;
    const data = JSON.stringify({ query, variables });
    const answer = await (filePath
      ? upload(call, { url, header, filePath, name: '0', formData: { operations: data, map: '{"0":["variables.input.avatar"]}' } })
      : send(call, 'request', { url, header: assign(header, { 'content-type': 'application/json' }), method: 'POST', data, timeout }));
    return { data: read(answer), at: Date.parse(headerOf(answer, 'date')) };
  }

  /** Does it again where that is safe and of use. @template T @param {Call} call @param {boolean} safe @param {() => Promise<T>} work */
  async function persist(call, safe, work) {
    for (let n = 1; ; n++) {
      try {
        return await work();
      } catch (/** @type {any} */ e) {
        // Who was RATE_LIMITED changed nothing; of any other failure one cannot know.
        const pause = e.retryAfter || (0.4 + Math.random() * 0.4) * n;
        if (call.over || n === TRIES || pause > PATIENCE || !(safe && e.retryable || e.code === 'RATE_LIMITED')) throw e;
        await new Promise((next) => setTimeout(next, pause * 1000)); // send looks whether the call is over meanwhile
      }
    }
  }

  /** The one login or refresh under way, whoever waits for it. @param {boolean} [fresh] */
  function renew(fresh) {
    if (!renewal) {
      const done = () => { renewal = null; };
      renewal = enter(fresh);
      renewal.then(done, done);
    }
    return renewal;
  }

  /** Whether the user has logged out: perhaps on another page, which shares the storage. */
  function out() {
    if ((load() || state).out) state = { out: true };
    return state.out;
  }

  /**
   * Gets new tokens: by the refresh token, unless they shall be fresh, or else by a code of wx.login.
   * @param {boolean} [fresh] @returns {Promise<State | undefined>} nothing where another page's client had them already
   */
  async function enter(fresh) {
    /** @type {Call} */
    const call = {};
    const { access } = state;
    const old = state = load() || state;
    // To refresh once more would make the refresh token that a third page may be sending too old, and it a thief.
    if (!fresh && old.access !== access && !expired()) return undefined;
    const wait = (gate.until - Date.now()) / 1000;
    if (wait > 0 && wait <= gate.error.retryAfter) throw assign(gate.error, { retryAfter: Math.ceil(wait) });
    gate = {};
    try {
      if (old.refresh && !fresh) {
        try {
          const { data, at } = await persist(call, true, () => rotate(call, old));
          return accept(data.refreshSession.tokens, at);
        } catch (/** @type {any} */ e) {
          // The session is over, or the server cannot open it: a new one, without the user noticing. But not where the
          // user has deleted the account, which that would restore.
          if (e.code !== 'INTERNAL') unlessOver(e, e.hint);
          if (!out()) save({});
        }
      }
      for (let n = 1; ; n++) {
        /** @type {ClientError | undefined} why this code was sent again: WeChat may have had it then, in vain */
        let trouble;
        const pending = state.pending || { code: await code(), requestId: random() };
        if (out()) throw signedOut();
        save(assign({}, state, { pending })); // so that a lost answer can be asked for again, also after a restart
        try {
          const input = assign({ appId, device: device() }, pending);
          const { data, at } = await persist(call, true, () => post(call, documents.login, { input }).catch((e) => {
            if (e.retryable) trouble = e;
            throw e;
          }));
          if (fresh) end(old, {}).catch(() => {}); // the new session takes its place
          return accept(data.login.tokens, at, data.login);
        } catch (/** @type {any} */ e) {
          if (e.errors && !e.retryable && !out()) save(assign({}, state, { pending: undefined })); // the server has judged the code
          if (e.code !== 'LOGIN_CODE_REJECTED') throw e;
          if (n === TRIES || (trouble && n > 1)) throw trouble || e;
        }
      }
    } catch (/** @type {any} */ e) {
      if (e.retryAfter) gate = { error: e, until: Date.now() + e.retryAfter * 1000 };
      throw e;
    }
  }

  /** Trades the refresh token of a session. @param {Call} call @param {State} session */
  const rotate = (call, session) => post(call, documents.refreshSession, { input: { refreshToken: session.refresh } });

  /** Keeps new tokens, unless the user has logged out meanwhile. @param {Tokens} tokens @param {number} at the server's time @param {Login} [login] */
  function accept(tokens, at, login) {
    const next = pair(tokens);
    if (!out()) {
      const life = Date.parse(tokens.accessTokenExpiresAt) - at;
      save(assign(next, { got: Date.now(), life: life > 0 ? life : 0 }));
      entered = login || entered;
      const { user, created } = login || /** @type {Partial<Login>} */ ({});
      emit('session', { signedIn: true, reason: login ? 'login' : 'refresh', user, created });
    }
    return next;
  }

  /** By the server's clock, of which we know how far away the end was. A device whose clock was put back waits for UNAUTHENTICATED. */
  function expired() {
    return !state.access || (state.life && Date.now() - /** @type {number} */ (state.got) > state.life * 0.9);
  }

  /** @returns {Promise<string>} a code of wx.login */
  async function code() {
    const answer = await ask(platform, 'login', { timeout }, 'LOGIN_FAILED');
    if (!answer.code) throw fault('LOGIN_FAILED', 'no code');
    return answer.code;
  }

  /** A name for the list of sessions. */
  function device() {
    try {
      return (options.device || /** @type {any} */ (platform).getDeviceInfo().model).slice(0, 64) || undefined;
    } catch (e) {} // an older WeChat
  }

  /** Does work with a valid token: at most one repetition, and only after UNAUTHENTICATED. @template T @param {Call} call @param {boolean} safe @param {(token: string) => Promise<T>} work */
  async function signed(call, safe, work) {
    for (let repeated; ;) {
      if (state.out) throw signedOut();
      if (renewal || expired()) await renew();
      const token = state.access || '';
      try {
        return await persist(call, safe, () => work(token));
      } catch (/** @type {any} */ e) {
        if (repeated || call.over) throw e;
        unlessOver(e, e.hint);
        repeated = state.access !== token || renewal || await renew();
      }
    }
  }

  /** @template T @param {Call} call @param {Document<T>} document @param {unknown} variables @param {boolean} safe @param {string} [filePath] */
  const operate = (call, document, variables, safe, filePath) =>
    signed(call, safe, (token) => post(call, document, variables, token, filePath).then((a) => a.data));

  /**
   * One of our own mutations.
   * @template {keyof Results} N
   * @param {Call} call @param {N} name @param {object} input @param {boolean} safe @param {string} [filePath]
   * @returns {Promise<Results[N] extends Record<N, infer P> ? P : never>}
   */
  const change = (call, name, input, safe, filePath) =>
    operate(call, documents[name], { input }, safe, filePath).then((data) => /** @type {any} */ (data)[name]);

  /** Sends a picture to where createAvatarUpload says. @param {Call} call @param {string} filePath @returns {Promise<string | undefined>} nothing when that way is closed */
  async function toBucket(call, filePath) {
    let type, size;
    try {
      type = (await ask(platform, 'getImageInfo', { src: filePath }, 'NETWORK')).type;
      size = (await ask(/** @type {any} */ (platform).getFileSystemManager(), 'getFileInfo', { filePath }, 'NETWORK')).size;
    } catch (e) {} // the platform cannot tell
    if (!size || !PICTURES.includes(type)) return undefined;
    try {
      const form = await change(call, 'createAvatarUpload', { contentType: 'image/' + type, size }, true);
      /** @type {Record<string, string>} */
      const formData = {};
      form.fields.forEach((f) => { formData[f.name] = f.value; });
      const { statusCode } = await upload(call, { url: form.url, filePath, name: form.fileField, formData });
      if (statusCode >= 200 && statusCode < 300) return form.id;
    } catch (e) {
      const { code, message } = /** @type {ClientError} */ (e);
      // An older server; or a bucket that is not on the mini program's list of domains.
      if (code !== 'GRAPHQL_VALIDATION_FAILED' && !/domain/.test(message)) throw e;
      direct = false;
    }
    return undefined;
  }

  /** @param {Call} call @param {import('./index').ProfileInput} input @param {import('./index').Safety} how */
  async function update(call, input, how) {
    let filePath = input.avatar || undefined;
    const next = /** @type {import('./schema').UpdateProfileInput} */ (assign({}, input));
    if (filePath && direct) next.avatarUploadId = await toBucket(call, filePath);
    if (next.avatarUploadId) filePath = next.avatar = undefined;
    else if (filePath) next.avatar = null; // its place; the picture is a part of the form
    return (await change(call, 'updateProfile', next, !!how.safe, filePath)).user;
  }

  /** Out at once here; then the server is told, and told again when that failed. @param {import('./schema').LogoutInput} input */
  async function leave(input) {
    if (!state.out) {
      left = load() || state; // another page's client may have refreshed
      if (left.out) left = state; // or told the server in vain
      const under = renewal;
      save({ out: true });
      calls.forEach((finish) => finish(signedOut()));
      emit('session', { signedIn: false, reason: 'logout' });
      try {
        left = (await under) || left;
      } catch (e) {} // then it made no session
    }
    return end(left, input);
  }

  /** Ends a session on the server. @param {State} session @param {import('./schema').LogoutInput} input @returns {Promise<import('./schema').LogoutPayload>} */
  function end(session, input) {
    /** @type {Call} */
    const call = {};
    return persist(call, true, async () => {
      for (let renewed; session.access; renewed = true) {
        try {
          return (await post(call, documents.logout, { input }, session.access)).data.logout;
        } catch (e) {
          unlessOver(e);
        }
        // It may only have been too old.
        const answer = !renewed && await rotate(call, session).catch(unlessOver);
        assign(session, answer ? pair(answer.data.refreshSession.tokens) : { access: '' });
      }
      return { ended: 0 }; // it was over already
    });
  }

  /** Makes a call that can be aborted. @template T @param {(call: Call) => Promise<T>} work @param {{onProgress?: (p: Progress) => void}} [how] @returns {import('./index').Call<T>} */
  function open(work, how) {
    /** @type {Call} */
    const call = { onProgress: how && how.onProgress };
    /** @type {(why: ClientError) => void} */
    let finish;
    const promise = new Promise((resolve, reject) => {
      finish = (why) => {
        if (!calls.delete(finish)) return;
        call.over = why;
        if (call.cut) call.cut(why);
        reject(why);
      };
      calls.add(finish);
      work(call).then((value) => { calls.delete(finish); resolve(value); }, (e) => {
        if (calls.delete(finish)) emit('error', e);
        reject(e);
      });
    });
    return /** @type {any} */ (assign(promise, { abort: () => finish(fault('ABORTED', 'aborted')) }));
  }

  const me = (/** @type {Call} */ call) => operate(call, documents.me, {}, true).then((data) => /** @type {Profile} */ (data.me));

  return {
    get signedIn() { return !!state.access; },
    get signedOut() { return !!state.out; },
    login: ({ fresh = false } = {}) => open(async (call) => {
      const before = entered;
      if (renewal && (fresh || out())) await renewal.catch(() => {}); // its tokens are for logout, or it may be a refresh
      if (out()) save({});
      if (!state.access || (fresh && entered === before)) await renew(fresh);
      const user = entered === before ? await me(call) : entered.user;
      return { user, created: entered !== before && entered.created };
    }),
    me: () => open(me),
    updateProfile: (input, how = {}) => open((call) => update(call, input, how), how),
    setAvatar: (avatar, how = {}) => open(async (call) => update(call, { avatar: given('avatar', avatar) }, how), how),
    bindPhoneNumber: (code) => open(async (call) => (await change(call, 'bindPhoneNumber', (given('code', code), typeof code === 'string' ? { code } : code), true)).user),
    logout(input = {}) {
      if (input.sessionId) return open((call) => change(call, 'logout', input, true));
      if (!state.out || !leaving) {
        leaving = leave(input);
        leaving.catch(() => { leaving = null; });
      }
      return open(() => /** @type {Promise<any>} */ (leaving));
    },
    query: (document, variables = {}, how = {}) => open((call) =>
      operate(call, /** @type {Document<any>} */ (document), variables, how.safe === undefined ? !/\bmutation\b/.test(document) : how.safe)),
    on(event, f) {
      listeners[event].add(f);
      return () => { listeners[event].delete(f); };
    },
  };
}

/** @param {string} code @param {string} message @param {object} [more] @returns {ClientError} */
function fault(code, message, more) {
  return /** @type {any} */ (assign(new Error(message), { code, retryable: RETRYABLE.includes(code) }, more));
}

/** What WeChat's buttons give, unless the user has refused: then there is nothing. @template T @param {string} field @param {T} value @returns {T} */
function given(field, value) {
  if (!value) throw fault('BAD_USER_INPUT', 'no ' + field, { field });
  return value;
}

/** Throws what does not say that the session is over, or is for the app to decide. @param {any} e @param {string} [hint] @returns {undefined} */
function unlessOver(e, hint) {
  if (hint || e.code !== 'UNAUTHENTICATED') throw e;
}

function signedOut() {
  return fault('SIGNED_OUT', 'logged out');
}

/** The data of an answer. WeChat calls every answer a success, and gives a text where it could not read JSON, as always for uploads. @param {Answer} answer */
function read(answer) {
  let body = answer.data;
  try {
    if (typeof body === 'string') body = JSON.parse(body.replace(/^\uFEFF/, ''));
  } catch (e) {}
  const { data, errors } = body || /** @type {any} */ ({});
  const { message, extensions: x } = (errors && errors[0]) || /** @type {any} */ ({});
  if (x && x.code) throw fault(x.code, message, { requestId: x.requestId, field: x.field, retryAfter: x.retryAfter, hint: x.hint, errors });
  if (data && !errors && Object.keys(data)[0]) return data;
  // Not of miniprofile: a gateway's, a proxy's, or a hotel's login page.
  const status = answer.statusCode;
  throw fault('HTTP', 'HTTP ' + status, {
    status, requestId: headerOf(answer, 'x-request-id') || undefined, retryAfter: +headerOf(answer, 'retry-after') || undefined,
    retryable: status < 400 || status > 428,
  });
}

/** The case of header names differs between clients. @param {Answer} answer @param {string} name */
function headerOf(answer, name) {
  const header = answer.header || {};
  return `${header[/** @type {string} */ (Object.keys(header).find((k) => k.toLowerCase() === name))] || ''}`;
}

/** The two tokens as they are kept. @param {Tokens} tokens @returns {State} */
function pair(tokens) {
  return { access: tokens.accessToken, refresh: tokens.refreshToken };
}

/** A requestId. */
function random() {
  return `${Math.random()}${Math.random()}${Date.now()}`.replace(/\W/g, '');
}

module.exports = { createClient, documents };
