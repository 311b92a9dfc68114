// The demo's pages, rendered, over the real program: what its user sees and does.
import assert from 'node:assert/strict';
import { readFileSync, readdirSync } from 'node:fs';
import { createRequire } from 'node:module';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { launch, until } from './screen.mjs';
import { ask, startAhead, startServer } from './server.mjs';
import { makeDevice, photograph } from './wx.mjs';

const server = await startServer();
const ahead = await startAhead(server);
const strict = await startServer({ MINIPROFILE_REQUIRE_CONSENT: 'true' });
const patient = await startServer({ MINIPROFILE_DELETION_DELAY: '24h' });
let people = 0;
const { policyVersion, purposes } = createRequire(import.meta.url)('../demo/config.js');
/** A device whose user has agreed to the privacy guideline; with no version, to none. */
const telephone = (agreed = policyVersion) => makeDevice({
  person: `demo${process.pid}-${people++}`, files: new Map([['http://tmp/a.jpg', photograph]]), storage: new Map(agreed && [['agreed', agreed]]),
});

test('a new user sets picture, nickname and telephone number', async () => {
  const device = telephone();
  const { open, seen } = launch(device, ahead.url);
  const page = open('index');
  assert.match(page.text, /正在登录/);
  await until('a user', () => page.data.user);
  assert.match(page.text, /微信用户/);
  assert.equal(device.count('login'), 1, 'the launch and the page share a login');

  let told;
  device.next('updateProfile', { after: () => new Promise((tell) => { told = tell; }) });
  page.send('.face', 'chooseavatar', { avatarUrl: 'http://tmp/a.jpg' });
  await until('the veil', () => page.find('.veil'));
  await until('the answer', () => told);
  told();
  await until('a picture', () => page.find('.avatar').dom.dataset.src);
  const shown = await fetch(page.find('.avatar').dom.dataset.src);
  assert.equal(shown.headers.get('content-type'), 'image/jpeg');
  await until('no veil', () => !page.find('.veil'));

  page.send('.nick', 'submit', { value: { nickname: ' 小明同学 ' } });
  await until('the nickname', () => /小明同学/.test(page.text));
  assert.deepEqual(seen.toasts, ['已保存']);
  page.send('.nick', 'submit', { value: { nickname: 'x'.repeat(33) } });
  await until('the complaint', () => seen.toasts.includes('昵称限 1 到 32 个字，不能有换行等控制字符'));

  await page.component.instance.bindPhone({ detail: {} });
  assert.match(page.text, /已绑定|138\*\*\*\*\d{4}/);
  assert.match(ahead.phones.pop(), /^phone~138\d{8}~\d+$/);
  page.close();
});

test('a number that another account has is moved when the user says so', async () => {
  const [one, two] = [telephone(), telephone()];
  const numberOf = async (app) => (await app.client.query('{ me { phone { number } } }')).me.phone.number;
  for (const device of [one, two]) {
    const { app, open } = launch(device, server.url);
    const page = open('index');
    await page.component.instance.bindPhone({ detail: {} });
    device.number = await numberOf(app);
    page.close();
  }
  assert.notEqual(one.number, two.number, 'each person has a number of their own');

  const { app, open, seen } = launch(two, server.url, { sandboxPerson: '' });
  const page = open('index');
  const detail = { code: `phone~${one.number}~${Date.now()}` };
  seen.confirm = false;
  await page.component.instance.bindPhone({ detail });
  assert.match(seen.modals[0], /^这个手机号已绑定其他账号：/);
  assert.equal(await numberOf(app), two.number);
  seen.confirm = true;
  await page.component.instance.bindPhone({ detail });
  assert.equal(await numberOf(app), one.number);
  assert.deepEqual([seen.modals.length, seen.toasts], [2, []]);
  page.close();
});

