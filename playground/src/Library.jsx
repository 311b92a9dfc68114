// The panel of operations that are ready to run.
import { useGraphiQL, useGraphiQLActions } from '@graphiql/react'
import { createContext, useContext } from 'react'
import { LibraryIcon } from './icons.jsx'
import { useWords } from './words.js'

const Operations = createContext([])

export const narrow = () => window.matchMedia('(max-width: 1099px)').matches

export const Library = Operations.Provider

export const LibraryPlugin = { title: 'operations', icon: LibraryIcon, content: List }

function List() {
  const { t, current, say } = useWords()
  const operations = useContext(Operations)
  const { addTab, changeTab, setVisiblePlugin, updateActiveTabValues } = useGraphiQLActions()
  const state = useGraphiQL(({ tabs, queryEditor, variableEditor }) => ({ tabs, queryEditor, variableEditor }))
  const open = (operation) => {
    if (narrow()) setVisiblePlugin(null) // it covers the editors
    const index = state.tabs.findIndex((tab) => tab.query === operation.query)
    if (index >= 0) return changeTab(index)
    addTab()
    state.queryEditor?.setValue(operation.query)
    state.variableEditor?.setValue(operation.variables)
    updateActiveTabValues({ query: operation.query, variables: operation.variables })
  }
  return (
    <section className="library" aria-label={t('operations')}>
      <h2>{t('operations')}</h2>
      <p className="hint">{t('operationsHint')}</p>
      <ul>
        {operations.map((operation) => (
          <li key={operation.en}>
            <button type="button" onClick={() => open(operation)}>
              <strong>{operation[current]}</strong>
              <span>{say(operation.comment[1], operation.comment[0])}</span>
            </button>
          </li>
        ))}
      </ul>
    </section>
  )
}
