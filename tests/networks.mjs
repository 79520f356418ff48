// Networks of the test's own, which it can change and cut without anybody else noticing: Linux network namespaces.
//
//     ┌─ here: the test, its browsers ──┐      ┌─ there: relays ────────┐
//     │ lo        10.117.0.n shoal-here ├──────┤ shoal-there 10.117.0.1 │
//     └─────────────────────────────────┘      └────────────────────────┘
import { execFile, spawn } from 'node:child_process'
import { readlink } from 'node:fs/promises'
import { setTimeout as sleep } from 'node:timers/promises'
import { promisify } from 'node:util'

const exec = promisify(execFile)
/** The address of what is there; it never changes. */
export const THERE = '10.117.0.1'
const HERE = 'shoal-here'
const VARIABLE = 'SHOAL_NETWORK_OF_ITS_OWN'
/** Root makes them as it is; anybody else, where the system allows it, as the root of a user namespace. */
const UNSHARE = process.getuid?.() === 0 ? ['--net'] : ['--map-root-user', '--net']

/** Whether this process was started by `inNetworkOfItsOwn`. */
export const inside = process.env[VARIABLE] === 'yes'

/**
 * Runs a test file again, in a network of its own.
 * @returns {Promise<{ code: number | null, output: string } | { refused: string }>} `refused`: why this system does not let us, in its words.
 */
export async function inNetworkOfItsOwn(file) {
  try {
    await exec('unshare', [...UNSHARE, 'ip', 'link', 'set', 'lo', 'up'])
  } catch (error) {
    return { refused: error.message }
  }
  // Without it, node would write for the runner that started this process.
  const { NODE_TEST_CONTEXT: _, ...env } = process.env
  const child = spawn('unshare', [...UNSHARE, process.execPath, '--test-reporter=spec', file], { env: { ...env, [VARIABLE]: 'yes' }, stdio: ['ignore', 'pipe', 'pipe'] })
  let output = ''
  for (const stream of [child.stdout, child.stderr]) stream.setEncoding('utf8').on('data', (text) => (output += text))
  const code = await new Promise((resolve, reject) => child.once('error', reject).once('close', resolve))
  return { code, output }
}

/** Makes the network that is there, and joins it to the one here. */
export async function createNetworkThere() {
  const holder = spawn('unshare', ['--net', 'sleep', 'infinity'], { stdio: 'ignore' })
  const there = ['nsenter', '--target', String(holder.pid), '--net']
  const run = (...words) => exec(words[0], words.slice(1))
  await run('ip', 'link', 'set', 'lo', 'up')
  // It has its own network once its process has run for a moment.
  for (let tries = 100; (await sameNetwork(holder.pid)) && tries > 0; tries--) await sleep(20)
  await run('ip', 'link', 'add', HERE, 'type', 'veth', 'peer', 'name', 'shoal-there', 'netns', String(holder.pid))
  await run(...there, 'ip', 'link', 'set', 'lo', 'up')
  await run(...there, 'ip', 'address', 'add', `${THERE}/24`, 'dev', 'shoal-there')
  await run(...there, 'ip', 'link', 'set', 'shoal-there', 'up')
  await run('ip', 'link', 'set', HERE, 'up')
  return {
    /** What to put before a command line, so that it runs there. */
    prefix: there,
    /** This machine's address towards there: the last number. `undefined`: none, it is offline. */
    async address(number) {
      await run('ip', 'address', 'flush', 'dev', HERE)
      if (number === undefined) return
      await run('ip', 'address', 'add', `10.117.0.${number}/24`, 'dev', HERE)
      // As a device in a real network has; browsers look for one.
      await run('ip', 'route', 'replace', 'default', 'via', THERE)
    },
    end: () => holder.kill('SIGKILL'),
  }
}

/** Whether a process has the same network as this one. */
async function sameNetwork(pid) {
  return (await readlink(`/proc/${pid}/ns/net`)) === (await readlink('/proc/self/ns/net'))
}
