// Kubo, the reference node of IPFS and thereby go-libp2p, built once from the Go module proxy by tests/interop/kubo/go.mod, and run with a repository of its own.
import { once } from 'node:events'
import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { root, target } from '../crates/web/build/paths.mjs'
import { capture, start } from '../crates/web/build/process.mjs'
import { ensureGoPrograms } from './go.mjs'
import { createTemporary } from './temporary.mjs'

const program = join(target, 'ipfs')
/** Milliseconds within which a daemon says that it is ready, on a busy machine too. */
const PATIENCE = 60_000

/**
 * Builds Kubo where it is not built yet: two to four minutes on two cores.
 * @returns {Promise<boolean>} false where there is no Go, which is said
 */
export async function ensureKubo() {
  return (await ensureGoPrograms('Kubo', join(root, 'tests', 'interop', 'kubo'), ['github.com/ipfs/kubo/cmd/ipfs'])) !== undefined
}

/**
 * Builds a program that sends bytes through relays with Kubo's own libp2p, see there.
 * @returns {Promise<string | undefined>} its path; nothing where there is no Go, which is said
 */
export async function ensurePump() {
  return (await ensureGoPrograms('go-libp2p', join(root, 'tests', 'interop', 'kubo'), ['./pump']))?.[0]
}

/**
 * A running node that knows nobody and listens nowhere but for its own commands.
 * @param {Record<string, unknown>} settings by the names of its configuration, such as `Swarm.Transports.Network`
 * @param {Record<string, string>} [environment] besides its own
 */
export async function createKubo(settings, environment = {}) {
  const directory = await createTemporary('kubo')
  const env = { IPFS_PATH: directory, IPFS_TELEMETRY: 'off', ...environment }
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
