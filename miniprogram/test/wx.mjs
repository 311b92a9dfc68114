// What a mini program has of the network, as it behaves on devices: success for any status, texts from uploadFile,
// header names in whatever case, parts in whatever order, ten requests at a time; and it fails when it is told to.
import http from 'node:http';
import { setTimeout } from 'node:timers'; // a test may take those of the client in its hand

/** The keys that a test can look at and turn. */
export function makeDevice({ person = 'ming', storage = new Map(), files = new Map() } = {}) {
  const device = {
    person, storage, files,
    /** What was sent, in order: {operation, variables, token, kind}. */
    sent: [],
    /** Called when an answer was there that is kept silent about. */
    onSilence: () => {},
    logins: 0,
    running: 0,
    peak: 0,
    offline: false,
    /** Whether answers have the header Date; a gateway may take it away. */
    dated: true,
    /** Of one operation, what happens to its next requests. */
    faults: {},
    /**
     * offline: it is not sent. lost: it is sent, and the answer gets lost. silent: the same, without any callback.
     * twice: the answer comes twice, then a failure. {slow: ms}. {before, after}: what is done first, before it is sent or
     * before its answer is told. {status, data, header}: the answer of something between.
     */
    next(operation, ...faults) { (device.faults[operation] ||= []).push(...faults); },
    count: (operation) => device.sent.filter((s) => s.operation === operation).length,
    wx: null,
  };

  const exchange = (kind, options, headers, body, operation, token, variables) => {
    let over = false;
    let request;
    const listeners = [];
    const later = (f, ...args) => setImmediate(() => f && f(...args));
    const fail = (errMsg, errno) => {
      if (over) return;
      over = true;
      device.running--;
      later(options.fail, { errMsg: `${kind}:fail ${errMsg}`, errno });
    };
    const task = {
      abort() { request?.destroy(); fail('abort', 600004); },
      onHeadersReceived() {}, offHeadersReceived() {},
      ...(kind === 'uploadFile' && { onProgressUpdate: (f) => listeners.push(f) }),
    };
    device.running++;
    device.peak = Math.max(device.peak, device.running);
    if (device.running > 10) return fail('exceed max task count'), task;
    if (!/^(OPTIONS|GET|HEAD|POST|PUT|DELETE|TRACE|CONNECT)$/.test(options.method || 'GET')) return fail('invalid method'), task;
    if (Object.keys(headers).some((k) => /referer/i.test(k))) throw new Error('Referer cannot be set');
    const fault = device.faults[operation]?.shift();
    if (fault !== 'offline' && !device.offline && !fault?.status) device.sent.push({ kind, operation, variables, token, url: options.url });
    if (fault === 'offline' || device.offline) return later(fail, 'net::ERR_INTERNET_DISCONNECTED', 600001), task;

    const succeed = (statusCode, header, text) => {
      if (over) return;
      let data = text;
      if (kind === 'request') { try { data = JSON.parse(text); } catch { /* it stays a text */ } }
      const answer = { data, statusCode, errMsg: `${kind}:ok`, ...(kind === 'request' && { header, cookies: [] }) };
      if (fault === 'silent') return device.onSilence();
      if (fault === 'lost') return fail('interrupted', 600003);
      over = true;
      device.running--;
      later(options.success, answer);
      if (fault === 'twice') { later(options.success, answer); later(options.fail, { errMsg: `${kind}:fail`, errno: 1 }); }
    };
    const timer = setTimeout(() => { request?.destroy(); fail('timeout', 5); }, options.timeout || 60000);
    timer.unref();
    if (fault?.status) return later(succeed, fault.status, recase(fault.header || {}), fault.data || ''), task;
    request = http.request(options.url, { method: options.method, headers: { ...headers, 'content-length': body.length }, agent: false }, (response) => {
      const chunks = [];
      response.on('data', (c) => chunks.push(c)).on('error', () => fail('interrupted')).on('end', () => {
        const { date, ...rest } = response.headers;
        const finish = () => succeed(response.statusCode, recase(device.dated ? response.headers : rest), Buffer.concat(chunks).toString());
        if (fault?.slow) setTimeout(finish, fault.slow);
        else if (fault?.after) fault.after().then(finish);
        else finish();
      });
    });
    request.on('error', (e) => fail(e.message));
    if (kind === 'uploadFile') {
      const half = body.length >> 1;
      for (const sent of [half, body.length]) {
        later(() => { if (!over) listeners.forEach((f) => f({ progress: Math.round(100 * sent / body.length), totalBytesSent: sent, totalBytesExpectedToSend: body.length })); });
      }
    }
    if (fault?.before) fault.before().then(() => request.end(body));
    else request.end(body);
    return task;
  };

  device.wx = {
    request(options) {
      const body = Buffer.from(typeof options.data === 'string' ? options.data : JSON.stringify(options.data));
      const { query, variables } = JSON.parse(body);
      const header = Object.fromEntries(Object.entries(options.header || {}).map(([k, v]) => [k.toLowerCase(), v]));
      return exchange('request', options, { 'content-type': 'application/json', ...header }, body, nameOf(query), tokenOf(header), variables);
    },
    uploadFile(options) {
      const bytes = device.files.get(options.filePath);
      if (!bytes) { setImmediate(options.fail, { errMsg: 'uploadFile:fail file not found' }); return { abort() {}, onProgressUpdate() {} }; }
      const boundary = `----wx${Math.random()}`;
      const parts = Object.entries(options.formData || {}).map(([name, value]) => Buffer.from(`--${boundary}\r\nContent-Disposition: form-data; name="${name}"\r\n\r\n${value}\r\n`));
      parts.push(Buffer.concat([Buffer.from(`--${boundary}\r\nContent-Disposition: form-data; name="${options.name}"; filename="tmp_1.jpg"\r\nContent-Type: image/jpeg\r\n\r\n`), bytes, Buffer.from('\r\n')]));
      shuffle(parts);
      const body = Buffer.concat([...parts, Buffer.from(`--${boundary}--\r\n`)]);
      const operations = options.formData?.operations && JSON.parse(options.formData.operations);
      const header = { ...options.header, 'content-type': `multipart/form-data; boundary=${boundary}` };
      return exchange('uploadFile', { ...options, method: 'POST' }, header, body, operations ? nameOf(operations.query) : 'bucket', tokenOf(options.header || {}), operations?.variables);
    },
    login({ success, fail }) {
      device.logins++;
      if (device.offline) setImmediate(fail, { errMsg: 'login:fail net::ERR_INTERNET_DISCONNECTED' });
      else setImmediate(success, { code: `${device.person}~${Math.random().toString(36).slice(2)}`, errMsg: 'login:ok' });
    },
    getStorageSync: (key) => (device.storage.has(key) ? device.storage.get(key) : ''),
    setStorageSync: (key, value) => { device.storage.set(key, value); },
    removeStorageSync: (key) => { device.storage.delete(key); },
    getDeviceInfo: () => ({ brand: 'HUAWEI', model: 'Mate 60 Pro' }),
    getImageInfo({ src, success, fail }) {
      const bytes = device.files.get(src);
      const type = bytes?.[0] === 0xff ? 'jpeg' : bytes?.[0] === 0x89 ? 'png' : 'unknown';
      if (bytes) setImmediate(success, { type, width: 64, height: 64, path: src, errMsg: 'getImageInfo:ok' });
      else setImmediate(fail, { errMsg: 'getImageInfo:fail file not found' });
    },
    getFileSystemManager: () => ({
      getFileInfo({ filePath, success }) { setImmediate(success, { size: device.files.get(filePath).length, errMsg: 'getFileInfo:ok' }); },
    }),
  };
  return device;
}

