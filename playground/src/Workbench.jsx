// Tabs, editors, the answer, and the panels beside them.
import {
  HeaderEditor, pick, PlusIcon, QueryEditor, ResponseEditor, Spinner, Tab, Tabs, Tooltip, tryParseJSONC, useDragResize,
  useGraphiQL, useGraphiQLActions, useMonaco, VariableEditor,
} from '@graphiql/react'
import { TabFocus } from 'monaco-editor/esm/vs/editor/browser/config/tabFocus.js'
import { useEffect, useMemo, useRef, useState } from 'react'
import { adviceFor } from './advice.js'
import { CopyAs } from './CopyAs.jsx'
import { holds, operationOf, uploadsOf, withNull } from './document.js'
import { CloseIcon, CopyIcon, PictureIcon, RunIcon, SparkIcon, StopIcon } from './icons.jsx'
import { local, outcomes, picturesIn } from './outcome.js'
import { createKeptStore, useStore } from './store.js'
import { translate } from './translate.js'
import { chosen } from './uploads.js'
import { useWords } from './words.js'

// openIndex is the place of the open tab, kept for a reload.
export const openIndex = createKeptStore(sessionStorage, 'miniprofile.tab', 0)

const names = { 'Documentation Explorer': 'docs', 'GraphiQL Explorer': 'explorer', History: 'history', operations: 'operations' }

export function Workbench({ plugins }) {
  const { t, current } = useWords()
  const [pane, setPane] = useState('operation') // what a narrow screen shows
  const visible = useGraphiQL((state) => state.visiblePlugin)
  const { setVisiblePlugin } = useGraphiQLActions()
  const Panel = visible?.content
  // Before the editors are there, GraphiQL would not take a change of the tab to them.
  const ready = useGraphiQL((state) => Boolean(state.queryEditor && state.variableEditor && state.responseEditor))
  return (
    <main className="bench" data-pane={pane} inert={!ready}>
      <nav className="rail" aria-label={t('docs')}>
        {plugins.map((plugin) => {
          const label = t(names[plugin.title])
          return (
            <Tooltip key={plugin.title} label={label}>
              <button type="button" className={visible === plugin ? 'active' : ''} aria-pressed={visible === plugin} aria-label={label} data-panel={names[plugin.title]} onClick={() => setVisiblePlugin(visible === plugin ? null : plugin)}>
                <plugin.icon /><span>{label}</span>
              </button>
            </Tooltip>
          )
        })}
      </nav>
      {Panel && (
        <aside className="panel graphiql-plugin" key={current} ref={current === 'zh' ? translate : undefined}>
          <button type="button" className="quiet shut" aria-label={t('close')} onClick={() => setVisiblePlugin(null)}><CloseIcon /></button>
          <Panel />
        </aside>
      )}
      <Desk pane={pane} setPane={setPane} />
    </main>
  )
}

// objectOf is {value} of an editor's text, and null where that is no JSON object.
const objectOf = (text) => {
  try {
    return { value: tryParseJSONC(text ?? '') }
  } catch {
    return null
  }
}

// useOperation reads what the editors of the open tab say.
function useOperation() {
  const { tabs, activeTabIndex, operationName, schema } = useGraphiQL(pick('tabs', 'activeTabIndex', 'operationName', 'schema'))
  const tab = tabs[activeTabIndex]
  const query = tab?.query ?? ''
  const operation = useMemo(() => operationOf(query, operationName), [query, operationName])
  const uploads = useMemo(() => (schema && operation ? uploadsOf(schema, operation) : []), [schema, operation])
  const variables = useMemo(() => objectOf(tab?.variables), [tab?.variables])
  const headers = useMemo(() => objectOf(tab?.headers), [tab?.headers])
  return useMemo(() => ({
    tab, query, operation, uploads, variables: variables?.value, headers: headers?.value, broken: !variables || !headers, operationName: operation?.name?.value,
  }), [tab, query, operation, uploads, variables, headers])
}

// In an editor that takes the Tab key a keyboard is caught. Monaco 0.52 has an option
// tabFocusMode for it, which does nothing.
TabFocus.setTabFocusMode(true)

// useEditors shows long lines whole, as comments and tokens are, and gives the editors
// names.
function useEditors() {
  const { t } = useWords()
  const { queryEditor, variableEditor, headerEditor, responseEditor } = useGraphiQL(pick('queryEditor', 'variableEditor', 'headerEditor', 'responseEditor'))
  useEffect(() => {
    for (const editor of [queryEditor, variableEditor, headerEditor, responseEditor]) {
      editor?.updateOptions({ wordWrap: 'on', wrappingIndent: 'indent', wordBreak: 'normal' })
    }
    for (const [editor, name] of [[queryEditor, 'operation'], [variableEditor, 'variables'], [headerEditor, 'headers']]) {
      editor?.updateOptions({ ariaLabel: `${t(name)}. ${t('leaveEditor')}` })
    }
  }, [queryEditor, variableEditor, headerEditor, responseEditor, t])
}

