import { GraphiQLProvider, Tooltip } from '@graphiql/react'
import { DOC_EXPLORER_PLUGIN, DocExplorerStore } from '@graphiql/plugin-doc-explorer'
import { explorerPlugin } from '@graphiql/plugin-explorer'
import { HISTORY_PLUGIN, HistoryStore } from '@graphiql/plugin-history'
import { useMemo } from 'react'
import { fieldsOf, operationOf } from './document.js'
import { Header } from './Header.jsx'
import { Library, LibraryPlugin, narrow } from './Library.jsx'
import { operationsFor } from './operations.js'
import { outcomes } from './outcome.js'
import { run } from './session.js'
import { stoppable } from './stoppable.js'
import { chosen } from './uploads.js'
import { openIndex, Workbench } from './Workbench.jsx'

// GraphiQL keeps what is written for as long as the tab lives: variables may
// hold codes and tokens.
const storage = {
  getItem: (key) => sessionStorage.getItem(key),
  setItem: (key, value) => sessionStorage.setItem(key, value),
  removeItem: (key) => sessionStorage.removeItem(key),
  clear: () => sessionStorage.clear(),
  get length() { return sessionStorage.length },
}

const fetcher = (request, { headers } = {}) => stoppable((signal) => send(request, headers, signal))

async function send({ query, operationName, variables }, headers, signal) {
  const operation = operationOf(query, operationName)
  const mutation = operation?.operation === 'mutation'
  const tab = chosen.tab()
  const file = chosen.current()
  const noFile = mutation && !file && chosen.wanted(variables)
  outcomes.set({ ...outcomes.get(), [tab]: undefined })
  // GraphiQL's operationName is that of the tab before for a moment.
  try {
    const result = await run({ query, operationName: operation?.name?.value, variables, mutation }, {
      fields: operation ? fieldsOf(operation) : [], headers, file, signal,
    })
    outcomes.set({ ...outcomes.get(), [tab]: { ...result, noFile } })
    return result.answer
  } catch (error) {
    if (!signal.aborted) outcomes.set({ ...outcomes.get(), [tab]: { answer: { errors: [{ extensions: { code: 'NETWORK' } }] } } })
    throw error
  }
}

const explorer = explorerPlugin({ showAttribution: false })

// Plugins are known to GraphiQL by their titles; the page names them itself.
const plugins = [LibraryPlugin, DOC_EXPLORER_PLUGIN, explorer, HISTORY_PLUGIN]

// openTab is the tab that was open before a reload. GraphiQL would go by what was
// edited last, which may be of another tab, and notes with delay which is open.
function openTab() {
  try {
    const { tabs, activeTabIndex } = JSON.parse(sessionStorage.getItem('graphiql:tabState'))
    return tabs[openIndex.get()] ?? tabs[activeTabIndex]
  } catch {
    return undefined
  }
}

// Playground is the page.
export function Playground({ settings, schema }) {
  const operations = useMemo(() => operationsFor(schema, settings), [schema, settings])
  const tabs = useMemo(() => operations.map(({ query, variables }) => ({ query, variables })), [operations])
  const open = useMemo(() => openTab() ?? tabs[0] ?? {}, [tabs])
  return (
    <Library value={operations}>
      <GraphiQLProvider
        fetcher={fetcher} schema={schema} storage={storage} plugins={plugins} referencePlugin={DOC_EXPLORER_PLUGIN}
        defaultTabs={tabs} defaultQuery="" initialQuery={open.query ?? ''} initialVariables={open.variables ?? ''} visiblePlugin={narrow() ? undefined : LibraryPlugin} defaultTheme={null}
      >
        <HistoryStore maxHistoryLength={30}>
          <DocExplorerStore>
            <Tooltip.Provider>
              <div className="graphiql-container playground">
                <Header settings={settings} />
                <Workbench plugins={plugins} />
              </div>
            </Tooltip.Provider>
          </DocExplorerStore>
        </HistoryStore>
      </GraphiQLProvider>
    </Library>
  )
}
