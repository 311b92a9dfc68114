// The client against the real program in its sandbox, through a network that behaves as badly as a telephone's.
import assert from 'node:assert/strict';
import { createRequire } from 'node:module';
import { describe, test } from 'node:test';
import { ask, startAhead, startServer } from './server.mjs';
import { makeDevice, photograph } from './wx.mjs';

const { createClient } = createRequire(import.meta.url)('../client/lib/index.js');
const server = await startServer();
const ahead = await startAhead(server);
const SESSIONS = '{ me { id sessions { id current device } } }';
const DAY = 24 * 3600 * 1000;
let people = 0;

/** A person of their own, with a telephone and a client on it. */
function start(options = {}, url = server.url, telephone = {}) {
  const device = makeDevice({ person: `p${process.pid}-${people++}`, files: new Map([['wxfile://tmp_1', photograph]]), ...telephone });
  return { device, ...restart(device, options, url) };
}

/** The same telephone, after the mini program was killed. */
function restart(device, options = {}, url = server.url) {
  const client = createClient({ url, platform: device.wx, ...options });
  const sessions = [];
  client.on('session', (change) => sessions.push(change.reason));
  return { client, sessions };
}

/** Waits for what happens by itself. */
async function until(what, look) {
  for (const end = Date.now() + 60000; !await look();) {
    if (Date.now() > end) throw new Error(`in vain waited for ${what}`);
    await new Promise(setImmediate);
  }
}

const stored = (device) => JSON.parse(device.storage.values().next().value);
const parallel = (n, f) => Promise.all(Array.from({ length: n }, (_, i) => f(i)));

/** Changes what is stored, as time or somebody else would. */
function tamper(device, change) {
  for (const [key, value] of device.storage) device.storage.set(key, JSON.stringify({ ...JSON.parse(value), ...change }));
}

/** Lets the device's clock, or another, run ahead by ms during f. */
async function clockAhead(ms, f, clock = Date.now) {
  const { now } = Date;
  Date.now = () => clock() + ms;
  try { return await f(); } finally { Date.now = now; }
}

/** Stops the device's clock during f. */
function clockStopped(f) {
  const now = Date.now();
  return clockAhead(0, f, () => now);
}

/** Asks all timers that the client starts during f, with their milliseconds, whether they run by the clock. */
async function timers(byTheClock, f) {
  const { setTimeout: real } = globalThis;
  globalThis.setTimeout = (end, ms, ...rest) => (byTheClock(ms, end) ? real(end, ms, ...rest) : 0);
  try { return await f(); } finally { globalThis.setTimeout = real; }
}

/** Lets the client repeat at once during f. Its time-outs run by the clock. */
const hasty = (f) => timers((ms, end) => ms === 20000 || void setImmediate(end), f);

/** An answer of the server's with an error. */
const refusal = (code, more = {}) => ({ status: 200, data: JSON.stringify({ data: null, errors: [{ message: 'No.', extensions: { code, ...more } }] }) });

/** The error that a call fails with. */
async function failure(promise) {
  try { await promise; } catch (error) { return error; }
  throw new Error('it did not fail');
}

