// The dialog in which one becomes any person of the sandbox.
import { useState } from 'react'
import { adviceFor } from './advice.js'
import { CloseIcon } from './icons.jsx'
import { notice } from './session.js'
import { useStore } from './store.js'
import { useWords } from './words.js'

export const people = [
  { id: 'ming', name: '小明', color: '#07a35a' },
  { id: 'hong', name: '小红', color: '#e0457b' },
  { id: 'alice', name: 'Alice', color: '#3b74e0' },
  { id: 'bob', name: 'Bob', color: '#b9770e' },
  { id: 'alice-nounion', name: 'Alice', color: '#7a5bd0', note: ['without a unionid', '没有 unionid'] },
]

// trouble are the persons for whom WeChat fails, with what it answers.
const trouble = [
  ['invalid', '40029'], ['used', '40163'], ['blocked', '40226'], ['limited', '45011'],
  ['busy', '-1'], ['slow', '10 s'], ['garbage', 'no JSON'], ['down', '⚡'],
]

export function SignIn({ ref, settings, busy, as }) {
  const { t, current, say } = useWords()
  const problem = useStore(notice)
  const [app, setApp] = useState(settings.apps[0])
  const close = () => ref.current.close()
  const become = async (person) => {
    if (await as(person, settings.apps.length > 1 ? app : undefined)) close()
  }
  const closed = () => {
    notice.set(null)
    // What opened the dialog is gone where somebody has signed in.
    if (document.activeElement === document.body) document.querySelector('.who button')?.focus()
  }
  const submit = (event) => {
    event.preventDefault()
    become(new FormData(event.target).get('person'))
  }
  return (
    <dialog ref={ref} className="graphiql-dialog sheet sign-in" aria-label={t('chooseWho')} onClose={closed} onClick={(event) => event.target === ref.current && close()}>
      <header><h2>{t('chooseWho')}</h2><button type="button" className="quiet" aria-label={t('close')} onClick={close}><CloseIcon /></button></header>
      <p className="hint">{t('sandboxHint')}</p>
      {settings.apps.length > 1 && (
        <label className="row">{t('app')} <select value={app} onChange={(event) => setApp(event.target.value)}>{settings.apps.map((id) => <option key={id}>{id}</option>)}</select></label>
      )}
      <div className="grid">
        {people.map((person) => (
          <button key={person.id} type="button" className="card" disabled={busy !== null} onClick={() => become(person.id)}>
            <span className="dot" style={{ background: person.color }}>{person.name[0]}</span>
            <span><strong>{person.name}</strong><small>{person.note ? say(...person.note) : person.id}</small></span>
          </button>
        ))}
        <form className="card own" onSubmit={submit}>
          <input name="person" required pattern="[A-Za-z0-9_\-]{1,32}" placeholder={t('anyName')} aria-label={t('otherPerson')} autoCapitalize="off" autoComplete="off" spellCheck="false" />
          <button type="submit" className="primary" disabled={busy !== null}>→</button>
        </form>
      </div>
      <h3>{t('trouble')}</h3>
      <p className="hint">{t('troubleHint')}</p>
      <div className="troubles">
        {trouble.map(([person, what]) => (
          <button key={person} type="button" className="chip" disabled={busy !== null} aria-busy={busy === person} onClick={() => become(person)}>
            {person} <small>{what}</small>
          </button>
        ))}
      </div>
      {problem && (
        <p className="problem" role="alert">
          <code>{problem.code}</code> {adviceFor(problem.code, current)}
          {problem.retryAfter && <> (retryAfter {problem.retryAfter})</>}
        </p>
      )}
    </dialog>
  )
}
