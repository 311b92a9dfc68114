// The dialog that shows an operation as code.
import { useEffect, useMemo, useState } from 'react'
import { writeClipboard } from './clipboard.js'
import { forms } from './copy.js'
import { CloseIcon, CopyIcon } from './icons.jsx'
import { endpoint, session } from './session.js'
import { useStore } from './store.js'
import { useWords } from './words.js'

// operation is {query, operationName, variables, headers, uploads}, where uploads are the
// places in the variables that could hold a file; without one there is nothing to show.
export function CopyAs({ ref, operation }) {
  const { t, say } = useWords()
  const who = useStore(session)
  const [form, setForm] = useState('request')
  const [withToken, setWithToken] = useState(false)
  const [copied, setCopied] = useState(false)
  const fitting = operation ? forms.filter(({ fits }) => !fits || fits(operation)) : []
  const shown = fitting.find(({ id }) => id === form) ?? fitting[0]
  const text = useMemo(() => shown?.write({
    ...operation, url: new URL(endpoint, location.href).href, session: who, say,
    token: withToken ? who?.accessToken : null,
  }) ?? '', [shown, operation, who, withToken, say])
  useEffect(() => setCopied(false), [text])
  const copy = async () => setCopied(await writeClipboard(text))
  const close = () => ref.current.close()
  return (
    <dialog ref={ref} className="graphiql-dialog sheet copy" aria-label={t('copyAs')} onClose={() => setCopied(false)} onClick={(event) => event.target === ref.current && close()}>
      <header><h2>{t('copyAs')}</h2><button type="button" className="quiet" aria-label={t('close')} onClick={close}><CloseIcon /></button></header>
      <div className="segments" role="tablist">
        {forms.map(({ id, name }) => (
          <button key={id} type="button" role="tab" aria-selected={shown?.id === id} data-form={id} disabled={!fitting.some((f) => f.id === id)} onClick={() => setForm(id)}>
            {id === 'client' ? t('client') : name}
          </button>
        ))}
      </div>
      <pre data-test="code" tabIndex="0"><code>{text}</code></pre>
      <footer>
        {who && <label title={t('withTokenHint')}><input type="checkbox" checked={withToken} onChange={(event) => setWithToken(event.target.checked)} /> {t('withToken')}</label>}
        <button type="button" className="primary" data-test="copy" onClick={copy}><CopyIcon /> {copied ? t('copied') : t('copy')}</button>
      </footer>
    </dialog>
  )
}