describe('login', () => {
  test('20 calls at once make one login', async () => {
    const { device, client, sessions } = start();
    const users = await parallel(20, () => client.me());
    assert.equal(new Set(users.map((u) => u.id)).size, 1);
    assert.equal(device.logins, 1);
    assert.equal(device.count('login'), 1);
    assert.equal(device.count('me'), 20);
    assert.ok(device.peak <= 10, `${device.peak} requests at a time`);
    assert.deepEqual(sessions, ['login']);
    const { me } = await client.query(SESSIONS);
    assert.deepEqual(me.sessions.map((s) => s.device), ['Mate 60 Pro']);
  });

  test('tells who is signed in, and whether that is new', async () => {
    const { device, client } = start();
    const first = await client.login();
    assert.equal(first.created, true);
    assert.equal(device.count('me'), 0);
    const again = await restart(device).client.login();
    assert.deepEqual(again, { user: first.user, created: false });
    assert.equal(device.logins, 1, 'tokens survive a restart');
  });

  test('a lost answer makes one user and one session', async () => {
    const { device, client } = start();
    device.next('login', 'lost');
    const { user } = await client.login();
    assert.equal(device.logins, 1);
    const [one, two] = device.sent.filter((s) => s.operation === 'login').map((s) => s.variables.input);
    assert.deepEqual(one, two);
    assert.ok(one.requestId.length >= 16 && one.requestId.length <= 64, one.requestId);
    const { me } = await client.query(SESSIONS);
    assert.equal(me.id, user.id);
    assert.equal(me.sessions.length, 1);
  });

  test('a lost answer, and then the mini program is killed', async () => {
    const { device, client } = start();
    device.next('login', 'lost', 'lost', 'lost');
    assert.equal((await failure(client.login())).code, 'NETWORK');
    const later = restart(device).client;
    const { me } = await later.query(SESSIONS);
    assert.equal(me.sessions.length, 1);
    assert.equal(device.logins, 1, 'the code of the lost login is still good');
  });

  test('an old code of a lost login is replaced', async () => {
    const { device } = start();
    device.storage.set(`miniprofile ${server.url}`, JSON.stringify({ pending: { code: 'used~1', requestId: 'x' } }));
    const { client } = restart(device);
    await client.me();
    assert.equal(device.logins, 1);
  });

  test('refused codes are replaced, but not for ever', async () => {
    const { device, client } = start({}, server.url, { person: 'invalid' });
    const error = await failure(client.me());
    assert.equal(error.code, 'LOGIN_CODE_REJECTED');
    assert.equal(error.retryable, false);
    assert.match(error.requestId, /^\w+$/);
    assert.equal(device.logins, 3);
  });

  test('tells of a user that it made because the account of the stored tokens is gone', async () => {
    const { device, client } = start();
    const { user } = await client.login();
    await client.query('mutation ($input: DeleteAccountInput!) { deleteAccount(input: $input) { erasedAt } }', { input: { code: `${device.person}~gone` } });
    const again = restart(device);
    const entered = await again.client.login();
    assert.equal(entered.created, true);
    assert.notEqual(entered.user.id, user.id);
    assert.deepEqual(again.sessions, ['login']);
    assert.deepEqual(await again.client.login(), { user: entered.user, created: false });
  });

  test('does not restore an account that the user has deleted, unless told to', async () => {
    const { url } = await startServer({ MINIPROFILE_DELETION_DELAY: '1h' });
    const { device, client } = start({}, url);
    const { user } = await client.login();
    const other = start({}, url, { person: device.person }); // their other telephone
    assert.equal((await other.client.login()).user.id, user.id);
    await client.query('mutation ($input: DeleteAccountInput!) { deleteAccount(input: $input) { erasedAt } }', { input: { code: `${device.person}~gone` } });
    for (const again of [() => other.client.me(), () => clockAhead(DAY, () => other.client.me()), () => restart(other.device, {}, url).client.login()]) {
      const { code, hint } = await failure(again());
      assert.deepEqual([code, hint], ['UNAUTHENTICATED', 'DELETION_PENDING']);
    }
    assert.equal(other.device.logins, 1);
    assert.deepEqual(await other.client.login({ fresh: true }), { user, created: false });
    assert.equal((await other.client.me()).id, user.id);
    await client.logout(); // of a session that is over
  });

  test('a fresh one begins a session in the place of the old one', async () => {
    const { device, client, sessions } = start();
    const { user } = await client.login();
    const { access } = stored(device);
    const [one, two, profile] = await Promise.all([client.login({ fresh: true }), client.login({ fresh: true }), client.me()]);
    assert.deepEqual([one, two, profile], [{ user, created: false }, { user, created: false }, user]);
    assert.equal(device.logins, 2, 'two calls at once make one login');
    assert.equal(device.count('refreshSession'), 0);
    assert.notEqual(stored(device).access, access);
    assert.deepEqual(sessions, ['login', 'login']);
    await until('the end of the old session', async () => (await client.query(SESSIONS)).me.sessions.length === 1);
    assert.ok((await restart(device).client.me()).id);
    assert.equal(device.logins, 2);
  });

  test('a fresh one is the way out where the server says that its session_key is stale', async () => {
    const { device, client } = start();
    await client.login();
    const data = async (how = '') => {
      const { encryptedData, iv } = await (await fetch(`${server.origin}/sandbox/opendata?person=${device.person}${how}`)).json();
      return { input: { encryptedData, iv } };
    };
    const importing = 'mutation ($input: ImportWeChatProfileInput!) { importWeChatProfile(input: $input) { user { nickname } } }';
    const stale = await failure(client.query(importing, await data('&stale=1')));
    assert.deepEqual([stale.code, stale.hint], ['UNAUTHENTICATED', 'LOG_IN_AGAIN']);
    assert.deepEqual([device.logins, device.count('refreshSession')], [1, 0], 'refreshing does not help');
    await client.login({ fresh: true });
    assert.equal(device.logins, 2);
    assert.ok((await client.query(importing, await data())).importWeChatProfile.user.nickname);
  });

  test('a fresh one that fails leaves everything as it was', async () => {
    const { device, client } = start();
    const { user } = await client.login();
    const { access, refresh } = stored(device);
    device.next('login', 'lost', 'lost', 'lost');
    assert.equal((await failure(client.login({ fresh: true }))).code, 'NETWORK');
    assert.deepEqual([stored(device).access, stored(device).refresh], [access, refresh]);
    const later = restart(device).client;
    assert.equal((await later.me()).id, user.id);
    assert.equal((await later.login({ fresh: true })).user.id, user.id);
    assert.equal(device.logins, 2, 'the code of the lost login is still good');
    await until('the end of the old session', async () => (await later.query(SESSIONS)).me.sessions.length === 1);
    device.next('login', refusal('ACCOUNT_BLOCKED'));
    assert.equal((await failure(later.login({ fresh: true }))).code, 'ACCOUNT_BLOCKED');
    assert.equal((await later.me()).id, user.id);
    assert.equal(stored(device).pending, undefined);
  });

  test('a code that something between refused is still good', async () => {
    const { device, client } = start();
    device.next('login', { status: 403, data: '<html>blocked' });
    assert.equal((await failure(client.me())).status, 403);
    assert.ok((await restart(device).client.me()).id);
    assert.equal(device.logins, 1);
  });

  test('what WeChat says comes out as a code', async () => {
    for (const [person, code, retryable] of [['blocked', 'ACCOUNT_BLOCKED', false], ['garbage', 'UPSTREAM_UNAVAILABLE', true], ['down', 'UPSTREAM_UNAVAILABLE', true]]) {
      const error = await failure(hasty(() => start({}, server.url, { person }).client.login()));
      assert.deepEqual([error.code, error.retryable], [code, retryable], person);
    }
  });

  test('while WeChat is away it says so, after one more code, and waits', async () => {
    const { device, client } = start({}, server.url, { person: 'busy' });
    await clockStopped(async () => {
      const error = await failure(hasty(() => client.me()));
      assert.deepEqual([error.code, error.retryable, error.retryAfter], ['UPSTREAM_UNAVAILABLE', true, 1]);
      assert.deepEqual([device.logins, device.count('login')], [2, 4], 'each code is sent once more: the answer might be there');
      const again = await parallel(5, () => failure(client.me()));
      assert.ok(again.every((e) => e.code === 'UPSTREAM_UNAVAILABLE' && e.retryAfter === 1));
      assert.equal(device.count('login'), 4, 'nothing more was asked of anybody');
    });
    device.person = `p${process.pid}-back`;
    assert.ok((await clockAhead(1001, () => client.me())).id);
    assert.equal(device.logins, 3, 'a code that was used up is not sent again');
  });

  test('WeChat was away for one code only', async () => {
    const { device, client } = start();
    const { person } = device;
    const { login } = device.wx;
    device.wx.login = (o) => { device.person = device.logins ? person : 'busy'; login(o); };
    assert.ok((await hasty(() => client.me())).id);
    assert.deepEqual([device.logins, device.count('login')], [2, 3]);
  });

  test('a refusal counts as one where only an earlier code met trouble', async () => {
    const { device, client } = start();
    const { login } = device.wx;
    device.wx.login = (o) => { device.person = device.logins ? 'invalid' : 'busy'; login(o); };
    assert.equal((await failure(hasty(() => client.me()))).code, 'LOGIN_CODE_REJECTED');
    assert.equal(device.logins, 3);
  });

  test('without a network', async () => {
    const { device, client } = start();
    device.offline = true;
    const errors = [];
    const off = client.on('error', (e) => errors.push(e.code));
    const error = await failure(client.me());
    assert.equal(error.code, 'LOGIN_FAILED');
    assert.equal(error.retryable, true);
    assert.ok(error instanceof Error);
    assert.deepEqual(errors, ['LOGIN_FAILED']);
    off();
    device.offline = false;
    assert.ok((await client.me()).id);
    assert.deepEqual(errors, ['LOGIN_FAILED']);
  });
});