/** The JPEG that stands in for a photograph: 64 by 64, made of four colours. */
export const photograph = Buffer.from('/9j/2wCEAA0JCgsKCA0LCgsODg0PEyAVExISEyccHhcgLikxMC4pLSwzOko+MzZGNywtQFdBRkxOUlNSMj5aYVpQYEpRUk8BDg4OExETJhUVJk81LTVPT09PT09PT09PT09PT09PT09PT09PT09PT09PT09PT09PT09PT09PT09PT09PT09PT//AABEIAEAAQAMBIgACEQEDEQH/xAGiAAABBQEBAQEBAQAAAAAAAAAAAQIDBAUGBwgJCgsQAAIBAwMCBAMFBQQEAAABfQECAwAEEQUSITFBBhNRYQcicRQygZGhCCNCscEVUtHwJDNicoIJChYXGBkaJSYnKCkqNDU2Nzg5OkNERUZHSElKU1RVVldYWVpjZGVmZ2hpanN0dXZ3eHl6g4SFhoeIiYqSk5SVlpeYmZqio6Slpqeoqaqys7S1tre4ubrCw8TFxsfIycrS09TV1tfY2drh4uPk5ebn6Onq8fLz9PX29/j5+gEAAwEBAQEBAQEBAQAAAAAAAAECAwQFBgcICQoLEQACAQIEBAMEBwUEBAABAncAAQIDEQQFITEGEkFRB2FxEyIygQgUQpGhscEJIzNS8BVictEKFiQ04SXxFxgZGiYnKCkqNTY3ODk6Q0RFRkdISUpTVFVWV1hZWmNkZWZnaGlqc3R1dnd4eXqCg4SFhoeIiYqSk5SVlpeYmZqio6Slpqeoqaqys7S1tre4ubrCw8TFxsfIycrS09TV1tfY2dri4+Tl5ufo6ery8/T19vf4+fr/2gAMAwEAAhEDEQA/AEooorlPjgooooA6uiiivDP0gKKKKAOUooor3D83CiiigDq6KKK8M/SAooooA5miiiv00+SCiiigAooor4o/QQooooAKKKK+1Pz4KKKKACiiivij9BCiiigD/9k=', 'base64');

function nameOf(query) { return /(?:query|mutation) (\w+)/.exec(query)?.[1] || 'anonymous'; }

function tokenOf(header) { return /^Bearer (.*)/.exec(header.authorization || '')?.[1]; }

/** Names as one platform or the other writes them. */
function recase(header) {
  const how = [(k) => k.toLowerCase(), (k) => k.toUpperCase(), (k) => k.replace(/(^|-)[a-z]/g, (c) => c.toUpperCase())][Math.floor(Math.random() * 3)];
  return Object.fromEntries(Object.entries(header).map(([k, v]) => [how(k), v]));
}

function shuffle(list) {
  for (let i = list.length - 1; i > 0; i--) {
    const j = Math.floor(Math.random() * (i + 1));
    [list[i], list[j]] = [list[j], list[i]];
  }
}