test('a service that is being moved', async () => {
  const device = telephone();
  const { open, seen } = launch(device, server.url);
  const page = open('index');
  await until('a user', () => page.data.user);
  device.next('updateProfile', { status: 200, data: JSON.stringify({ data: null, errors: [{ message: 'No.', extensions: { code: 'READ_ONLY', retryAfter: 30 } }] }) });
  page.send('.nick', 'submit', { value: { nickname: '小明' } });
  await until('the reason', () => seen.toasts.includes('服务正在维护，暂时不能修改，请稍后再试'));
  device.next('updateProfile', ...Array(3).fill({ status: 502, data: '<html>502 Bad Gateway</html>' }));
  page.send('.nick', 'submit', { value: { nickname: '小明' } });
  await until('that it is not the network', () => seen.toasts.includes('服务暂时不可用，请稍后再试'));
  page.close();
});

test('a bad network, and then a good one', async () => {
  const device = telephone();
  device.offline = true;
  const { open } = launch(device, server.url);
  const page = open('index');
  await until('the trouble', () => /网络不太好，请稍后再试/.test(page.text));
  device.offline = false;
  page.send('.small', 'tap');
  await until('a user', () => page.data.user);
  assert.doesNotMatch(page.text, /重试/);
  page.close();
});

test('what WeChat does not give is told, unless the user did not want it', async () => {
  const device = telephone();
  const { open, seen } = launch(device, server.url, { sandboxPerson: '' });
  const page = open('index');
  await until('a user', () => page.data.user);
  const { warn } = console;
  const warned = [];
  console.warn = (...words) => warned.push(words.join(' '));
  for (const detail of [
    { errMsg: 'getPhoneNumber:fail user deny' },
    { errMsg: 'getPhoneNumber:fail privacy permission is not authorized', errno: 104 },
  ]) page.component.instance.bindPhone({ detail });
  assert.deepEqual(seen.toasts, []);
  for (const detail of [
    { errMsg: 'getPhoneNumber:fail no quota', errno: 1400001 },
    { errMsg: 'getPhoneNumber:fail api scope is not declared in the privacy agreement', errno: 112 },
  ]) {
    page.component.instance.bindPhone({ detail });
    assert.equal(seen.toasts.pop(), '现在取不到手机号，请稍后再试');
    assert.equal(warned.pop(), `${detail.errno} ${detail.errMsg}`, 'for the developer');
  }
  page.send('.face', 'chooseavatar', { avatarUrl: 'http://tmp/gone.jpg' });
  await until('the reason', () => seen.toasts.includes('找不到这张图片，请重新选择'));
  console.warn = warn;
  page.close();
});

test('a picture is chosen only where it can be sent', async () => {
  const { open, seen } = launch(telephone(), server.url);
  const page = open('index');
  const chooses = () => page.find('.face').dom.dataset.openType === 'chooseAvatar';
  assert.equal(chooses(), false, 'nobody is signed in yet');
  await until('a user', () => page.data.user);
  assert.equal(chooses(), true);
  page.component.setData({ uploading: 50 });
  assert.equal(chooses(), false, 'one is under way');
  page.component.setData({ uploading: 0 });
  page.send('.danger', 'tap');
  await until('out', () => page.data.signedOut);
  assert.equal(chooses(), false);
  page.send('.face', 'chooseavatar', { avatarUrl: 'http://tmp/a.jpg' });
  await until('the reason', () => seen.toasts.includes('请先登录'));
  page.close();
});

test('logging out, and in again', async () => {
  const device = telephone();
  const { app, open, seen } = launch(device, server.url);
  const page = open('index');
  const { id } = await until('a user', () => page.data.user);
  page.send('.danger', 'tap');
  await until('out', () => /您已退出登录/.test(page.text));
  assert.equal(seen.modals.length, 1);
  page.close();
  // The mini program starts again: still out.
  const again = launch(device, server.url);
  const later = again.open('index');
  assert.match(later.text, /您已退出登录/);
  later.send('.button', 'tap');
  assert.equal((await until('a user', () => later.data.user)).id, id);
  assert.equal(app.client.signedOut, true);
  later.close();
});