function Desk({ pane, setPane }) {
  const { t } = useWords()
  const ready = useMonaco((state) => Boolean(state.monaco))
  const { tabs, activeTabIndex } = useGraphiQL(pick('tabs', 'activeTabIndex'))
  const { addTab, changeTab, closeTab, moveTab } = useGraphiQLActions()
  const strip = useRef(null)
  const [side, setSide] = useState('variables')
  const across = useDragResize({ direction: 'horizontal', storageKey: 'miniprofileAcross', defaultSizeRelation: 1.05 })
  const down = useDragResize({ direction: 'vertical', storageKey: 'miniprofileDown', defaultSizeRelation: 2, sizeThresholdSecond: 60 })
  const op = useOperation()
  useEditors()
  const isFetching = useGraphiQL((state) => state.isFetching)
  useEffect(() => { if (isFetching) setPane('response') }, [isFetching, setPane])
  useEffect(() => { openIndex.set(activeTabIndex) }, [activeTabIndex])
  useEffect(() => { setPane('operation') }, [activeTabIndex, setPane])
  useEffect(() => { strip.current?.querySelector('[aria-selected=true]')?.scrollIntoView({ block: 'nearest', inline: 'nearest' }) }, [activeTabIndex])
  return (
    <div className="desk">
      <div className="tabs">
        <Tabs ref={strip} values={tabs} onReorder={moveTab} aria-label={t('operation')} className="no-scrollbar">
          {tabs.map((tab, index) => (
            <Tab key={tab.id} dragConstraints={strip} value={tab} isActive={index === activeTabIndex}>
              <Tab.Button aria-controls="graphiql-session" id={`graphiql-session-tab-${index}`} title={tab.title} onClick={() => changeTab(index)}>{tab.title}</Tab.Button>
              {tabs.length > 1 && <Tab.Close aria-label={t('closeTab')} onClick={() => closeTab(index)} />}
            </Tab>
          ))}
        </Tabs>
        <Tooltip label={t('newTab')}>
          <button type="button" className="quiet" aria-label={t('newTab')} onClick={addTab}><PlusIcon aria-hidden="true" /></button>
        </Tooltip>
      </div>
      <Toolbar op={op} />
      <div className="segments panes" role="tablist">
        {['operation', 'variables', 'response'].map((name) => (
          <button key={name} type="button" role="tab" aria-selected={pane === name} data-pane={name} onClick={() => setPane(name)}>{t(name)}</button>
        ))}
      </div>
      <div className="editors-and-answer" role="tabpanel" id="graphiql-session">
        <div className="editors" ref={across.firstRef}>
          <section className="query" aria-label={t('operation')} ref={down.firstRef}>
            {ready ? <QueryEditor /> : <Spinner />}
          </section>
          <div className="sides" ref={down.dragBarRef}>
            {['variables', 'headers'].map((name) => (
              <button key={name} type="button" className={side === name ? 'active' : ''} aria-pressed={side === name} onClick={() => setSide(name)}>{t(name)}</button>
            ))}
          </div>
          <section className="side" aria-label={t(side)} ref={down.secondRef}>
            <VariableEditor className={side === 'variables' ? '' : 'hidden'} />
            <HeaderEditor className={side === 'headers' ? '' : 'hidden'} />
          </section>
        </div>
        <div className="drag" ref={across.dragBarRef} />
        <section className="answer" aria-label={t('response')} ref={across.secondRef}>
          <Outcome />
          <div className="json">
            {isFetching && <Spinner />}
            <ResponseEditor />
          </div>
        </section>
      </div>
    </div>
  )
}

function Toolbar({ op }) {
  const { t } = useWords()
  const { run, stop, prettifyEditors } = useGraphiQLActions()
  const isFetching = useGraphiQL((state) => state.isFetching)
  const dialog = useRef(null)
  return (
    <div className="tools" role="toolbar">
      <button type="button" className="primary" data-test="run" title="Ctrl-Enter / ⌘-Enter" onClick={isFetching ? stop : run}>
        {isFetching ? <StopIcon /> : <RunIcon />} {t(isFetching ? 'stop' : 'run')}
      </button>
      <FilePicker op={op} />
      <span className="space" />
      <button type="button" className="plain" title="Shift-Ctrl-P" onClick={prettifyEditors}><SparkIcon /><span>{t('prettify')}</span></button>
      <button type="button" className="plain" data-test="copy-as" disabled={!op.operation || op.broken} title={!op.operation ? t('noOperation') : op.broken ? t('brokenJSON') : ''} onClick={() => dialog.current.showModal()}>
        <CopyIcon /><span>{t('copyAs')}…</span>
      </button>
      <CopyAs ref={dialog} operation={op.operation && !op.broken && op} />
    </div>
  )
}

