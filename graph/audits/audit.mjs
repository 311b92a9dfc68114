// Runs all audits of the npm package graphql-http against the server whose URL
// is given: node audit.mjs http://127.0.0.1:8080/graphql. Writes one line of JSON
// for each audit that fails, then how many passed.
import { serverAudits } from 'graphql-http'

const [url] = process.argv.slice(2)
const audits = serverAudits({ url, fetchFn: fetch })
let passed = 0
for (const audit of audits) {
  const result = await audit.fn()
  if (result.status === 'ok') passed++
  else console.log(JSON.stringify({ id: audit.id, name: audit.name, status: result.status, reason: result.reason }))
}
console.log(`${passed} of ${audits.length}`)
process.exit(passed === audits.length ? 0 : 1)