test('the telephone number is that of who is signed in', async () => {
  const device = telephone();
  const { app, open } = launch(device, server.url);
  const page = open('index');
  const { id } = await until('a user', () => page.data.user);
  await until('none', () => /手机号去绑定/.test(page.text));
  await page.component.instance.bindPhone({ detail: {} });
  await until('the number', () => /手机号138\*{4}\d{4}/.test(page.text));

  // The account is deleted while the number is asked for; then there is a new one.
  let told;
  device.next('phone', { after: () => new Promise((tell) => { told = tell; }) });
  const late = page.component.instance.readPhone();
  await until('the answer', () => told);
  const data = open('data');
  await data.component.instance.deleteAccount();
  data.close();
  await page.component.instance.refresh();
  page.send('.button', 'tap');
  assert.notEqual((await until('a user', () => page.data.user)).id, id);
  await until('none', () => /手机号去绑定/.test(page.text));
  told();
  await late;
  assert.match(page.text, /手机号去绑定/);
  page.find('#privacy').instance.agree(); // a new account, a new question
  await page.component.instance.bindPhone({ detail: {} });
  await until('the number', () => /手机号138\*{4}\d{4}/.test(page.text));
  page.close();

  // Signed out, and in again after a restart.
  await app.client.logout();
  const later = launch(device, server.url).open('index');
  device.next('phone', 'offline', 'offline', 'offline');
  later.send('.button', 'tap');
  await until('a user', () => later.data.user);
  await until('no answer', () => !device.faults.phone.length);
  assert.doesNotMatch(later.text, /去绑定/, 'nobody knows');
  await later.component.instance.refresh();
  await until('the number', () => /手机号138\*{4}\d{4}/.test(later.text));
  later.close();
});

test('an account that waits for its deletion is restored only when the user says so', async () => {
  const [device, other] = [telephone(), telephone()];
  other.person = device.person;
  let { app, open, seen } = launch(other, patient.url);
  const { user: { id } } = await app.client.login();
  ({ app, open, seen } = launch(device, patient.url));
  const page = open('index');
  await until('a user', () => page.data.user);

  // It is deleted on this device.
  const data = open('data');
  await data.component.instance.deleteAccount();
  data.close();
  await page.component.instance.refresh();
  seen.confirm = false;
  await page.component.instance.login();
  assert.match(seen.modals.pop(), /^恢复账号：/);
  assert.match(page.text, /您已退出登录/);
  page.close();

  // The other device has its tokens still.
  ({ app, open, seen } = launch(other, patient.url));
  const elsewhere = open('index');
  await until('the ways on', () => /账号已注销.*恢复账号退出$/.test(elsewhere.text.replace(/ ?正在使用沙箱.*/, '')));
  assert.doesNotMatch(elsewhere.text, /重试|正在登录/);
  seen.confirm = false;
  elsewhere.send('.button', 'tap');
  await until('the question', () => seen.modals.length);
  assert.match(elsewhere.text, /账号已注销/);
  elsewhere.send('.quiet', 'tap');
  await until('out', () => /您已退出登录/.test(elsewhere.text));
  elsewhere.close();

  // It is asked after a restart too, and restored.
  ({ app, open, seen } = launch(other, patient.url));
  const again = open('index');
  again.send('.button', 'tap');
  assert.equal((await until('a user', () => again.data.user)).id, id);
  assert.equal(seen.modals.length, 1);
  again.close();

  // Then there is nothing to ask about.
  await app.client.logout();
  const later = open('index');
  later.send('.button', 'tap');
  await until('a user', () => later.data.user);
  assert.equal(seen.modals.length, 1);
  later.close();
});

