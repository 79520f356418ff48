// Kubo, the reference node of IPFS and thereby go-libp2p, built once from the Go module proxy by tests/interop/kubo/go.mod, and run with a repository of its own.
import { once } from 'node:events'
import { rm, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { root, target } from '../crates/web/build/paths.mjs'
import { capture, run, start, tryCapture } from '../crates/web/build/process.mjs'
import { clock } from '../crates/web/build/steps.mjs'
import { createTemporary } from './temporary.mjs'

const module_ = join(root, 'tests', 'interop', 'kubo')
const program = join(target, 'ipfs')
/** Milliseconds within which a daemon says that it is ready, on a busy machine too. */
const PATIENCE = 60_000

/**
 * Builds Kubo where it is not built yet: two to four minutes on two cores.
 * @returns {Promise<boolean>} false where there is no Go, which is said
 */
export async function ensureKubo() {
  if ((await tryCapture('go', ['version'])) === undefined) {
    // In CI it would be a mistake that nobody sees.
    if (process.env.CI) throw new Error('there is no Go here, with which Kubo is built: install it')
    console.error('\n!!! NOT TESTED AGAINST KUBO: there is no Go here to build it. Install Go (https://go.dev/dl) and run again.\n')
    return false
  }
  const time = async (path) => (await stat(path).catch(() => undefined))?.mtimeMs ?? 0
  if ((await time(program)) > Math.max(await time(join(module_, 'go.mod')), await time(join(module_, 'go.sum')))) return true
  const began = Date.now()
  console.log('building Kubo (once; some minutes) …')
  await run('go', ['build', '-mod=readonly', '-trimpath', '-ldflags=-s -w', '-o', program, 'github.com/ipfs/kubo/cmd/ipfs'], { cwd: module_ })
  console.log(`Kubo is built, ${clock(began)}`)
  return true
}

/**
 * A running node that knows nobody and listens nowhere but for its own commands.
 * @param {Record<string, unknown>} settings by the names of its configuration, such as `Swarm.Transports.Network`
 */
export async function createKubo(settings) {
  const directory = await createTemporary('kubo')
  const env = { IPFS_PATH: directory, IPFS_TELEMETRY: 'off' }
  const ipfs = (...args) => capture(program, args, { env })
  await ipfs('init', '--profile=test')
  for (const [name, value] of Object.entries({ 'Addresses.Swarm': [], ...settings })) await ipfs('config', '--json', name, JSON.stringify(value))
  const daemon = start(program, ['daemon'], { env, stdio: ['ignore', 'pipe', 'inherit'] })
  const ended = once(daemon, 'exit')
  const signal = AbortSignal.timeout(PATIENCE)
  let said = ''
  daemon.stdout.setEncoding('utf8').on('data', (text) => (said += text))
  while (!said.includes('Daemon is ready')) {
    if (daemon.exitCode !== null) throw new Error(`Kubo has ended:\n${said}`)
    await Promise.race([once(daemon.stdout, 'data', { signal }), ended])
  }
  return {
    /** Runs one of its commands. @returns {Promise<string>} what it prints */
    ipfs,
    id: async () => JSON.parse(await ipfs('id')),
    async stop() {
      daemon.kill()
      await ended
      await rm(directory, { recursive: true, force: true })
    },
  }
}