describe('refresh', () => {
  test('20 calls that are refused at once make one refresh', async () => {
    const { device, client, sessions } = start();
    await client.login();
    tamper(device, { access: 'of.another.time' });
    const later = restart(device);
    const users = await parallel(20, () => later.client.me());
    assert.equal(new Set(users.map((u) => u.id)).size, 1);
    assert.equal(device.count('refreshSession'), 1);
    assert.equal(device.logins, 1);
    assert.ok(device.count('me') <= 40, 'each is repeated once at most');
    assert.deepEqual([...sessions, ...later.sessions], ['login', 'refresh']);
  });

  test('20 calls after the token expired make one refresh, and no call in vain', async () => {
    const { device, client } = start();
    await client.login();
    await clockAhead(14 * 60 * 1000, () => parallel(20, () => client.me()));
    assert.equal(device.count('refreshSession'), 1);
    assert.equal(device.count('me'), 20);
    assert.equal(device.logins, 1);
  });

  test('a lost answer signs nobody out', async () => {
    const { device, client } = start();
    const { user } = await client.login();
    for (let round = 0; round < 3; round++) {
      tamper(device, { access: 'of.another.time' });
      device.next('refreshSession', 'lost', 'lost', 'lost');
      const later = restart(device).client;
      assert.equal((await failure(later.me())).code, 'NETWORK');
      assert.equal((await (round % 2 ? later : restart(device).client).me()).id, user.id);
    }
    assert.equal(device.logins, 1);
    const { me } = await client.query(SESSIONS);
    assert.equal(me.sessions.length, 1);
  });

  test('a dead refresh token leads to a login that nobody notices', async () => {
    const { device, client } = start();
    const { user } = await client.login();
    const elsewhere = restart(makeDevice({ person: device.person })).client;
    await elsewhere.login();
    assert.deepEqual(await elsewhere.logout({ everywhere: true }), { ended: 2 });
    const users = await parallel(20, () => client.me());
    assert.ok(users.every((u) => u.id === user.id));
    assert.equal(device.logins, 2);
    assert.equal(device.count('refreshSession'), 1);
  });

  test('two clients on one telephone do not throw each other out', async () => {
    const { device, client } = start();
    await client.login();
    const other = restart(device).client;
    for (let round = 1; round < 5; round++) {
      await clockAhead(round * 15 * 60 * 1000, () => (round % 3 ? client : other).me());
    }
    assert.equal(device.logins, 1);
    assert.equal(device.count('refreshSession'), 4);
  });

  test('what one page has got, another takes that hears late, and a third asks for late', async () => {
    const { device, client } = start();
    await client.login();
    tamper(device, { access: 'of.another.time' });
    const [first, second, third] = [1, 2, 3].map(() => restart(device));
    // The third sends its refresh only when the first has done its own and the second has been refused.
    let others;
    device.next('me', {}, { after: () => first.client.me() });
    device.next('refreshSession', { before: () => (others = second.client.me()) });
    const profile = await third.client.me();
    assert.deepEqual(await others, profile);
    assert.deepEqual([second.sessions, first.sessions], [[], ['refresh']]);
    assert.equal(device.count('refreshSession'), 2);
    assert.equal(device.logins, 1, 'nobody was taken for a thief');
  });

  test('what another page has got is renewed where that is over too', async () => {
    for (const change of [{ access: 'of.a.third.time' }, { access: 'of.a.third.time', got: Date.now() - DAY }]) {
      const { device, client } = start();
      await client.login();
      tamper(device, { access: 'of.another.time' });
      const later = restart(device).client;
      tamper(device, change);
      assert.ok((await later.me()).id);
      assert.deepEqual([device.count('refreshSession'), device.logins], [1, 1]);
      assert.equal(device.count('me'), change.got ? 2 : 3);
    }
  });

  test('a clock that is wrong by a day, either way, changes nothing', async () => {
    for (const wrong of [-DAY, DAY]) {
      const { device, client } = start();
      await clockAhead(wrong, async () => {
        await client.login();
        await parallel(5, () => client.me());
        await parallel(5, () => restart(device).client.me());
        assert.equal(device.count('refreshSession'), 0);
        assert.equal(device.logins, 1);
      });
      // The end is seen nevertheless, and before the server has to refuse.
      await clockAhead(wrong + 14 * 60 * 1000, () => parallel(5, () => client.me()));
      assert.equal(device.count('refreshSession'), 1);
      assert.equal(device.count('me'), 15);
    }
  });

  test('without the server\'s time, a token counts until it is refused', async () => {
    const { device, client } = start();
    device.dated = false;
    await client.login();
    await clockAhead(DAY, () => parallel(5, () => client.me()));
    assert.equal(device.count('refreshSession'), 0);
    tamper(device, { access: 'of.another.time' });
    await parallel(5, () => restart(device).client.me());
    assert.equal(device.logins, 1);
  });

  test('a server that cannot use the refresh token any more, for whatever reason', async () => {
    const { device, client } = start();
    const { user } = await client.login();
    tamper(device, { access: 'of.another.time' });
    device.next('refreshSession', { status: 200, data: JSON.stringify({ data: null, errors: [{ message: 'Internal error.', extensions: { code: 'INTERNAL' } }] }) });
    assert.equal((await restart(device).client.me()).id, user.id);
    assert.equal(device.logins, 2);
  });

  test('only the server ends a session, not what stands between', async () => {
    const { device, client } = start();
    const { user } = await client.login();
    const { refresh } = stored(device);
    for (const answer of [
      { status: 403, data: '<html>blocked' }, { status: 403, data: '{"errors":[{"message":"blocked"}]}' },
      refusal('GRAPHQL_VALIDATION_FAILED'), refusal('DOCUMENT_NOT_TRUSTED'), refusal('READ_ONLY'),
    ]) {
      tamper(device, { access: 'of.another.time' });
      device.next('refreshSession', ...Array(3).fill(answer));
      assert.notEqual((await failure(restart(device).client.me())).code, 'UNAUTHENTICATED');
      assert.equal(stored(device).refresh, refresh, answer.data);
      device.faults.refreshSession.length = 0;
    }
    assert.equal((await restart(device).client.me()).id, user.id);
    assert.equal(device.logins, 1);
  });

  test('a clock that is set right by a day costs one refresh at most', async () => {
    for (const change of [-DAY, DAY]) {
      const { device, client } = start();
      await client.login();
      await clockAhead(change, () => parallel(5, async () => { await client.me(); await client.me(); }));
      assert.ok(device.count('refreshSession') <= 1);
      assert.equal(device.logins, 1);
    }
  });
});