// useDroppedFile takes a file that is dropped anywhere on the page. Where none is
// wanted it is dropped in vain: the browser would leave the page for it.
function useDroppedFile(take) {
  const latest = useRef(take)
  useEffect(() => { latest.current = take })
  useEffect(() => {
    const over = (event) => {
      if (!event.dataTransfer?.types.includes('Files')) return
      event.preventDefault()
      event.stopPropagation() // an editor would write the file's name
      event.dataTransfer.dropEffect = latest.current ? 'copy' : 'none'
    }
    const drop = (event) => {
      const [first] = event.dataTransfer?.files ?? []
      over(event)
      if (first) latest.current?.(first)
    }
    const listening = { dragenter: over, dragover: over, drop }
    for (const [name, listener] of Object.entries(listening)) window.addEventListener(name, listener, true)
    return () => { for (const [name, listener] of Object.entries(listening)) window.removeEventListener(name, listener, true) }
  }, [])
}

// FilePicker chooses the file for a variable of the type Upload. A request
// carries one.
function FilePicker({ op: { tab, uploads, variables } }) {
  const { t } = useWords()
  const variableEditor = useGraphiQL((state) => state.variableEditor)
  const path = uploads.find((p) => holds({ ...variables }, p)) ?? uploads[0]
  const used = path && holds({ ...variables }, path)
  const file = useStore(chosen.store)[chosen.key(tab?.id, path)]
  useEffect(() => chosen.follow(tab?.id, path), [tab?.id, path])
  const preview = useMemo(() => file && URL.createObjectURL(file), [file])
  useEffect(() => () => { if (preview) URL.revokeObjectURL(preview) }, [preview])
  const choose = (first) => {
    chosen.put(tab.id, path, first)
    variableEditor?.setValue(JSON.stringify(withNull(variables ?? {}, path), null, 2))
  }
  useDroppedFile(used || file ? choose : undefined)
  // An operation that only might take a picture, as one for the nickname, keeps quiet.
  if (!path || !used && !file) return null
  const onChange = (event) => {
    const [first] = event.target.files
    event.target.value = ''
    if (first) choose(first)
  }
  return (
    <span className="file">
      <label className="chip" title={`${t('goesTo')} ${path}`}>
        {preview ? <img src={preview} alt="" width="24" height="24" /> : <PictureIcon />}
        <span className="name">{file ? file.name : t('chooseFile')}</span>
        <input type="file" data-test="file" accept="image/*" onChange={onChange} />
      </label>
      {file && <button type="button" className="quiet" aria-label={t('removeFile')} onClick={() => chosen.put(tab.id, path, undefined)}><CloseIcon /></button>}
      <code>{path}</code>
    </span>
  )
}

// Outcome says how the last operation went, and what a client would do now.
function Outcome() {
  const { t, current } = useWords()
  const { id, response } = useGraphiQL(({ tabs, activeTabIndex }) => pick('id', 'response')(tabs[activeTabIndex]))
  const result = useStore(outcomes)[id]
  if (!result || !response) return <p className="outcome hint" data-test="outcome">{response ? '' : t('responseEmpty')}</p>
  const { code, hint, requestId, field, retryAfter } = result.answer.errors?.[0]?.extensions ?? {}
  return (
    <div className="outcome" data-test="outcome" role="status">
      <span className={code ? 'state bad' : 'state good'}>{code ?? result.status}</span>
      {result.took !== undefined && <span className="took">{Math.round(result.took)} ms</span>}
      {result.noFile && !code && <span className="advice" data-test="no-file">{t('noFile')}</span>}
      {field && <code>{field}</code>}
      {code && <span className="advice">{adviceFor(hint ?? code, current)}{retryAfter ? ` (retryAfter ${retryAfter} s)` : ''}</span>}
      {requestId && <code className="took">{requestId}</code>}
      {picturesIn(result.answer).map((address) => (local(address)
        ? <a key={address} href={local(address)} target="_blank" rel="noreferrer"><img src={local(address)} alt={t('picture')} data-test="picture" /></a>
        : <a key={address} href={address} target="_blank" rel="noreferrer">{t('picture')}</a>))}
    </div>
  )
}
