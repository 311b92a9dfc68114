// A front-end developer's first quarter of an hour, in a real Chromium:
//
//	node browser.mjs CHROMIUM ADDRESS FOLDER sandbox
//	node browser.mjs CHROMIUM ADDRESS FOLDER production TOKEN
//	node browser.mjs CHROMIUM ADDRESS/PATH FOLDER below
//
// ADDRESS is that of a running miniprofile, and PATH what a proxy before it takes
// away; FOLDER has photo.jpg and gets the
// screenshots. It ends with the figures it measured, or with what went wrong.
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { chromium } from 'playwright-core'

const [executablePath, address, folder, mode, token] = process.argv.slice(2)
const base = `http://${address}`
const { origin } = new URL(base)
const browser = await chromium.launch({
  executablePath,
  timeout: 120_000, // a busy machine
  args: [
    '--headless', '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
    '--disable-component-update', '--disable-sync', '--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1',
  ],
})
const problems = []
let requests = []

// open opens a page in a browser of its own, in which nothing may go wrong.
async function open(options, path = '/') {
  const context = await browser.newContext({ viewport: { width: 1440, height: 900 }, locale: 'en-US', ...options })
  await context.grantPermissions(['clipboard-read', 'clipboard-write'], { origin })
  await context.addInitScript(() => {
    addEventListener('securitypolicyviolation', (event) => console.error(`blocked: ${event.violatedDirective} ${event.blockedURI}`))
  })
  context.on('request', (request) => {
    requests.push(request)
    const url = new URL(request.url())
    if (url.origin !== origin && url.protocol !== 'blob:' && url.protocol !== 'data:') problems.push(`asks ${url}`)
  })
  // What is under way when a page is left is aborted; what a policy blocks is not.
  context.on('requestfailed', (request) => request.failure()?.errorText !== 'net::ERR_ABORTED' && problems.push(`failed: ${request.url()} ${request.failure()?.errorText}`))
  context.on('response', (response) => response.status() >= 400 && problems.push(`${response.status()} ${response.url()}`))
  context.on('console', (message) => ['error', 'warning'].includes(message.type()) && problems.push(`${message.type()}: ${message.text()}`))
  context.on('weberror', (error) => problems.push(error.error().stack))
  const page = await context.newPage()
  context.setDefaultTimeout(60_000)
  const started = Date.now()
  await page.goto(base + path)
  await page.locator('.query .view-line').first().waitFor()
  await page.locator('.bench:not([inert])').waitFor()
  page.ready = Date.now() - started
  return page
}

const shoot = async (page, name) => {
  await page.mouse.move(2, 2)
  await page.screenshot({ path: join(folder, `${name}.png`), animations: 'disabled' })
}
const tab = (page, name) => page.locator('.tabs').getByRole('tab', { name, exact: true }).or(page.locator('.tabs button', { hasText: new RegExp(`^${name}$`) })).first().click()
const outcome = (page) => page.locator('[data-test=outcome][role=status]')

// spoiled is an access token that the server refuses; the page sends again what had it.
const spoiled = 'spoiled'