describe('repetition', () => {
  test('a query is repeated when its answer got lost; a mutation is not', async () => {
    const { device, client } = start();
    await client.login();
    device.next('me', 'lost');
    await client.me();
    assert.equal(device.count('me'), 2);
    device.next('updateProfile', 'lost');
    const error = await failure(client.updateProfile({ nickname: '小明' }));
    assert.equal(error.code, 'NETWORK');
    assert.equal(error.retryable, true);
    assert.equal(device.count('updateProfile'), 1);
    assert.equal((await client.me()).nickname, '小明', 'it was carried out');
  });

  test('a mutation that its caller calls safe is repeated', async () => {
    const { device, client } = start();
    await client.login();
    device.next('updateProfile', 'lost');
    assert.equal((await client.updateProfile({ nickname: '小红' }, { safe: true })).nickname, '小红');
    assert.equal(device.count('updateProfile'), 2);
  });

  test('answers that come twice', async () => {
    const { device, client } = start();
    device.next('login', 'twice');
    device.next('me', 'twice', 'twice');
    const users = await parallel(3, () => client.me());
    assert.equal(users.length, 3);
    assert.equal((await client.me()).id, users[0].id);
  });

  test('an answer that never comes', async () => {
    const timeout = 1234567; // its end comes when the device was silent, and not for those that are only slow
    const { device, client } = start({ timeout });
    await client.login();
    const ends = [];
    device.onSilence = () => ends.forEach((end) => end());
    await timers((ms, end) => ms !== timeout || !ends.push(end), async () => {
      device.next('me', 'silent');
      assert.ok((await client.me()).id);
      device.next('updateProfile', 'silent');
      assert.equal((await failure(client.updateProfile({ nickname: 'x' }))).code, 'TIMEOUT');
    });
    assert.equal(device.count('me'), 2);
  });

  test('a slow answer is waited for', async () => {
    const { device, client } = start();
    device.next('login', { slow: 400 });
    device.next('me', { slow: 400 });
    await client.me();
    assert.equal(device.sent.length, 2);
  });

  test('retryAfter is obeyed', async () => {
    const { device, client } = start();
    await client.login();
    const limited = (retryAfter) => ({ status: 200, data: JSON.stringify({ data: null, errors: [{ message: 'Too many.', extensions: { code: 'RATE_LIMITED', requestId: 'r1234567', retryAfter } }] }) });
    device.next('updateProfile', limited(1));
    const pauses = [];
    const user = await timers((ms) => ms === 20000 || pauses.push(ms), () => client.updateProfile({ nickname: '慢慢来' }));
    assert.equal(user.nickname, '慢慢来');
    assert.deepEqual(pauses, [1000]);
    device.next('updateProfile', limited(60));
    const error = await failure(client.updateProfile({ nickname: 'x' }));
    assert.deepEqual([error.code, error.retryAfter, error.requestId, error.retryable], ['RATE_LIMITED', 60, 'r1234567', true]);
  });

  test('a login that must wait is not tried before', async () => {
    const { device, client } = start();
    device.next('login', { status: 200, data: JSON.stringify({ data: null, errors: [{ message: 'Too many.', extensions: { code: 'RATE_LIMITED', retryAfter: 60 } }] }) });
    await clockStopped(async () => {
      assert.equal((await failure(client.me())).retryAfter, 60);
      for (const [ms, left] of [[0, 60], [59001, 1]]) {
        const again = await clockAhead(ms, () => parallel(5, () => failure(client.me())));
        assert.ok(again.every((e) => e.code === 'RATE_LIMITED' && e.retryAfter === left), `${ms}`);
      }
      assert.equal(device.sent.length + device.logins, 1, 'nothing more was asked of anybody');
      assert.ok((await clockAhead(60000, () => client.me())).id);
    });
  });

  test('a new session refuses too: one repetition, then the error', async () => {
    const { device, client } = start();
    await client.login();
    const refused = { status: 200, data: JSON.stringify({ data: { me: null }, errors: [{ message: 'No.', extensions: { code: 'UNAUTHENTICATED' } }] }) };
    device.next('me', refused, refused);
    assert.equal((await failure(client.me())).code, 'UNAUTHENTICATED');
    assert.equal(device.count('refreshSession'), 1);
  });
});

