// What is promised of the files themselves, and the client in a browser.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { gzipSync } from 'node:zlib';
import { parse } from 'acorn';
import { JSDOM, VirtualConsole } from 'jsdom';
import { minify } from 'terser';
import { startProxy, startServer } from './server.mjs';
import { photograph } from './wx.mjs';

const require = createRequire(import.meta.url);
const read = (path) => readFileSync(new URL(`../${path}`, import.meta.url), 'utf8');

test('under 8 KB as WeChat packs it', async () => {
  const { code } = await minify(read('client/lib/index.js'), { ecma: 2017, toplevel: true, compress: { passes: 3 } });
  console.log(`${code.length} bytes minified, ${gzipSync(code, { level: 9 }).length} of it with gzip`);
  assert.ok(code.length < 8000, `${code.length} bytes`);
  // The READMEs tell the size.
  for (const name of ['README.md', 'README.zh-CN.md']) assert.match(read(`client/${name}`), /8 KB/);
});

test('nothing newer than ES2017, nothing else to load', async () => {
  const text = read('client/lib/index.js'); // newer functions than ES2017's do not pass tsc
  parse(text, { ecmaVersion: 2017 });
  assert.doesNotMatch(text, /\brequire\(/);
});

test('the client cannot misread an answer: its fields are typed', () => {
  const ts = require('typescript');
  const at = (path) => fileURLToPath(new URL(`../${path}`, import.meta.url));
  const file = at('client/lib/index.js');
  const { options } = ts.getParsedCommandLineOfConfigFile(at('tsconfig.json'), {}, ts.sys);
  let text = read('client/lib/index.js');
  const slips = { 'data.refreshSession.tokens, at': 'data.refreshSesion.tokens, at', '.data.logout;': '.data.logot;', 'form.fileField': 'form.fileFeld' };
  for (const [right, wrong] of Object.entries(slips)) {
    assert.ok(text.includes(right), right);
    text = text.replace(right, wrong);
  }
  const host = ts.createCompilerHost(options);
  const { readFile } = host;
  host.readFile = (path) => (path === file ? text : readFile(path));
  const program = ts.createProgram([file], options, host);
  const found = program.getSemanticDiagnostics(program.getSourceFile(file)).map((d) => ts.flattenDiagnosticMessageText(d.messageText, ' '));
  assert.equal(found.length, 3, found.join('\n'));
  for (const name of ['refreshSesion', 'logot', 'fileFeld']) assert.ok(found.some((f) => f.includes(name)), name);
});

test('the package is what WeChat and npm expect', () => {
  const p = JSON.parse(read('client/package.json'));
  assert.equal(p.dependencies, undefined);
  assert.equal(p.miniprogram, 'lib');
  assert.ok(read(`client/${p.miniprogram}/index.js`) && read(`client/${p.types}`));
  assert.doesNotMatch(read('package-lock.json'), /"resolved"|https?:\/\/registry/);
});

/** A page of an origin, with what the client uses of it as globals. */
function openPage(origin) {
  const virtualConsole = new VirtualConsole(); // silent: jsdom would print what a policy blocks
  const { window } = new JSDOM('', { url: `${origin}/page`, virtualConsole });
  for (const name of ['FormData', 'Blob', 'localStorage', 'location']) globalThis[name] = window[name];
  globalThis.XMLHttpRequest = class extends window.XMLHttpRequest {
    constructor() {
      super();
      this.addEventListener('error', () => { this.timeout = 0; }); // jsdom would wait for its end nevertheless
    }
  };
  return window;
}

const { createClient } = require('../client/lib/index.js');
const { createPlatform } = require('../client/lib/browser.js');

test('in a browser', async () => {
  const server = await startServer();
  const window = openPage(server.origin);
  const platform = createPlatform({ code: async () => `ming~${Math.random()}` });
  const client = createClient({ url: server.url, platform, device: 'browser' });
  const file = platform.addFile(new window.Blob([photograph], { type: 'image/jpeg' }));
  const seen = [];
  const user = await client.setAvatar(file, { onProgress: (p) => seen.push(p.progress) });
  assert.ok(user.avatar.large);
  assert.equal(seen.pop(), 100);
  assert.ok(window.localStorage.length === 1);
  const again = createClient({ url: server.url, platform });
  assert.equal((await again.login()).created, false);
  // Given up in the moment it is sent: no answer can be there before.
  const { send } = window.XMLHttpRequest.prototype;
  window.XMLHttpRequest.prototype.send = function sendAndAbort(body) {
    send.call(this, body);
    queueMicrotask(() => call.abort());
  };
  const call = again.me();
  await assert.rejects(call, { code: 'ABORTED' });
  window.XMLHttpRequest.prototype.send = send;
  assert.deepEqual(await again.logout(), { ended: 1 });
  window.close();
});

test('in a browser, behind the proxy of a development server: pictures go through it', async () => {
  const server = await startServer();
  const { origin, asked } = await startProxy(server);
  const window = openPage(origin);
  const platform = createPlatform({ code: async () => `ming~${Math.random()}` });
  const client = createClient({ url: '/graphql', platform });
  const picture = new window.Blob([photograph], { type: 'image/jpeg' });
  for (let i = 0; i < 12; i++) assert.ok((await client.setAvatar(platform.addFile(picture))).avatar.large);
  assert.equal(asked.filter((text) => text.includes('createAvatarUpload')).length, 1, 'that the bucket is closed is remembered');

  // A network that is gone is no closed bucket.
  const { open } = window.XMLHttpRequest.prototype;
  window.XMLHttpRequest.prototype.open = function openElsewhere(method) { open.call(this, method, 'http://127.0.0.1:1/'); };
  await assert.rejects(client.setAvatar(platform.addFile(picture)), { code: 'NETWORK', message: 'request:fail' });
  window.close();
});
