import './workers.js'
import 'graphiql/graphiql.css'
import '@graphiql/react/style.css'
import '@graphiql/plugin-doc-explorer/style.css'
import '@graphiql/plugin-explorer/style.css'
import '@graphiql/plugin-history/style.css'
import './style.css'
import { buildSchema } from 'graphql'
import { createRoot } from 'react-dom/client'
import { Playground } from './Playground.jsx'
import { identify } from './session.js'
import { word } from './words.js'

// The schema is read as text, which every server gives, so that introspection
// may stay off.
const text = (path) => fetch(path).then((response) => {
  if (!response.ok) throw new Error(`${path}: ${response.status}`)
  return response.text()
})

const root = createRoot(document.getElementById('root'))
try {
  const [settings, schema] = await Promise.all([text('settings.json'), text('../schema.graphql')])
  root.render(<Playground settings={JSON.parse(settings)} schema={buildSchema(schema)} />)
  identify()
} catch (error) {
  root.render(<p className="failed graphiql-container">{word('failed')} ({error.message})</p>)
}