test('an account that is deleted elsewhere while its page is open', async () => {
  const [device, other] = [telephone(), telephone()];
  other.person = device.person;
  const { app } = launch(other, patient.url);
  await app.client.login();
  const { open, seen } = launch(device, patient.url);
  const page = open('index');
  const { id } = await until('a user', () => page.data.user);
  await app.client.query('mutation ($c: String!) { deleteAccount(input: { code: $c }) { erasedAt } }', { c: `${device.person}~deletes` });
  page.send('.nick', 'submit', { value: { nickname: '小明' } });
  await until('the ways on', () => /恢复账号/.test(page.text));
  page.send('.button', 'tap');
  assert.equal((await until('a user', () => page.data.user)).id, id);
  assert.match(seen.modals[0], /^恢复账号：/);
  page.close();
});

test('the list of devices', async () => {
  const device = telephone();
  const other = makeDevice({ person: device.person });
  other.wx.getDeviceInfo = () => ({ model: 'iPhone 17' });
  const elsewhere = launch(other, server.url);
  await elsewhere.app.client.login();
  const { app, open, seen } = launch(device, server.url);
  await app.client.login();
  const page = open('sessions');
  await until('devices', () => page.data.loaded);
  assert.match(page.text, /Mate 60 Pro本机.*iPhone 17.*移除.*退出所有设备/);
  const [, phone] = page.data.sessions;
  await page.component.instance.end({ currentTarget: { dataset: { id: phone.id, name: phone.name } } });
  assert.doesNotMatch(page.text, /iPhone 17|退出所有设备/);
  assert.match(seen.modals[0], /iPhone 17/);
  device.next('logout', 'offline', 'offline', 'offline');
  await page.component.instance.endAll();
  assert.equal(app.client.signedOut, true);
  assert.equal(seen.modals.pop(), '其他设备还没有退出：网络不太好，请稍后再试');
  assert.equal(device.count('logout'), 2, 'and then they are: this one and the phone');
  assert.deepEqual(seen.pages, ['back']);
  page.close();
});

test('export and deletion', async () => {
  const device = telephone();
  const { app, open, seen } = launch(device, server.url);
  const { user } = await app.client.login();
  const page = open('data');
  const answer = (data) => ({ status: 200, data: JSON.stringify({ data }) });
  // What the program does not know yet is answered in its place.
  if (!server.knows('deleteAccount')) device.next('export', answer({ me: { export: { user: { id: user.id } } } }));
  page.send('.button', 'tap');
  await until('the export', () => page.text.includes(user.id));
  page.send('.copy', 'tap');
  await until('the copy', () => seen.clipboard);
  assert.ok(JSON.stringify(JSON.parse(seen.clipboard)).includes(user.id));
  if (!server.knows('deleteAccount')) device.next('deleteAccount', answer({ deleteAccount: { erasedAt: new Date().toISOString() } }));
  page.send('.soft', 'tap');
  await until('the end', () => seen.toasts.includes('已注销'));
  assert.equal(device.storage.has('agreed'), false, 'a new account is asked anew');
  assert.equal(app.client.signedOut, true);
  assert.match(seen.modals[0], /都会被删除/);
  page.close();
});

test('the privacy authorisation', async () => {
  const device = telephone();
  const { open, seen } = launch(device, server.url, { needPrivacy: true });
  const page = open('index');
  await until('a user', () => page.data.user);
  assert.match(page.text, /隐私保护提示.*《miniprofile 演示隐私保护指引》.*暂不同意同意并继续/);
  const privacy = page.find('#privacy');
  const answers = [];
  seen.privacy((answer) => answers.push(answer.event)); // WeChat asks before a picture is chosen
  assert.ok(page.component.dom.querySelector('[data-open-type=agreePrivacyAuthorization]'), 'the button that WeChat demands');
  privacy.instance.agree();
  assert.deepEqual(answers, ['agree']);
  assert.doesNotMatch(page.text, /隐私保护提示/);
  assert.equal(device.storage.get('agreed'), policyVersion);
  seen.privacy((answer) => answers.push(answer.event));
  assert.match(page.text, /隐私保护提示/);
  privacy.instance.refuse();
  assert.deepEqual(answers, ['agree', 'disagree']);
  assert.doesNotMatch(page.text, /隐私保护提示/);
  page.close();
});

