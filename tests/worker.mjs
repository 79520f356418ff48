// The web app with a way into its worker: for tests in which the node itself must fail.
//
// WebDriver BiDi cannot run anything in a worker of Firefox, so the worker's script gets one line more, and is otherwise the one that is served to everybody.
import { appendFile, cp, readdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { site } from '../crates/web/build/paths.mjs'
import { createTemporary } from './temporary.mjs'

const CHANNEL = 'the test, to every worker'
/** Milliseconds for the first answer: a worker may be busy with a large content. */
const FIRST_WITHIN = 10_000
/** Milliseconds for others after the first one. */
const OTHERS_WITHIN = 500

/** What a worker can be told to do. The relay's Content-Security-Policy lets no text become code, so the deeds stand in the script. */
const DEEDS = {
  /** Nothing: only to count who answers. */
  answer: '() => {}',
  /** A trap in a callback, which is how a Rust panic ends: here that of a module whose start function is \`unreachable\`. */
  trap: '() => setTimeout(() => new WebAssembly.Instance(new WebAssembly.Module(new Uint8Array([0, 97, 115, 109, 1, 0, 0, 0, 1, 4, 1, 96, 0, 0, 3, 2, 1, 0, 8, 1, 0, 10, 5, 1, 3, 0, 0, 11]))))',
  /** The thread ends, and nobody is told: as when the browser takes it away for its memory. */
  end: '() => self.close()',
}

const LISTEN = `
if ('DedicatedWorkerGlobalScope' in globalThis) {
  const deeds = { ${Object.entries(DEEDS).map(([name, deed]) => `${name}: ${deed}`).join(', ')} }
  const channel = new BroadcastChannel('${CHANNEL}')
  channel.onmessage = ({ data }) => {
    if (!(data.deed in deeds)) return
    channel.postMessage({ done: data.deed })
    deeds[data.deed]()
  }
}
`

/** A copy of the built app whose workers do what `tellWorkers` says. `path` is to be served. */
export async function siteWithOpenWorkers() {
  const path = await createTemporary('pages')
  await cp(site, path, { recursive: true })
  const scripts = (await readdir(join(path, '_astro'))).filter((name) => /^worker\..*\.js$/.test(name))
  if (scripts.length === 0) throw new Error(`there is no worker script in ${site}`)
  for (const name of scripts) {
    await appendFile(join(path, '_astro', name), LISTEN)
    // Compressed it is still the one without.
    for (const ending of ['br', 'gz']) await rm(join(path, '_astro', `${name}.${ending}`), { force: true })
  }
  return { path, remove: () => rm(path, { recursive: true, force: true }) }
}

/**
 * Has every worker of the page's site do something, whichever tab it belongs to.
 * @param {keyof typeof DEEDS} deed
 * @returns {Promise<number>} how many workers there are
 */
export function tellWorkers(page, deed) {
  return page.evaluate(
    async ({ name, deed, first, others }) => {
      const channel = new BroadcastChannel(name)
      let answers = 0
      channel.onmessage = ({ data }) => (answers += data.done === deed ? 1 : 0)
      channel.postMessage({ deed })
      const rest = (milliseconds) => new Promise((resolve) => setTimeout(resolve, milliseconds))
      for (const until = performance.now() + first; answers === 0 && performance.now() < until; ) await rest(10)
      await rest(others)
      channel.close()
      return answers
    },
    { name: CHANNEL, deed, first: FIRST_WITHIN, others: OTHERS_WITHIN },
  )
}
