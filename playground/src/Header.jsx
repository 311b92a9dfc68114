// The bar at the top: who is signed in, language and theme.
import { DropdownMenu, useGraphiQLActions } from '@graphiql/react'
import { useEffect, useRef, useState } from 'react'
import icon from './icon.svg'
import { adviceFor } from './advice.js'
import { writeClipboard } from './clipboard.js'
import { DownIcon, MoonIcon, PersonIcon, SunIcon, SystemIcon } from './icons.jsx'
import { local } from './outcome.js'
import { notice, present, refresh, session, signIn, signOut } from './session.js'
import { people, SignIn } from './SignIn.jsx'
import { createKeptStore, useStore } from './store.js'
import { language, useWords } from './words.js'

export function Header({ settings }) {
  const { t, current } = useWords()
  const sandbox = settings.apps.length > 0
  useEffect(() => {
    document.documentElement.lang = current === 'zh' ? 'zh-CN' : 'en'
    document.title = `miniprofile · ${t('title')}`
  }, [current, t])
  return (
    <header className="top">
      <div className="brand">
        <img src={icon} alt="" width="28" height="28" />
        <b>miniprofile</b>
        <span className="title">{t('title')}</span>
        {sandbox && <span className="badge" title={t('sandboxHint')}>{t('sandbox')}</span>}
      </div>
      <Who settings={settings} sandbox={sandbox} />
      <div className="switches">
        <button type="button" className="quiet" data-test="language" aria-label={current === 'zh' ? 'English' : '中文'} onClick={() => language.set(current === 'zh' ? 'en' : 'zh')}>
          {current === 'zh' ? 'EN' : '中文'}
        </button>
        <Theme />
      </div>
    </header>
  )
}

// The theme is the page's own: GraphiQL would keep it no longer than the tab.
const theme = createKeptStore(localStorage, 'miniprofile.theme', 'system')
const themes = ['system', 'light', 'dark']

function Theme() {
  const { t } = useWords()
  const { setTheme } = useGraphiQLActions()
  const current = useStore(theme)
  useEffect(() => { setTheme(current === 'system' ? null : current) }, [current, setTheme])
  const Icon = { system: SystemIcon, light: SunIcon, dark: MoonIcon }[current]
  const label = `${t('theme')}: ${t(current)}`
  return (
    <button type="button" className="quiet" data-test="theme" aria-label={label} title={label} onClick={() => theme.set(themes[(themes.indexOf(current) + 1) % 3])}>
      <Icon />
    </button>
  )
}

// useSaid is a word about what was just done, for as long as it takes to read it, and
// what says it.
function useSaid() {
  const [said, setSaid] = useState(null) // an object: what is said twice counts anew
  useEffect(() => {
    if (!said) return undefined
    const timer = setTimeout(() => setSaid(null), 5000)
    return () => clearTimeout(timer)
  }, [said])
  return [said?.word, (word) => setSaid({ word })]
}

// useFocusKept gives the place in which the focus stays when somebody signs in or
// out: the button that had it is gone then.
function useFocusKept(signedIn) {
  const place = useRef(null)
  const before = useRef(signedIn)
  useEffect(() => {
    if (before.current === signedIn) return
    before.current = signedIn
    if (document.activeElement === document.body) place.current.querySelector('button, input')?.focus()
  }, [signedIn])
  return place
}

function Who({ settings, sandbox }) {
  const { t, current } = useWords()
  const who = useStore(session)
  const problem = useStore(notice)
  const dialog = useRef(null)
  const [busy, setBusy] = useState(null)
  const [said, say] = useSaid()
  const place = useFocusKept(Boolean(who))
  const as = async (person, app) => {
    setBusy(person)
    const done = await signIn(person, app ?? (settings.apps.length > 1 ? settings.apps[0] : undefined))
    setBusy(null)
    return done
  }
  return (
    <div className="who" ref={place}>
      {who ? <Account who={who} say={say} onOther={sandbox ? () => dialog.current.showModal() : undefined} />
        : sandbox ? (
          <div className="persons">
            <span className="label">{t('signInAs')}</span>
            {people.slice(0, 3).map((person) => (
              <button key={person.id} type="button" className="chip" data-person={person.id} disabled={busy !== null} onClick={() => as(person.id)}>
                <span className="dot" style={{ background: person.color }}>{person.name[0]}</span>{person.name}
              </button>
            ))}
            <button type="button" className="chip" onClick={() => dialog.current.showModal()}>{t('more')}</button>
          </div>
        ) : <Token />}
      {problem && !who && <p className="problem" role="alert"><code>{problem.code}</code> {adviceFor(problem.code, current)}</p>}
      <p className="said" role="status">{who && said && t(said)}</p>
      {sandbox && <SignIn ref={dialog} settings={settings} busy={busy} as={as} />}
    </div>
  )
}

function Token() {
  const { t } = useWords()
  const submit = (event) => {
    event.preventDefault()
    const text = new FormData(event.target).get('token').trim()
    if (text) present(text)
  }
  return (
    <form className="token" onSubmit={submit} autoComplete="off">
      <input name="token" type="password" placeholder={t('token')} aria-label={t('token')} title={t('tokenHint')} autoComplete="off" spellCheck="false" />
      <button type="submit" className="chip">{t('useToken')}</button>
    </form>
  )
}

function Account({ who, say, onOther }) {
  const { t } = useWords()
  const renew = async () => {
    const done = await refresh().catch(() => false)
    if (session.get()) say(done ? 'refreshed' : 'notRefreshed')
    else notice.set({ code: 'UNAUTHENTICATED' })
  }
  const copyToken = async () => say(await writeClipboard(who.accessToken) ? 'tokenCopied' : 'notCopied')
  const picture = who.user?.avatar && local(who.user.avatar.url)
  const name = who.user?.nickname ?? people.find(({ id }) => id === who.person)?.name ?? who.person ?? who.user?.id?.slice(0, 8) ?? '…'
  return (
    <DropdownMenu>
      <DropdownMenu.Button className="chip account" data-test="account" aria-label={`${t('account')}: ${name}`}>
        {picture ? <img src={picture} alt="" width="24" height="24" /> : <span className="dot"><PersonIcon /></span>}
        <span className="name">{name}</span>
        {who.person && who.person !== name && <small>{who.person}</small>}
        <DownIcon />
      </DropdownMenu.Button>
      <DropdownMenu.Content align="end">
        {onOther && <DropdownMenu.Item onSelect={onOther}>{t('otherPerson')}…</DropdownMenu.Item>}
        {who.refreshToken && <DropdownMenu.Item onSelect={renew} data-test="refresh">{t('refreshNow')}</DropdownMenu.Item>}
        <DropdownMenu.Item onSelect={copyToken} data-test="copy-token">{t('copyToken')}</DropdownMenu.Item>
        <DropdownMenu.Item onSelect={signOut} data-test="sign-out">{t('signOut')}</DropdownMenu.Item>
      </DropdownMenu.Content>
    </DropdownMenu>
  )
}