test('the clipboard needs the privacy authorisation too', async () => {
  const { app, open, seen } = launch(telephone(), server.url, { needPrivacy: true });
  await app.client.login();
  const index = open('index');
  index.find('#privacy').instance.refuse();
  const page = open('data');
  assert.doesNotMatch(page.text, /隐私保护提示/, 'who has refused is not asked again before it is needed');
  await page.component.instance.exportData();

  // WeChat asks where the user looks, and refuses the copy with them.
  const { warn } = console;
  console.warn = () => {};
  globalThis.wx.setClipboardData = ({ fail }) => seen.privacy(({ event }) => {
    if (event === 'disagree') fail({ errMsg: 'setClipboardData:fail privacy permission is not authorized', errno: 104 });
  });
  page.send('.copy', 'tap');
  await until('the question', () => /隐私保护提示/.test(page.text));
  assert.doesNotMatch(index.text, /隐私保护提示/);
  page.find('#privacy').instance.refuse();
  console.warn = warn;
  assert.deepEqual(seen.toasts, ['没有复制成功，可以长按文字来复制']);

  // Back again, it asks there.
  const answers = [];
  seen.privacy((answer) => answers.push(answer.event));
  page.close();
  assert.deepEqual(answers, ['disagree'], 'who leaves has not agreed');
  index.find('#privacy').triggerPageLifeTime('show'); // as WeChat does
  seen.privacy(() => {});
  assert.match(index.text, /隐私保护提示/);
  index.close();
});

/** What the server knows of who uses an app. */
const known = async (app) => (await app.client.query('{ me { nickname avatar { url } phone { number } consents { scope purpose policyVersion withdrawnAt } } }')).me;

/** The sheet that the page itself asks by. */
async function sheet(page) {
  await until('the question', () => /隐私保护提示/.test(page.text));
  assert.equal(page.component.dom.querySelector('[data-open-type=agreePrivacyAuthorization]'), null, 'a plain button: WeChat may have nothing to agree to');
  return page.find('#privacy');
}

for (const [kind, at] of [['a server', server], ['a server that demands consents', strict]]) {
  test(`${kind} gets a consent with each thing that the user gives, whatever WeChat knows`, async () => {
    const device = telephone('');
    const { app, open, seen } = launch(device, at.url);
    const page = open('index');
    await until('a user', () => page.data.user);

    // Refused, nothing is sent.
    page.send('.nick', 'submit', { value: { nickname: '小明' } });
    const question = await sheet(page);
    assert.match(page.text, /头像展示在您的资料中昵称用来称呼您手机号绑定到您的账号同意之后，可随时在“我的数据”里撤回/, 'the purposes that are recorded');
    question.instance.refuse();
    await until('the reason', () => seen.toasts.includes('请先阅读并同意隐私保护指引'));
    assert.equal(device.count('updateProfile'), 0);

    // Agreed, only what is given is recorded.
    page.send('.nick', 'submit', { value: { nickname: '小明' } });
    (await sheet(page)).querySelector('.main').dispatchEvent('tap');
    await until('the nickname', () => seen.toasts.includes('已保存'));
    const consent = (scope) => ({ scope, purpose: purposes[scope], policyVersion, withdrawnAt: null });
    assert.deepEqual((await known(app)).consents, [consent('NICKNAME')]);

    // Nobody is asked again.
    page.send('.face', 'chooseavatar', { avatarUrl: 'http://tmp/a.jpg' });
    await until('a picture', () => page.data.user.avatar);
    await page.component.instance.bindPhone({ detail: {} });
    assert.deepEqual((await known(app)).consents, [consent('AVATAR'), consent('NICKNAME'), consent('PHONE')]);

    // Taking something away needs no consent, and gives none.
    page.send('.nick', 'submit', { value: { nickname: '' } });
    await until('none', () => page.data.user.nickname === null);
    assert.equal(device.sent.filter((s) => s.operation === 'updateProfile').pop().variables.input.consent, undefined);
    page.close();

    // The guideline has changed.
    device.storage.set('agreed', 'an older one');
    const later = launch(device, at.url).open('index');
    await until('a user', () => later.data.user);
    later.send('.nick', 'submit', { value: { nickname: '小明' } });
    await sheet(later);
    later.close();
  });
}

