// Takes pictures of the demo's pages, to be looked at: npm run pictures [-- PHOTO.jpg]. Needs chromium.
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { chromium } from 'playwright-core';
import { startServer } from './server.mjs';
import { launch, until } from './screen.mjs';
import { makeDevice, photograph } from './wx.mjs';

const executablePath = process.env.CHROMIUM || ['/usr/bin/chromium', '/usr/bin/google-chrome'].find(existsSync);
const out = fileURLToPath(new URL('../pictures/', import.meta.url));
mkdirSync(out, { recursive: true });
const server = await startServer();
const photo = process.argv[2] ? readFileSync(process.argv[2]) : photograph;
const browser = await chromium.launch({ executablePath, args: ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync'] });
const tab = await browser.newPage({ viewport: { width: 750, height: 1334 } });

async function picture(name, page, title, colours = '#f4f5f7;color:#191b1f') {
  const file = join(tmpdir(), `miniprofile-${process.pid}.html`);
  const bar = `<div style="height:88px;line-height:88px;text-align:center;font-weight:600;font-size:34px;background:${colours}">${title}</div>`;
  writeFileSync(file, page.html().replace('</style>', `</style>${bar}`));
  await tab.goto(`file://${file}`);
  await tab.screenshot({ path: `${out}${name}.png` });
  rmSync(file);
}

const device = makeDevice({ person: 'xiaoming', files: new Map([['http://tmp/a.jpg', photo]]) });
let { app, open } = launch(device, server.url);
let index = open('index');
await until('a user', () => index.data.user);
await picture('new', index, '我的', '#068047;color:#fff');
index.find('#privacy').instance.agree();
index.send('.face', 'chooseavatar', { avatarUrl: 'http://tmp/a.jpg' });
await until('a picture', () => index.data.user.avatar);
index.send('.nick', 'submit', { value: { nickname: '小明同学' } });
await until('a name', () => index.data.user.nickname);
await index.component.instance.bindPhone({ detail: {} });
await until('a number', () => /\*/.test(index.text));
await picture('index', index, '我的', '#068047;color:#fff');
for (const model of ['iPad Pro 11', 'iPhone 17']) {
  const other = makeDevice({ person: 'xiaoming' });
  other.wx.getDeviceInfo = () => ({ model });
  await launch(other, server.url).app.client.login();
}
({ app, open } = launch(device, server.url));
const sessions = open('sessions');
await until('sessions', () => sessions.data.loaded);
await picture('sessions', sessions, '登录设备');
const data = open('data');
await until('consents', () => data.data.consents);
await picture('data', data, '我的数据');
data.component.setData({ text: JSON.stringify(await app.client.me(), null, 2), size: '412 个字符' });
await picture('export', data, '我的数据');
({ app, open } = launch(device, server.url, { needPrivacy: true }));
index.close();
index = open('index');
await until('a user', () => index.data.user);
await picture('privacy', index, '我的', '#068047;color:#fff');
({ app, open } = launch(device, server.url, { needPrivacy: false }));
await app.client.logout();
index.close();
index = open('index');
await until('signed out', () => index.data.signedOut);
await picture('signed-out', index, '我的', '#068047;color:#fff');
await browser.close();
process.exit(0); // the server goes with us