// run runs the open tab and returns what came.
async function run(page) {
  const came = page.waitForResponse((r) => r.url() === `${base}/graphql` && !/mutation (Renew|SignIn|SignOut)|query":"\{ me/.test(r.request().postData() ?? '') && !r.request().headers().authorization?.includes(spoiled))
  await page.locator('[data-test=run]').click()
  const body = await (await came).json()
  await outcome(page).waitFor()
  return body
}

async function copied(page, form, holding = '') {
  await page.locator('[data-test=copy-as]').click()
  await page.locator(`[data-form=${form}]`).click()
  await page.locator('[data-test=code]', { hasText: holding }).waitFor() // what is written comes there with delay
  await page.locator('[data-test=copy]').click()
  await page.locator('[data-test=copy]', { hasText: /Copied|已复制/ }).waitFor()
  const text = await page.evaluate(() => navigator.clipboard.readText())
  await page.locator('dialog.copy header button').click()
  return text
}

// carryOut runs copied code as a mini program would, and returns the answer it logs.
function carryOut(code, { accessToken = '', person = 'bob' } = {}) {
  const photo = new Blob([readFileSync(join(folder, 'photo.jpg'))])
  return new Promise((resolve, reject) => {
    const wx = {
      getStorageSync: (name) => ({ accessToken })[name],
      getDeviceInfo: () => ({ model: 'iPhone 17' }),
      login: ({ success }) => success({ code: `${person}~${Math.random()}` }),
      request: ({ url, method, header, data, success, fail }) => fetch(url, {
        method, headers: { 'Content-Type': 'application/json', ...header }, body: JSON.stringify(data),
      }).then((response) => response.json()).then((body) => success({ data: body }), fail),
      chooseMedia: ({ success }) => success({ tempFiles: [{ tempFilePath: 'wxfile://photo.jpg' }] }),
      uploadFile: ({ url, name, header, formData, success, fail }) => {
        const form = new FormData()
        form.append(name, photo, 'photo.jpg')
        for (const [key, value] of Object.entries(formData)) form.append(key, value)
        fetch(url, { method: 'POST', headers: header, body: form }).then((response) => response.text()).then((data) => success({ data }), fail)
      },
    }
    new Function('wx', 'console', code)(wx, { log: resolve, error: (...what) => reject(new Error(what.join(' '))) })
  })
}

async function sandbox() {
  const page = await open({ colorScheme: 'light' })
  assert.equal(page.url(), `${origin}/playground/`, '/ leads browsers to the playground')
  const again = await page.context().newPage()
  const started = Date.now()
  await again.goto(`${origin}/playground`)
  await again.locator('.query .view-line').first().waitFor()
  await again.locator('.bench:not([inert])').waitFor()
  const readyAgain = Date.now() - started
  await again.close()
  assert.equal(await page.locator('html').getAttribute('lang'), 'en')
  const tabs = await page.locator('.tabs .graphiql-tab').count()
  assert.ok(tabs >= 7, `${tabs} tabs`)
  await shoot(page, '1-light')

  // Signing in by one click; all that follows is as that person.
  await page.locator('[data-person=ming]').click()
  const account = page.locator('[data-test=account]')
  await account.waitFor()
  await tab(page, 'Me')
  const { data: { me } } = await run(page)
  assert.match(me.id, /^[a-z0-9]{26}$/)
  await page.locator('.json .view-lines', { hasText: me.id }).waitFor()
  await tab(page, 'SetNickname')
  assert.equal((await run(page)).data.updateProfile.user.nickname, '小明')
  await account.getByText('小明').waitFor()

  // A picture goes up and is seen, in the answer and beside the name.
  await tab(page, 'SetPicture')
  await page.locator('[data-test=file]').setInputFiles(join(folder, 'photo.jpg'))
  const { avatar } = (await run(page)).data.updateProfile.user
  assert.equal(avatar.status, 'ACCEPTED')
  const seen = (selector, width) => page.waitForFunction(([s, w]) => document.querySelector(s)?.naturalWidth === w, [selector, width])
  await seen('img[data-test=picture]', 512)
  await seen('[data-test=account] img', 132)
  await shoot(page, '2-picture')

  // What is copied runs as it is.
  const accessToken = await page.evaluate(() => JSON.parse(sessionStorage.getItem('miniprofile.session')).accessToken)
  const pictured = await carryOut(await copied(page, 'upload'), { accessToken })
  assert.match(pictured.updateProfile.user.avatar.url, /-512\.jpg$/)
  const curl = await copied(page, 'curl')
  const shell = (text) => JSON.parse(execFileSync('bash', ['-c', `TOKEN=${accessToken}\n${text}`], { cwd: folder }))
  assert.match(shell(curl).data.updateProfile.user.avatar.url, /-512\.jpg$/)
  assert.match(await copied(page, 'client'), /createClient\(\{ url: .*client\.setAvatar\(filePath\)/s)
  await page.locator('[data-test=copy-as]').click()
  assert.ok(await page.locator('[data-form=request]').isDisabled(), 'wx.request is offered for a picture, and would remove it')
  await page.locator('dialog.copy header button').click()

  // Without a file the null in its place removes the picture, and that is said. One
  // that is dropped anywhere is taken.
  await page.locator('.file button').click()
  assert.equal((await run(page)).data.updateProfile.user.avatar, null)
  await page.locator('[data-test=no-file]').waitFor()
  const drop = () => page.locator('.json').evaluate((place) => {
    const dataTransfer = new DataTransfer()
    dataTransfer.items.add(new File(['x'], 'dropped.png', { type: 'image/png' }))
    return place.dispatchEvent(new DragEvent('drop', { dataTransfer, bubbles: true, cancelable: true }))
  })
  assert.equal(await drop(), false, 'the browser would leave the page for a file that is dropped')
  await page.locator('.file .name', { hasText: 'dropped.png' }).waitFor()
  await page.locator('[data-test=file]').setInputFiles(join(folder, 'photo.jpg'))
  assert.ok((await run(page)).data.updateProfile.user.avatar)
  assert.equal(await page.locator('[data-test=no-file]').count(), 0)
  await seen('img[data-test=picture]', 512)
  await tab(page, 'Me')
  const request = await copied(page, 'request')
  assert.ok(!request.includes(accessToken), 'a token is copied without being asked for')
  assert.equal((await carryOut(request, { accessToken })).me.id, me.id)
  assert.equal(shell(await copied(page, 'curl')).data.me.id, me.id)
  assert.match(await copied(page, 'client'), /client\.query\(`\n\s+query Me/)
  await page.locator('[data-test=copy-as]').click()
  assert.ok(await page.locator('[data-form=upload]').isDisabled(), 'wx.uploadFile is offered where nothing is uploaded')
  await shoot(page, '3-copy')
  await page.locator('dialog.copy header button').click()
  assert.equal(await drop(), false)

  // Headers are copied; what is no JSON is not. Tab leaves an editor as it is.
  const write = async (name, text) => {
    await page.locator('.sides button', { hasText: name }).click()
    await page.locator('.side .monaco-editor:visible .view-lines').first().click()
    await page.keyboard.press('ControlOrMeta+A')
    await page.keyboard.press('Delete')
    await page.keyboard.insertText(text)
  }
  await write('Headers', '{"X-Mine": "here"}')
  await page.keyboard.press('Tab')
  assert.equal(await page.evaluate(() => document.activeElement.closest('.side')), null, 'Tab is caught in an editor')
  await page.locator('.side .view-lines', { hasText: '"here"}' }).waitFor()
  assert.match(await copied(page, 'request', 'X-Mine'), /'X-Mine': 'here'/)
  await write('Headers', '{"X-Mine": ')
  await page.locator('[data-test=copy-as]:disabled').waitFor()
  await write('Headers', '')
  await page.locator('[data-test=copy-as]:not(:disabled)').waitFor()
  await page.locator('.sides button', { hasText: 'Variables' }).click()
  await tab(page, 'Login')
  assert.equal((await carryOut(await copied(page, 'request'))).login.created, true)
  assert.equal(shell(await copied(page, 'curl')).data.login.user.id, me.id)

  // Stop gives the request up, and its answer never shows.
  await tab(page, 'Me')
  await page.route('**/graphql', () => {}) // no answer
  const begun = page.waitForRequest('**/graphql')
  await page.locator('[data-test=run]').click()
  await begun
  const givenUp = page.waitForEvent('requestfailed')
  await page.locator('[data-test=run]', { hasText: 'Stop' }).click()
  assert.equal((await givenUp).failure().errorText, 'net::ERR_ABORTED')
  await page.locator('[data-test=run]', { hasText: 'Run' }).waitFor()
  await page.unroute('**/graphql')
  assert.equal((await run(page)).data.me.id, me.id)

  // A tab that was duplicated has the same session, whichever of the two renews it;
  // the menu says what it did.
  const opened = page.context().waitForEvent('page')
  await page.evaluate(() => { window.open(location.href) })
  const duplicate = await opened
  await duplicate.locator('.bench:not([inert])').waitFor()
  const kept = (which) => which.evaluate(() => JSON.parse(sessionStorage.getItem('miniprofile.session'))?.refreshToken)
  assert.equal(await kept(duplicate), await kept(page))
  // A word stays for five seconds from when it was said last; here as long as we like.
  await page.evaluate(() => {
    const { setTimeout: real } = window
    window.ends = []
    window.setTimeout = (f, ms, ...rest) => (ms === 5000 ? -window.ends.push(f) : real(f, ms, ...rest))
  })
  for (const which of [page, page, duplicate, page]) {
    await which.bringToFront()
    const before = await kept(which)
    await which.locator('[data-test=account]').click()
    await which.locator('[data-test=refresh]').click()
    await which.locator('.said', { hasText: 'The tokens are new.' }).waitFor()
    for (const one of [page, duplicate]) {
      await one.waitForFunction((old) => JSON.parse(sessionStorage.getItem('miniprofile.session')).refreshToken !== old, before)
    }
    assert.equal(await kept(duplicate), await kept(page))
  }
  assert.equal(await page.evaluate(() => window.ends.length), 3, 'what is said again goes when the first of it would')
  await page.evaluate(() => window.ends.at(-1)())
  await page.locator('.said:empty').waitFor({ state: 'attached' })
  await duplicate.close()
  await page.route('**/graphql', (route) => route.abort('aborted'))
  await account.click()
  await page.locator('[data-test=refresh]').click()
  await page.locator('.said', { hasText: 'did not answer' }).waitFor()
  await page.unroute('**/graphql')
  await account.click()
  await page.locator('[data-test=copy-token]').click()
  await page.locator('.said', { hasText: 'copied' }).waitFor()
  assert.equal((await run(page)).data.me.id, me.id)

  // What WeChat knows of a person is pasted; another account is merged into this one.
  await tab(page, 'ImportWeChatProfile')
  const opendata = await (await fetch(`${origin}/sandbox/opendata?person=ming&nickname=明明`)).json()
  await page.locator('.side .view-lines', { hasText: 'ENCRYPTED_DATA' }).waitFor()
  await shoot(page, '3-import')
  await page.evaluate((text) => navigator.clipboard.writeText(text), JSON.stringify({ input: { encryptedData: opendata.encryptedData, iv: opendata.iv, overwrite: true } }))
  await page.locator('.side .view-lines').first().click()
  await page.keyboard.press('ControlOrMeta+A')
  await page.keyboard.press('ControlOrMeta+V')
  await page.locator('.side .view-lines', { hasText: 'overwrite' }).waitFor()
  assert.equal((await run(page)).data.importWeChatProfile.user.nickname, '明明')
  await tab(page, 'MergeAccount')
  assert.equal((await run(page)).data.mergeAccount.user.id, me.id)

  // Docs, explorer, history.
  for (const [panel, text] of [['docs', 'Root Types'], ['explorer', 'refreshSession'], ['history', 'SetPicture'], ['operations', 'Set the nickname']]) {
    await page.locator(`[data-panel=${panel}]`).click()
    await page.locator('.panel').getByText(text).first().waitFor()
  }

  // Chinese, and that it lasts; who is signed in lasts as long as the tab, and no longer.
  await page.locator('[data-test=language]').click()
  await page.getByRole('button', { name: '运行', exact: true }).waitFor()
  await page.locator('html[lang=zh-CN]').waitFor()
  await page.reload()
  await page.getByRole('button', { name: '运行', exact: true }).waitFor()
  await account.waitFor()
  await page.locator('[data-panel=docs]').click()
  await page.locator('.panel').getByText('根类型').waitFor()
  const other = await page.context().newPage()
  await other.goto(`${origin}/playground`)
  await other.locator('[data-person=ming]').waitFor()
  await other.close()
  await tab(page, 'Sessions')
  const before = (await run(page)).data.me.sessions.length
  await shoot(page, '4-chinese')

  // An expired token is renewed: once, for all who wait; so is one that the server
  // does not take.
  const refreshes = () => requests.filter((r) => r.postData()?.includes('refreshSession')).length
  for (const change of [{ expires: 1 }, { accessToken: spoiled }]) {
    await page.evaluate((how) => {
      const key = 'miniprofile.session'
      sessionStorage.setItem(key, JSON.stringify({ ...JSON.parse(sessionStorage.getItem(key)), ...how }))
    }, { ...change, user: null })
    requests = []
    // What the page asks by itself waits until the tab is run, and so do both for the refresh.
    let release
    const both = new Promise((resolve) => { release = resolve })
    await page.route('**/graphql', (route) => both.then(() => route.fallback()))
    await page.reload()
    await page.locator('.query .view-line').first().waitFor()
    const came = run(page)
    await page.locator('[data-test=run]', { hasText: '停止' }).waitFor()
    release()
    const { data } = await came
    assert.equal(data.me.sessions.length, before) // so the open tab is still the one
    await page.waitForFunction(() => JSON.parse(sessionStorage.getItem('miniprofile.session')).user) // that it asks by itself is over
    assert.equal(refreshes(), 1)
    await page.unroute('**/graphql')
  }

  // Signing out ends the session on the server too.
  assert.equal(await page.locator('.tabs .graphiql-tab').count(), tabs, 'a reload makes no tabs')
  const last = await page.evaluate(() => JSON.parse(sessionStorage.getItem('miniprofile.session')).accessToken)
  await account.click()
  const told = page.waitForResponse((r) => /mutation SignOut/.test(r.request().postData() ?? ''))
  await page.locator('[data-test=sign-out]').click()
  await page.locator('[data-person=ming]').waitFor()
  await told
  const dead = await fetch(`${origin}/graphql`, { method: 'POST', headers: { 'Content-Type': 'application/json', Authorization: `Bearer ${last}` }, body: '{"query":"{ me { id } }"}' })
  assert.equal((await dead.json()).errors[0].extensions.code, 'UNAUTHENTICATED')
  assert.equal(await page.evaluate(() => sessionStorage.getItem('miniprofile.session')), null)
  assert.equal((await run(page)).errors[0].extensions.code, 'UNAUTHENTICATED')
  await outcome(page).getByText('刷新会话；不行就重新登录。').waitFor()

  // An operation whose tab was closed opens again, whole.
  await tab(page, 'SetNickname')
  await page.locator('.tabs .graphiql-tab', { hasText: 'SetNickname' }).locator('button').last().click()
  await page.waitForFunction((n) => document.querySelectorAll('.tabs .graphiql-tab').length === n, tabs - 1)
  await page.locator('[data-panel=operations]').click()
  await page.locator('.library').getByText('修改昵称', { exact: true }).click()
  await page.locator('.query .view-lines', { hasText: 'SetNickname' }).waitFor()
  await page.locator('.side .view-lines', { hasText: 'nickname' }).waitFor()
  assert.equal((await run(page)).errors[0].extensions.code, 'UNAUTHENTICATED')

  // Trouble tells what a client does about it.
  await page.getByRole('button', { name: '更多…' }).click()
  await page.locator('.troubles button', { hasText: 'blocked' }).click()
  await page.locator('dialog .problem', { hasText: 'ACCOUNT_BLOCKED' }).waitFor()
  await shoot(page, '5-persons')
  await page.locator('dialog .own input').fill('zhang-san')
  await page.locator('dialog .own button').click()
  await account.getByText('zhang-san').waitFor()
  const focused = (which) => which.waitForFunction(() => document.activeElement.matches('[data-test=account]'))
  await focused(page)

  // A session that is signed in by running an operation is the page's too, and one
  // that is logged out is not.
  await tab(page, 'Logout')
  assert.equal((await run(page)).data.logout.ended, 1)
  await page.locator('[data-person=ming]').waitFor()
  await tab(page, 'Login')
  await run(page)
  await account.waitFor()
  await tab(page, 'Refresh')
  assert.ok((await run(page)).data.refreshSession.tokens.accessToken)
  await tab(page, 'Me')
  assert.ok((await run(page)).data.me.id)
  await page.context().close()

  // Dark, by the system's wish; the switch overrules it.
  const dark = await open({ colorScheme: 'dark', locale: 'zh-CN' }, '/playground')
  await dark.locator('[data-person=hong]').focus()
  await dark.keyboard.press('Enter')
  await focused(dark)
  await tab(dark, 'Me')
  await run(dark)
  const shade = () => dark.evaluate(() => getComputedStyle(document.querySelector('.playground')).backgroundColor)
  const night = await shade()
  await shoot(dark, '6-dark')
  await dark.locator('[data-panel=explorer]').click()
  await dark.locator('.panel').getByText('字段浏览器').waitFor()
  await shoot(dark, '7-dark-explorer')
  await dark.locator('[data-test=theme]').click()
  await dark.waitForFunction((was) => getComputedStyle(document.querySelector('.playground')).backgroundColor !== was, night)
  await dark.context().close()

  // A phone: all is there, nothing is wider than the screen.
  const phone = await open({ viewport: { width: 390, height: 844 }, isMobile: true, hasTouch: true, deviceScaleFactor: 2, locale: 'zh-CN' }, '/playground')
  await shoot(phone, '8-phone')
  await phone.locator('[data-person=hong]').tap()
  await phone.locator('[data-test=account]').waitFor()
  await phone.locator('[data-panel=operations]').tap()
  await phone.locator('.library').getByText('上传头像', { exact: true }).tap()
  await phone.locator('[data-test=file]').setInputFiles(join(folder, 'photo.jpg'))
  await run(phone)
  await phone.waitForFunction(() => document.querySelector('img[data-test=picture]')?.naturalWidth === 512)
  await phone.locator('.json').waitFor() // a phone shows the answer when it comes
  await shoot(phone, '9-phone-answer')
  await phone.locator('.panes [data-pane=variables]').tap()
  await phone.locator('.side').waitFor()
  await phone.locator('[data-test=copy-as]').tap()
  await shoot(phone, '10-phone-copy')
  for (const width of [390, 320]) {
    await phone.setViewportSize({ width, height: 844 })
    await phone.waitForFunction((w) => innerWidth === w && document.documentElement.scrollWidth <= w, width) // the editors follow a frame later
  }
  await phone.context().close()
  return { ready: page.ready, readyAgain }
}

async function below() {
  const page = await open({})
  assert.equal(page.url(), `${base}/playground/`)
  await page.locator('[data-person=ming]').click()
  await page.locator('[data-test=account]').waitFor()
  await tab(page, 'SetPicture')
  await page.locator('[data-test=file]').setInputFiles(join(folder, 'photo.jpg'))
  const { avatar } = (await run(page)).data.updateProfile.user
  assert.ok(avatar.url.startsWith(`${base}/avatars/`), avatar.url)
  await page.waitForFunction(() => document.querySelector('img[data-test=picture]')?.naturalWidth === 512)
  await tab(page, 'Me')
  const { data: { me } } = await run(page)
  const accessToken = await page.evaluate(() => JSON.parse(sessionStorage.getItem('miniprofile.session')).accessToken)
  assert.equal((await carryOut(await copied(page, 'request'), { accessToken })).me.id, me.id)
  for (const request of requests) {
    const { protocol, pathname } = new URL(request.url())
    if (protocol === 'http:') assert.ok(pathname.startsWith(new URL(base).pathname), pathname)
  }
  await page.context().close()
  const again = await open({}, '/playground')
  assert.equal(again.url(), `${base}/playground/`)
  return { ready: again.ready }
}

async function production() {
  const page = await open({}, '/playground')
  assert.equal(await page.locator('[data-person], .persons, dialog.sign-in, .badge').count(), 0, 'persons outside the sandbox')
  const input = page.locator('form.token input')
  assert.equal(await input.getAttribute('type'), 'password')
  await shoot(page, '11-production')
  await input.fill('no token')
  await page.locator('form.token button').click()
  await page.locator('.problem', { hasText: 'UNAUTHENTICATED' }).waitFor()
  await input.fill(token)
  await page.locator('form.token button').click()
  await page.locator('[data-test=account]').waitFor()
  await tab(page, 'Me')
  assert.ok((await run(page)).data.me.id)
  await page.locator('[data-panel=docs]').click()
  await page.locator('.panel').getByText('Root Types').waitFor()
  await page.locator('[data-test=account]').click()
  await page.locator('[data-test=sign-out]').click()
  await input.waitFor()
  return { ready: page.ready }
}

try {
  const figures = await { sandbox, production, below }[mode]()
  assert.deepEqual(problems, [])
  console.log(JSON.stringify(figures))
} catch (error) {
  for (const context of browser.contexts()) {
    for (const page of context.pages()) await page.screenshot({ path: join(folder, 'failed.png') }).catch(() => {})
  }
  console.error(error.stack, '\n', problems.join('\n'))
  process.exitCode = 1
} finally {
  await browser.close()
}