test('a server that does not know consents yet gets the data all the same', async () => {
  const device = telephone();
  const { app, open, seen } = launch(device, server.url);
  const page = open('index');
  await until('a user', () => page.data.user);
  // What the program says to a field that it does not know.
  const { token } = device.sent.at(-1);
  const answer = await ask(server.url, 'mutation ($input: UpdateProfileInput!) { updateProfile(input: $input) { user { id } } }', { input: { unheard: {} } }, token);
  device.next('updateProfile', { status: 200, data: JSON.stringify(answer) });
  page.send('.nick', 'submit', { value: { nickname: '小明' } });
  await until('the nickname', () => seen.toasts.includes('已保存'));
  const { nickname, consents } = await known(app);
  assert.deepEqual([nickname, consents], ['小明', []]);
  page.close();

  const refusal = (code) => ({ status: 200, data: JSON.stringify({ errors: [{ message: 'No.', extensions: { code } }] }) });
  device.next('consents', refusal('GRAPHQL_VALIDATION_FAILED'));
  const data = open('data');
  await until('the reason', () => /服务器的版本较旧，还没有这个功能/.test(data.text));
  data.send('.again', 'tap');
  await until('the list', () => /目前没有/.test(data.text));
  data.close();
});

test('what the user agreed to is listed, and withdrawn one by one', async () => {
  const device = telephone();
  const { app, open, seen } = launch(device, strict.url);
  const index = open('index');
  await until('a user', () => index.data.user);
  index.send('.face', 'chooseavatar', { avatarUrl: 'http://tmp/a.jpg' });
  await until('a picture', () => index.data.user.avatar);
  index.send('.nick', 'submit', { value: { nickname: '小明' } });
  await until('the nickname', () => index.data.user.nickname);
  await index.component.instance.bindPhone({ detail: {} });

  const page = open('data');
  const date = '\\d{4}年\\d+月\\d+日 \\d\\d:\\d\\d 同意 ?撤回';
  const listed = () => page.data.consents?.map((c) => c.scope).join();
  await until('the list', () => listed() === 'AVATAR,NICKNAME,PHONE');
  assert.match(page.text, new RegExp(`头像 ?展示在您的资料中 ?${date} ?昵称 ?用来称呼您 ?${date} ?手机号 ?绑定到您的账号 ?${date}`));

  // Not without a confirmation.
  const phone = { currentTarget: { dataset: { scope: 'PHONE', name: '手机号' } } };
  seen.confirm = false;
  await page.component.instance.withdraw(phone);
  assert.equal(seen.modals.pop(), '撤回同意：您的手机号会被解除绑定并删除。以后愿意时，可以重新提供。');
  assert.equal(device.count('withdrawConsent'), 0);
  seen.confirm = true;

  // It fails, and is then done.
  device.next('withdrawConsent', 'offline', 'offline', 'offline');
  await page.component.instance.withdraw(phone);
  assert.equal(seen.toasts.pop(), '网络不太好，请稍后再试');
  assert.equal(device.storage.has('agreed'), false, 'the server may have done it');
  assert.equal(listed(), 'AVATAR,NICKNAME,PHONE');
  for (const [scope, name, rest] of [['PHONE', 'phone', 'AVATAR,NICKNAME'], ['AVATAR', 'avatar', 'NICKNAME'], ['NICKNAME', 'nickname', '']]) {
    assert.notEqual((await known(app))[name], null);
    page.all('.end').at(scope === 'AVATAR' ? 0 : -1).dispatchEvent('tap', { bubbles: true });
    await until('the rest', () => listed() === rest);
    const after = await known(app);
    assert.equal(after[name], null, 'it is deleted on the server');
    assert.deepEqual(after.consents.filter((c) => !c.withdrawnAt).map((c) => c.scope).join(), rest);
  }
  assert.match(page.text, /目前没有/);
  page.close();

  // Back on the first page nothing is left, and who gives it anew is asked anew.
  await index.component.instance.refresh();
  await until('none', () => /手机号去绑定/.test(index.text));
  assert.match(index.text, /微信用户/);
  index.send('.nick', 'submit', { value: { nickname: '小明' } });
  (await sheet(index)).querySelector('.main').dispatchEvent('tap');
  await until('the nickname', () => index.data.user.nickname === '小明');
  index.close();
});

