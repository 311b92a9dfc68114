// A screen for the demo: miniprogram-simulate renders its pages into jsdom, over the network of wx.mjs.
import { createRequire } from 'node:module';
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { JSDOM } from 'jsdom';

const require = createRequire(import.meta.url);
const demo = fileURLToPath(new URL('../demo/', import.meta.url));

const { window } = new JSDOM('<!doctype html><html lang="zh-CN"><head></head><body></body></html>');
for (const name of ['window', 'document', 'Event', 'CustomEvent', 'Node', 'HTMLElement', 'MutationObserver']) {
  globalThis[name] = name === 'window' ? window : window[name];
}
const simulate = require('miniprogram-simulate');
const jComponent = require('j-component');

// The simulator's own image and input show nothing: these keep what they were given as attributes, for looking at it.
for (const [name, properties] of Object.entries({
  image: ['src', 'mode'], input: ['value', 'placeholder', 'name', 'type'], button: ['openType', 'formType', 'loading'],
})) {
  jComponent.register({
    id: name,
    tagName: `wx-${name}`,
    template: '<slot/>',
    properties: Object.fromEntries(properties.map((p) => [p, {
      type: null,
      observer(value) { this.$$.setAttribute(`data-${p.replace(/[A-Z]/g, (c) => `-${c.toLowerCase()}`)}`, String(value)); },
    }])),
  });
}

/** Launches the demo on a device. Answers to modal questions are yes, unless seen.confirm is false. */
export function launch(device, url, settings = {}) {
  const seen = { toasts: [], pages: [], modals: [], confirm: true, privacy: null, clipboard: '' };
  const config = require(`${demo}config.js`);
  Object.assign(config, { url, sandboxPerson: device.person }, settings);
  // One of its own: what an earlier launch still does is done on its device.
  globalThis.wx = Object.assign({}, device.wx, {
    showToast: ({ title }) => seen.toasts.push(title),
    showLoading() {}, hideLoading() {},
    showModal: async ({ title, content }) => (seen.modals.push(`${title}：${content}`), { confirm: seen.confirm }),
    navigateTo: ({ url: page }) => seen.pages.push(page),
    navigateBack: () => seen.pages.push('back'),
    setClipboardData: ({ data }) => { seen.clipboard = data; },
    getPrivacySetting: ({ success }) => success({ needAuthorization: !!settings.needPrivacy, privacyContractName: '《miniprofile 演示隐私保护指引》' }),
    onNeedPrivacyAuthorization: (f) => { seen.privacy = f; },
    openPrivacyContract() {},
  });
  let app;
  globalThis.App = (definition) => { app = definition; };
  globalThis.getApp = () => app;
  const { warn } = console;
  delete require.cache[require.resolve(`${demo}app.js`)];
  require(`${demo}app.js`);
  console.warn = () => {};
  app.onLaunch();
  console.warn = warn;
  return { app, seen, open: (page) => openPage(page) };
}

function openPage(page) {
  const id = simulate.load(`${demo}pages/${page}/${page}`, 'main', { compiler: 'simulate', rootPath: demo });
  const component = simulate.render(id);
  const parent = document.createElement('div');
  document.body.append(parent);
  component.attach(parent);
  return {
    component,
    get text() { return parent.textContent.replace(/\s+/g, ' ').trim(); },
    find: (selector) => component.querySelector(selector),
    all: (selector) => component.querySelectorAll(selector),
    get data() { return component.data; },
    /** What the user does. */
    send(selector, event, detail = {}) { component.querySelector(selector).dispatchEvent(event, { bubbles: true, detail }); },
    /** The page as a document that a browser can show. */
    html: () => toDocument(parent, document.querySelectorAll('style')),
    close() { component.detach(); parent.remove(); },
  };
}

/** Waits until something is so. */
export async function until(what, f) {
  const end = Date.now() + 60000;
  for (;;) {
    const value = await f();
    if (value) return value;
    if (Date.now() > end) throw new Error(`it never came to: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

function toDocument(parent, styles) {
  const copy = parent.cloneNode(true);
  for (const node of copy.querySelectorAll('wx-image')) {
    const image = document.createElement('img');
    image.className = node.className;
    image.src = node.dataset.src;
    node.replaceWith(image);
  }
  for (const node of copy.querySelectorAll('wx-input')) {
    const input = document.createElement('input');
    input.className = node.className;
    input.setAttribute('value', node.dataset.value || '');
    input.placeholder = node.dataset.placeholder || '';
    node.replaceWith(input);
  }
  const rules = readFileSync(`${demo}app.wxss`, 'utf8').replace(/\bpage\b/, 'body').replace(/rpx/g, 'px');
  return `<!doctype html><meta charset="utf-8"><style>
    body { margin: 0 } ${rules}
    wx-view, wx-form, wx-scroll-view, main, privacy { display: block } wx-button { display: block; box-sizing: border-box; position: relative; text-align: center }
    input { border: 0; outline: 0; padding: 0; background: none; font: inherit } ::placeholder { color: #b9bec8 }
    ${[...styles].map((s) => s.textContent).join('\n')}</style>${copy.innerHTML}`;
}
