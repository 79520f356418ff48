// A second network beside a suite's own (namespace.mjs), and the cable between them, which the suite can pull.
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
    /**
     * From now on this machine is behind a router: what it sends by UDP comes from the address with this number, as seen from there.
     * @returns {Promise<string>} that address
     */
    async seenAs(number) {
      const address = `10.117.0.${number}`
      await run('ip', 'address', 'add', `${address}/32`, 'dev', 'lo')
      await run('nft', `add table ip router; add chain ip router leaving { type nat hook postrouting priority srcnat; }; add rule ip router leaving oifname ${HERE} meta l4proto udp snat to ${address}`)
      return address
    },
    end: () => holder.kill('SIGKILL'),
  }
}

/** Whether a process has the same network as this one. */
async function sameNetwork(pid) {
  return (await readlink(`/proc/${pid}/ns/net`)) === (await readlink('/proc/self/ns/net'))
}