test('the privacy guideline can be read, where WeChat can show it', async () => {
  const { open, seen } = launch(telephone(), server.url);
  const page = open('data');
  let opened = 0;
  globalThis.wx.openPrivacyContract = ({ fail }) => { if (opened++) fail({ errMsg: 'openPrivacyContract:fail' }); };
  page.component.instance.read();
  assert.deepEqual([opened, seen.toasts], [1, []]);
  page.component.instance.read();
  assert.deepEqual([opened, seen.toasts.pop()], [2, '现在打不开，请稍后再试']);
  delete globalThis.wx.openPrivacyContract; // before 2.32.3
  page.component.instance.read();
  assert.equal(seen.toasts.pop(), '微信版本太旧，请更新后查看');
  page.close();
});

test('the demo has the client as it is', () => {
  for (const name of ['index.js', 'index.d.ts', 'schema.d.ts']) {
    const at = (folder) => readFileSync(new URL(`../${folder}/${name}`, import.meta.url), 'utf8');
    assert.ok(at('demo/miniprofile') === at('client/lib'), `${name} differs: npm run generate`);
  }
});

test('WeChat\'s own compiler takes the pages', () => {
  const compiler = createRequire(import.meta.url)('miniprogram-compiler');
  const demo = fileURLToPath(new URL('../demo', import.meta.url));
  assert.match(compiler.wxmlToJs(demo), /pages\/index\/index\.wxml/);
  assert.match(compiler.wxssToJs(demo), /pages\/index\/index\.wxss/);
});

test('every page that is named is there', () => {
  const read = (path) => readFileSync(new URL(`../demo/${path}`, import.meta.url), 'utf8');
  const { pages } = JSON.parse(read('app.json'));
  assert.deepEqual(pages.map((p) => p.split('/')[1]).sort(), readdirSync(new URL('../demo/pages', import.meta.url)).sort());
  for (const page of pages) {
    for (const ending of ['js', 'json', 'wxml', 'wxss']) assert.ok(read(`${page}.${ending}`), page);
    // Each class that is used is written down.
    const styles = [...(`${read(`${page}.wxss`)}${read('common.wxss')}`).matchAll(/\.([a-z]+)/g)].map((m) => m[1]);
    for (const [, names] of read(`${page}.wxml`).matchAll(/class="([^"]*)"/g)) {
      for (const name of names.replace(/{{.*?}}/g, '').trim().split(/\s+/)) assert.ok(styles.includes(name) || name === 'nick', `${page}: ${name}`);
    }
  }
});

const sources = (ending) => ['pages/index/index', 'pages/sessions/sessions', 'pages/data/data', 'components/privacy/privacy']
  .map((path) => [path, readFileSync(new URL(`../demo/${path}.${ending}`, import.meta.url), 'utf8')]);