describe('errors', () => {
  test('of a field', async () => {
    const { client } = start();
    const error = await failure(client.updateProfile({ nickname: 'x'.repeat(33) }));
    assert.deepEqual([error.code, error.field, error.retryable], ['BAD_USER_INPUT', 'nickname', false]);
    assert.match(error.requestId, /^\w+$/);
  });

  test('of a document', async () => {
    const { client } = start();
    assert.equal((await failure(client.query('{ you }'))).code, 'GRAPHQL_VALIDATION_FAILED');
  });

  test('of nobody, for a long name of the device', async () => {
    const { client } = start({ device: 'x'.repeat(65) });
    await client.login();
    assert.equal((await client.query(SESSIONS)).me.sessions[0].device, 'x'.repeat(64));
  });

  test('of something between', async () => {
    const { device, client } = start();
    await client.login();
    for (const [status, data, retryable] of [[502, '<html>Bad Gateway', true], [200, '<html>Hotel Wi-Fi', true], [404, 'Not Found', false], [413, 'Too Large', false], [200, '{}', true], [200, '{"code":401,"msg":"unauthorized","data":{}}', true]]) {
      device.next('updateProfile', { status, data, header: { 'X-Request-ID': 'of-a-proxy', 'Retry-After': '30' } });
      const error = await failure(client.updateProfile({ nickname: 'x' }));
      assert.deepEqual([error.code, error.status, error.retryable, error.requestId, error.retryAfter], ['HTTP', status, retryable, 'of-a-proxy', 30]);
    }
    for (const data of ['{"errors":[null]}', '{"errors":[{"message":"blocked"}]}', '{"data":{"updateProfile":null},"errors":[7]}', '[]', 'null']) {
      device.next('updateProfile', { status: 403, data });
      const error = await failure(client.updateProfile({ nickname: 'x' }));
      assert.deepEqual([error.code, error.status, error.retryable], ['HTTP', 403, false], data);
    }
    device.next('me', { status: 503, data: 'starting' });
    assert.ok((await client.me()).id, 'a query is repeated');
  });

  test('of a server that is read-only: later', async () => {
    const { device, client } = start();
    await client.login();
    device.next('updateProfile', refusal('READ_ONLY', { retryAfter: 30 }));
    const error = await failure(client.updateProfile({ nickname: 'x' }));
    assert.deepEqual([error.code, error.retryAfter, error.retryable], ['READ_ONLY', 30, true]);
  });

  test('of a client without an address', () => {
    for (const options of [undefined, {}, { url: '' }]) {
      assert.throws(() => createClient(options), { message: 'no url, as https://a.com/graphql' });
    }
  });

  test('of a listener stays with it', async () => {
    const { client } = start();
    const { error } = console;
    let printed = 0;
    console.error = () => printed++;
    client.on('session', () => { throw new Error('mine'); });
    await client.me();
    console.error = error;
    assert.equal(printed, 1);
  });
});

describe('pictures', () => {
  test('through the server, the parts in any order', async () => {
    const { device, client } = start();
    delete device.wx.getImageInfo;
    const addresses = new Set();
    for (let i = 0; i < 12; i++) {
      const seen = [];
      const user = await client.setAvatar('wxfile://tmp_1', { onProgress: (p) => seen.push(p) });
      addresses.add(user.avatar.small);
      assert.deepEqual(seen.map((p) => p.progress), [50, 100]);
      assert.ok(seen[1].totalBytesSent === seen[1].totalBytesExpectedToSend && seen[1].totalBytesSent > photograph.length);
    }
    assert.equal(addresses.size, 12);
    assert.equal(device.count('createAvatarUpload'), 0);
    const { avatar } = await client.me();
    const picture = await fetch(avatar.large);
    assert.equal(picture.status, 200);
    assert.equal(picture.headers.get('content-type'), 'image/jpeg');
  });

  test('an older server is asked for a form once', async () => {
    const { device, client } = start();
    device.next('createAvatarUpload', { status: 200, data: JSON.stringify({ errors: [{ message: 'Cannot query it.', extensions: { code: 'GRAPHQL_VALIDATION_FAILED' } }] }) });
    for (let i = 0; i < 3; i++) assert.ok((await client.setAvatar('wxfile://tmp_1')).avatar);
    assert.deepEqual(device.sent.map((s) => s.operation), ['login', 'updateProfile', 'updateProfile', 'updateProfile']);
  });

  test('whichever way the real program offers', async () => {
    const { device, client } = start();
    for (let i = 0; i < 2; i++) assert.equal((await fetch((await client.setAvatar('wxfile://tmp_1')).avatar.large)).status, 200);
    assert.equal(device.count('createAvatarUpload'), server.knows('createAvatarUpload') ? 2 : 1);
    assert.equal(device.count('bucket'), server.knows('createAvatarUpload') ? 2 : 0);
  });

  test('straight to the bucket', async () => {
    const { device, client } = start({}, ahead.url);
    const seen = [];
    const user = await client.updateProfile({ nickname: '小明', avatar: 'wxfile://tmp_1' }, { onProgress: (p) => seen.push(p.progress) });
    assert.equal(user.nickname, '小明');
    assert.equal((await fetch(user.avatar.large)).status, 200);
    assert.deepEqual(seen, [50, 100]);
    const { headers, form } = ahead.received.pop();
    assert.equal(headers.authorization, undefined, 'no token for the bucket');
    assert.equal(form.get('Content-Type'), 'image/jpeg');
    assert.equal(form.get('policy'), 'a policy');
    assert.deepEqual(device.sent.map((s) => s.operation), ['login', 'createAvatarUpload', 'bucket', 'updateProfile']);
    const { input } = device.sent[3].variables;
    assert.ok(input.avatarUploadId && !('avatar' in input) && input.nickname === '小明');
  });

  test('a bucket that refuses, or that is not on the list of domains', async () => {
    const { device, client } = start({}, ahead.url);
    ahead.bucketStatus = 403;
    assert.ok((await client.setAvatar('wxfile://tmp_1')).avatar);
    ahead.bucketStatus = 204;
    const { uploadFile } = device.wx;
    device.wx.uploadFile = (o) => (/bucket/.test(o.url) ? (setImmediate(o.fail, { errMsg: 'uploadFile:fail url not in domain list' }), {}) : uploadFile(o));
    assert.ok((await client.setAvatar('wxfile://tmp_1')).avatar);
    assert.ok((await client.setAvatar('wxfile://tmp_1')).avatar);
    assert.equal(device.count('createAvatarUpload'), 2, 'the list is remembered');
  });

  test('what the platform cannot tell goes through the server', async () => {
    const { device, client } = start({}, ahead.url, { files: new Map([['http://tmp/a', Buffer.from('GIF is what it is not')]]) });
    const error = await failure(client.setAvatar('http://tmp/a'));
    assert.deepEqual([error.code, error.field], ['BAD_USER_INPUT', 'avatar']);
    delete device.wx.getImageInfo;
    delete device.wx.getFileSystemManager;
    device.files.set('http://tmp/a', photograph);
    assert.ok((await client.setAvatar('http://tmp/a')).avatar);
    assert.equal(device.count('createAvatarUpload'), 0);
  });

  test('a token that dies before an upload', async () => {
    const { device, client } = start();
    await client.login();
    tamper(device, { access: 'of.another.time' });
    const later = restart(device).client;
    assert.ok((await later.setAvatar('wxfile://tmp_1')).avatar);
    assert.equal(device.logins, 1);
    assert.equal((await later.updateProfile({ avatar: null })).avatar, null);
  });

  test('a file that is not there', async () => {
    const { client } = start();
    const error = await failure(client.setAvatar('wxfile://gone'));
    assert.equal(error.code, 'NETWORK');
    assert.match(error.message, /file not found/);
  });

  test('no file', async () => {
    const { device, client } = start();
    for (const none of [undefined, null, '']) {
      const error = await failure(client.setAvatar(none));
      assert.deepEqual([error.code, error.field, error.retryable], ['BAD_USER_INPUT', 'avatar', false]);
    }
    assert.equal(device.count('updateProfile'), 0);
  });

  test('a platform that throws says why', async () => {
    const { device, client } = start({}, ahead.url);
    await client.login();
    device.wx.uploadFile = () => { throw new Error('the disk is on fire'); };
    delete device.wx.getImageInfo;
    delete device.wx.getFileSystemManager;
    const error = await failure(client.setAvatar('wxfile://tmp_1'));
    assert.equal(error.code, 'UNSUPPORTED');
    assert.match(error.message, /uploadFile: Error: the disk is on fire/);
    device.wx.uploadFile = undefined;
    assert.match((await failure(client.setAvatar('wxfile://tmp_1'))).message, /uploadFile: TypeError/);
  });
});

