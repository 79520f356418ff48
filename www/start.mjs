// `npm start`: from a fresh clone to a URL. Installs what is missing, builds what changed, runs the relay, which also serves the web app.
//
//   npm start                    port 8080, or the next free one
//   npm start -- --port 9000     this port (or PORT=9000)
import { parseArgs } from 'node:util'
import { buildAll } from '../crates/web/build/all.mjs'
import { bootstrap } from '../crates/web/build/bootstrap.mjs'
import { relayData } from '../crates/web/build/paths.mjs'
import { isFree, startRelay } from '../crates/web/build/relay.mjs'
import { clock } from '../crates/web/build/steps.mjs'

/** Where one looks for a local web server first. */
const USUAL_PORT = 8080
/** Ports that are tried after the usual one. */
const NEXT_PORTS = 50

try {
  const wanted = wantedPort()
  await bootstrap()
  await buildAll()
  const port = wanted ?? (await nextFree(USUAL_PORT))
  if (wanted !== undefined && !(await isFree(wanted))) throw new Error(`port ${wanted} is taken: choose another with npm start -- --port <number>`)
  if (wanted === undefined && port !== USUAL_PORT) console.log(`Port ${USUAL_PORT} is taken, so this uses ${port}.`)
  await serve(port)
} catch (error) {
  console.error(`\n${error.message}`)
  process.exit(1)
}

/** Runs the relay until it ends or the user ends it. */
async function serve(port) {
  const relay = await startRelay({ port, dataDirectory: relayData })
  let stopping
  const stop = () => (stopping ??= relay.stop())
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, stop)
  console.log(`\n  Shoal is ready (${clock()}). Open\n\n    http://localhost:${port}/\n\n  Ctrl-C stops it.\n`)
  const how = await relay.exited
  if (!stopping) throw new Error(`the relay ended by itself: ${how}\n${relay.output()}`)
  console.log('Stopped.')
  process.exit(0)
}

/** The port that the user asked for, if any. */
function wantedPort() {
  const { values } = parseArgs({ options: { port: { type: 'string', short: 'p' } } })
  const text = values.port ?? process.env.PORT
  if (text === undefined || text === '') return undefined
  const port = Number(text)
  if (!Number.isInteger(port) || port < 1 || port > 65_535) throw new Error(`--port ${text}: give a number from 1 to 65535`)
  return port
}

async function nextFree(first) {
  for (let port = first; port <= first + NEXT_PORTS; port += 1) if (await isFree(port)) return port
  throw new Error(`no free port between ${first} and ${first + NEXT_PORTS}: choose one with npm start -- --port <number>`)
}