test('whoever hears the pages knows what can be touched', () => {
  for (const [path, text] of sources('wxml')) {
    for (const [tag, name] of text.matchAll(/<(\w+)[^>]*\sbind\w+="[^>]*>/g)) {
      assert.ok(['button', 'form', 'privacy'].includes(name) || /aria-role=/.test(tag), `${path}: ${tag}`);
    }
    for (const [tag] of text.matchAll(/<input[^>]*>/g)) assert.match(tag, /aria-label=/, path);
    for (const [all, tag, inside] of text.matchAll(/(<button[^>]*>)([\s\S]*?)<\/button>/g)) {
      assert.ok(/[\u4e00-\u9fff]/.test(inside.replace(/{{.*?}}/g, '')) || /aria-label=/.test(tag), `${path}: ${all}`);
    }
  }
});

test('every text stands out from what is behind it', async () => {
  const common = readFileSync(new URL('../demo/common.wxss', import.meta.url), 'utf8');
  const styles = new Map(sources('wxss').map(([path, text]) => [path.split('/').pop(), path.startsWith('pages') ? common + text : text]));
  const light = (hex) => {
    const [r, g, b] = (hex.length === 4 ? hex.replace(/\w/g, '$&$&') : hex).match(/\w\w/g).map((c) => parseInt(c, 16) / 255)
      .map((c) => (c <= 0.03928 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  /** The colours that the nearest ancestor with that property has; a gradient has several. */
  const colours = (node, property, page) => {
    for (let n = node; n; n = n.parentElement) {
      let found;
      for (const name of n.classList || []) {
        const [where, plain] = name.split('--');
        const rules = (styles.get(where === 'main' ? page : where) || '').matchAll(new RegExp(`\\.${plain} {([^}]*)}`, 'g'));
        for (const [, rule] of rules) found = new RegExp(`(?:^|[ ;])${property}: ([^;]*#[^;]*);`).exec(rule)?.[1].match(/#\w+/g) || found;
      }
      if (found) return found;
    }
    return property === 'color' ? ['#191b1f'] : ['#f4f5f7'];
  };
  let seen = 0;
  const look = (page, name) => {
    const walker = document.createTreeWalker(document.body, window.NodeFilter.SHOW_TEXT);
    while (walker.nextNode()) {
      const node = walker.currentNode.parentElement;
      if (!walker.currentNode.textContent.trim()) continue;
      for (const fore of colours(node, 'color', name)) {
        for (const back of colours(node, 'background', name)) {
          const [a, b] = [light(fore), light(back)].sort((x, y) => y - x);
          const ratio = (a + 0.05) / (b + 0.05);
          assert.ok(ratio >= 4.5, `${name}: ${walker.currentNode.textContent}: ${fore} on ${back}: ${ratio.toFixed(2)}`);
          seen++;
        }
      }
    }
    page.close();
  };
  const device = telephone();
  const { app, open } = launch(device, server.url, { needPrivacy: true });
  await launch(makeDevice({ person: device.person }), server.url).app.client.login();
  const { open: reopen } = launch(device, server.url, { needPrivacy: true });
  let page = reopen('index');
  await until('a user', () => page.data.user && page.data.phone !== null);
  look(page, 'index');
  page = open('sessions');
  await until('devices', () => page.data.others);
  look(page, 'sessions');
  page = open('data');
  await until('consents', () => page.data.consents);
  page.component.setData({ text: '{}', size: '2 个字符', consents: [{ scope: 'PHONE', name: '手机号', purpose: '绑定', granted: '今天' }] });
  look(page, 'data');
  await app.client.logout();
  page = open('index');
  page.component.setData({ deleted: true, signedOut: true, error: '网络不太好' });
  look(page, 'index');
  assert.ok(seen > 40, `${seen} texts`);
});