describe('phone number', () => {
  test('by the code of the button', async () => {
    const { client } = start({}, ahead.url);
    const user = await client.bindPhoneNumber('phone~13800138000~1');
    assert.ok(user.id);
    assert.deepEqual(ahead.phones, ['phone~13800138000~1']);
  });

  test('a user who refuses gives no code', async () => {
    const { device, client } = start({}, ahead.url);
    const error = await failure(client.bindPhoneNumber(undefined));
    assert.deepEqual([error.code, error.field], ['BAD_USER_INPUT', 'code']);
    assert.equal(device.count('bindPhoneNumber'), 0);
  });

  test('a lost answer is asked for again: the server sends the code to WeChat once', async () => {
    const { device, client } = start({}, ahead.url);
    device.next('bindPhoneNumber', 'lost');
    assert.ok((await client.bindPhoneNumber({ code: 'phone~13800138000~2' })).id);
    assert.equal(device.count('bindPhoneNumber'), 2);
  });

  test('in the real program, as far as it can', async () => {
    const { client } = start();
    const number = `139${String(Math.random()).slice(2, 10)}`;
    const call = client.bindPhoneNumber(`phone~${number}~1`);
    if (!server.knows('bindPhoneNumber')) {
      assert.equal((await failure(call)).code, 'GRAPHQL_VALIDATION_FAILED');
      return;
    }
    await call;
    assert.equal((await client.query('{ me { phone { number } } }')).me.phone.number, number);
  });
});

describe('logout', () => {
  test('ends the session here and there, and lasts', async () => {
    const { device, client, sessions } = start();
    await client.login();
    const { access } = stored(device);
    assert.deepEqual(await client.logout(), { ended: 1 });
    assert.equal((await ask(server.url, '{ me { id } }', {}, access)).errors[0].extensions.code, 'UNAUTHENTICATED');
    assert.equal(client.signedIn, false);
    assert.deepEqual(stored(device), { out: true });
    assert.equal((await failure(client.me())).code, 'SIGNED_OUT');
    const later = restart(device).client;
    assert.equal(later.signedOut, true);
    assert.equal((await failure(later.me())).code, 'SIGNED_OUT');
    assert.equal(device.logins, 1, 'nobody is signed in behind their back');
    await later.login();
    assert.ok((await later.me()).id);
    assert.deepEqual(sessions, ['login', 'logout']);
    assert.deepEqual(await Promise.all([later.logout(), later.logout()]), [{ ended: 1 }, { ended: 1 }]);
  });

  for (const moment of ['before', 'after']) {
    test(`while calls wait for a login, ${moment} the server hears of it`, async () => {
      const { device, client } = start();
      let left;
      device.next('login', { [moment]: async () => { left = client.logout(); } });
      const errors = await parallel(10, () => failure(client.me()));
      assert.ok(errors.every((e) => e.code === 'SIGNED_OUT'));
      assert.deepEqual(await left, { ended: 1 }, 'the login that was under way is ended too');
      assert.deepEqual(stored(device), { out: true });
      assert.equal(device.count('me'), 0);
    });

    test(`on another page, ${moment} the server hears of a refresh of this one`, async () => {
      const { device, client } = start();
      await client.login();
      const other = restart(device).client;
      let left;
      device.next('refreshSession', { [moment]: () => (left = client.logout()) });
      assert.equal((await clockAhead(DAY, () => failure(other.me()))).code, 'SIGNED_OUT');
      assert.deepEqual(await left, { ended: 1 });
      assert.deepEqual(stored(device), { out: true });
      assert.equal(device.count('login'), 1, 'nobody is signed in behind their back');
      assert.equal(restart(device).client.signedOut, true);
    });
  }

  test('everywhere, on a page that knows only tokens of before', async () => {
    const { device, client } = start();
    await client.login();
    const elsewhere = restart(makeDevice({ person: device.person })).client;
    await elsewhere.login();
    const { client: first } = restart(device);
    tamper(device, { access: 'of.another.time' });
    const { client: second } = restart(device);
    for (const ahead of [1, 2]) await clockAhead(ahead * DAY, () => first.me());
    assert.equal(device.count('refreshSession'), 2);
    assert.deepEqual(await second.logout({ everywhere: true }), { ended: 2 });
  });

  test('everywhere, on a page beside one that told the server in vain', async () => {
    const { device, client } = start();
    await client.login();
    const other = restart(device).client;
    device.offline = true;
    assert.equal((await failure(client.logout())).code, 'NETWORK');
    device.offline = false;
    assert.deepEqual(await other.logout({ everywhere: true }), { ended: 1 });
  });

  test('on another page, and then login here', async () => {
    const { device, client } = start();
    await client.login();
    const other = restart(device).client;
    await client.logout();
    assert.equal((await other.login()).created, false);
    assert.ok((await other.me()).id);
  });

  test('then login at once', async () => {
    const { device, client } = start();
    let both;
    device.next('login', { after: async () => { both = [client.logout(), client.login()]; } });
    assert.equal((await failure(client.me())).code, 'SIGNED_OUT');
    await Promise.all(both);
    assert.equal(client.signedIn, true);
    const { me } = await client.query(SESSIONS);
    assert.equal(me.sessions.length, 1);
    assert.ok(me.sessions[0].current);
  });

  test('with a token that is too old', async () => {
    const { device, client } = start();
    await client.login();
    tamper(device, { access: 'of.another.time' });
    assert.deepEqual(await restart(device).client.logout(), { ended: 1 });
    assert.deepEqual(await restart(device).client.logout(), { ended: 0 });
  });

  test('without a network it is over here', async () => {
    const { device, client } = start();
    await client.login();
    device.offline = true;
    assert.equal((await failure(client.logout())).code, 'NETWORK');
    assert.deepEqual(stored(device), { out: true });
  });

  test('everywhere, which failed, and is asked for again', async () => {
    const { device, client, sessions } = start();
    await client.login();
    const other = makeDevice({ person: device.person });
    const elsewhere = restart(other).client;
    await elsewhere.login();
    tamper(device, { access: 'of.another.time' }); // so that it has to be renewed on the way
    const later = restart(device);
    device.offline = true;
    const both = await Promise.all([1, 2].map(() => failure(later.client.logout({ everywhere: true }))));
    assert.equal(both[0], both[1]);
    assert.deepEqual([both[0].code, later.client.signedOut], ['NETWORK', true]);
    assert.deepEqual(stored(device), { out: true });
    device.offline = false;
    device.next('logout', refusal('UNAUTHENTICATED'), 'offline', 'offline', 'offline');
    assert.equal((await failure(later.client.logout({ everywhere: true }))).code, 'NETWORK', 'the renewed token is kept');
    assert.deepEqual(await later.client.logout({ everywhere: true }), { ended: 2 });
    assert.deepEqual(await later.client.logout({ everywhere: true }), { ended: 2 }, 'and no more is sent');
    assert.equal((await ask(server.url, '{ me { id } }', {}, stored(other).access)).errors[0].extensions.code, 'UNAUTHENTICATED');
    assert.deepEqual(stored(device), { out: true });
    assert.deepEqual([...sessions, ...later.sessions], ['login', 'logout']);
  });

  test('which failed, and then login: the next logout is of the new session', async () => {
    const { device, client } = start();
    await client.login();
    device.offline = true;
    assert.equal((await failure(client.logout())).code, 'NETWORK');
    device.offline = false;
    await client.login();
    assert.deepEqual(await client.logout({ everywhere: true }), { ended: 2 });
  });

  test('of another device', async () => {
    const { device, client } = start();
    await client.login();
    const other = restart(makeDevice({ person: device.person })).client;
    await other.login();
    const { me } = await client.query(SESSIONS);
    const { id } = me.sessions.find((s) => !s.current);
    assert.deepEqual(await client.logout({ sessionId: id }), { ended: 1 });
    assert.equal(client.signedIn, true);
    assert.equal((await client.query(SESSIONS)).me.sessions.length, 1);
  });
});

describe('storage', () => {
  test('corrupt', async () => {
    for (const text of ['{"access":5,"refresh":"b","pending":{"code":"c","requestId":"d"}}', '', 'null', '{', '[]', '7', '"x"', '{"access":5,"refresh":{}}', '{"access":"a\\nb","refresh":"c"}', '{"access":"a"}', '{"pending":{}}', '{"pending":7}', '\u0000']) {
      const { device } = start();
      device.storage.set(`miniprofile ${server.url}`, text);
      const { client } = restart(device);
      assert.ok((await client.me()).id, text);
      assert.equal(device.logins, 1);
      assert.ok(stored(device).refresh);
    }
  });

  test('of other types than text, as another program might leave them', async () => {
    const { device } = start();
    device.storage.set(`miniprofile ${server.url}`, { access: 1 });
    assert.ok((await restart(device).client.me()).id);
  });

  test('tokens that are no tokens', async () => {
    const { device } = start();
    device.storage.set(`miniprofile ${server.url}`, JSON.stringify({ access: 'x', refresh: 'y', got: Date.now(), life: 900000 }));
    assert.ok((await restart(device).client.me()).id);
    assert.equal(device.logins, 1);
  });

  test('full, or broken altogether', async () => {
    const { device, client } = start();
    await client.login();
    device.wx.setStorageSync = () => { throw new Error('exceed storage max size'); };
    await clockAhead(15 * 60 * 1000, () => client.me());
    assert.equal(device.storage.size, 0, 'no old refresh token is left behind');
    device.wx.getStorageSync = device.wx.removeStorageSync = device.wx.setStorageSync;
    const broken = restart(device).client;
    await broken.me();
    await broken.me();
    assert.equal(device.logins, 2);
  });

  test('of one server is not shown to another', async () => {
    const { device, client } = start();
    await client.login();
    const { access } = stored(device);
    const elsewhere = restart(device, {}, ahead.url).client;
    assert.equal(elsewhere.signedIn, false);
    await elsewhere.me();
    assert.ok(device.sent.filter((s) => s.url === ahead.url).every((s) => s.token !== access));
  });

  test('of one mini program is not shown to another', async () => {
    const { device, client } = start({ appId: 'wxsandbox0000000' });
    await client.login();
    const { client: other } = restart(device, { appId: 'wxother' });
    assert.equal(other.signedIn, false);
    assert.equal((await failure(other.me())).field, 'appId', 'it asks for a session of its own');
    assert.equal(restart(device, { appId: 'wxsandbox0000000' }).client.signedIn, true);
  });

  test('of your own', async () => {
    const kept = new Map();
    const storage = { getItem: (k) => kept.get(k) ?? null, setItem: (k, v) => kept.set(k, v), removeItem: (k) => kept.delete(k) };
    const { device, client } = start({ storage });
    await client.me();
    assert.equal(device.storage.size, 0);
    assert.equal(kept.size, 1);
  });
});

describe('abort', () => {
  test('a request', async () => {
    const { device, client } = start();
    await client.login();
    const errors = [];
    client.on('error', (e) => errors.push(e));
    device.next('updateProfile', 'silent');
    const call = client.updateProfile({ nickname: 'x' });
    await until('the request', () => device.count('updateProfile'));
    call.abort();
    call.abort();
    assert.equal((await failure(call)).code, 'ABORTED');
    assert.equal(device.running, 0, 'the request is given up');
    assert.deepEqual(errors, []);
  });

  test('one that waits for the login leaves the others alone', async () => {
    const { device, client } = start();
    device.next('login', { after: async () => calls[2].abort() });
    const calls = Array.from({ length: 5 }, () => client.me());
    const results = await Promise.allSettled(calls);
    assert.deepEqual(results.map((r) => r.status), ['fulfilled', 'fulfilled', 'rejected', 'fulfilled', 'fulfilled']);
    assert.equal(device.count('me'), 4);
  });

  test('an upload', async () => {
    const { device, client } = start();
    await client.login();
    device.next('updateProfile', 'silent');
    const call = client.setAvatar('wxfile://tmp_1', { onProgress: () => call.abort() });
    assert.equal((await failure(call)).code, 'ABORTED');
    assert.equal(device.running, 0);
  });

  test('a repetition that is still to come', async () => {
    const { device, client } = start();
    await client.login();
    device.offline = true;
    let call;
    let repeat;
    await timers((ms, end) => ms === 20000 || void (repeat = end), async () => {
      call = client.me();
      await until('the pause before it', () => repeat);
    });
    call.abort();
    assert.equal((await failure(call)).code, 'ABORTED');
    device.offline = false;
    repeat();
    await client.me();
    assert.equal(device.count('me'), 1);
  });

  test('what is over cannot be aborted', async () => {
    const { client } = start();
    const call = client.me();
    await call;
    call.abort();
    assert.ok((await call).id);
  });
});

describe('other platforms', () => {
  test('Taro, whose tasks are promises that may fail by themselves', async () => {
    const { device } = start();
    const unhandled = [];
    const notice = (e) => unhandled.push(e);
    process.on('unhandledRejection', notice);
    const promised = (method) => (options) => {
      let task;
      const promise = new Promise((resolve, reject) => {
        task = device.wx[method]({
          ...options,
          success: (r) => { options.success?.(r); resolve(r); },
          fail: (e) => { options.fail?.(e); reject(e); },
        });
      });
      return Object.assign(promise, task);
    };
    const taro = { ...device.wx, request: promised('request'), uploadFile: promised('uploadFile'), login: promised('login') };
    const client = createClient({ url: server.url, platform: taro });
    device.next('login', 'lost');
    assert.ok((await client.setAvatar('wxfile://tmp_1')).avatar);
    device.next('updateProfile', 'lost');
    assert.equal((await failure(client.updateProfile({ nickname: 'x' }))).code, 'NETWORK');
    device.next('me', 'silent');
    const call = client.me();
    setImmediate(() => call.abort());
    assert.equal((await failure(call)).code, 'ABORTED');
    await new Promise(setImmediate);
    process.off('unhandledRejection', notice);
    assert.deepEqual(unhandled, []);
  });

  test('uni-app, by the global object as it is; an older one that lacks things', async () => {
    const { device } = start();
    const { getDeviceInfo, getImageInfo, getFileSystemManager, ...uni } = device.wx;
    globalThis.wx = uni;
    const client = createClient({ url: server.url, appId: 'wxsandbox0000000', device: '小明的手机' });
    delete globalThis.wx;
    assert.ok((await client.setAvatar('wxfile://tmp_1')).avatar);
    assert.equal((await client.query(SESSIONS)).me.sessions[0].device, '小明的手机');
    delete uni.uploadFile;
    assert.equal((await failure(client.setAvatar('wxfile://tmp_1'))).code, 'UNSUPPORTED');
  });
});

test('nothing of all this stands in the log of the server', () => {
  assert.doesNotMatch(server.log(), /of\.another\.time|phone~|小明|Bearer|panic/);
});
