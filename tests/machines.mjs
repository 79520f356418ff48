// Machines with networks of their own, joined by switches and routers, inside a suite's network (namespace.mjs): what servers meet outside of one machine.
//
//   const outside = await createSwitch('outside')
//   const relay = await createMachine('relay')
//   await relay.plug(outside, '11.0.0.1/24')
//   const router = await createRouter('router', outside, '11.0.0.2/24', inside, '192.168.1.1/24')
//
// Addresses of the internet are 11.0.0.0/8 here: those that are kept for documentation are no addresses of the internet to a program that looks.
import { execFile, spawn } from 'node:child_process'
import { readlink } from 'node:fs/promises'
import { setTimeout as sleep } from 'node:timers/promises'
import { promisify } from 'node:util'

const exec = promisify(execFile)
const run = (...words) => exec(words[0], words.slice(1), { timeout: 60_000 })
process.setMaxListeners(100)
let cables = 0

/** Something that machines are plugged into. Names have eight letters at most. */
export async function createSwitch(name) {
  await run('ip', 'link', 'add', name, 'type', 'bridge')
  await run('ip', 'link', 'set', name, 'up')
  return name
}

/** A machine that is plugged in nowhere yet. */
export async function createMachine(name) {
  const holder = spawn('unshare', ['--net', 'sleep', 'infinity'], { stdio: 'ignore' })
  // It ends with the test, whatever becomes of that.
  holder.unref()
  process.once('exit', () => holder.kill('SIGKILL'))
  let plugged = 0
  // It has its own network once its process has run for a moment.
  for (let tries = 250; (await ownNetworkOf(holder.pid)) === (await ownNetworkOf('self')) && tries > 0; tries--) await sleep(20)
  const prefix = ['nsenter', '--target', String(holder.pid), '--net']
  const inside = (...words) => run(...prefix, ...words)
  await inside('ip', 'link', 'set', 'lo', 'up')
  return {
    name,
    /** What to put before a command line, so that it runs there. */
    prefix,
    /** Runs a program there to its end. @returns {Promise<string>} what it prints */
    run: async (...words) => (await inside(...words)).stdout,
    /** Puts a cable into a switch; what the machine's end is called. @param {string} [via] the router by which it gets anywhere else */
    async plug(socket, address, via) {
      const [here, there] = [`cable${++cables}`, `${socket.slice(0, 8)}${cables}`]
      await run('ip', 'link', 'add', here, 'type', 'veth', 'peer', 'name', there, 'netns', String(holder.pid))
      await run('ip', 'link', 'set', here, 'master', socket, 'up')
      await inside('ip', 'address', 'add', address, 'dev', there)
      await inside('ip', 'link', 'set', there, 'up')
      if (plugged++ === 0) await inside('ip', 'route', 'add', '224.0.0.0/4', 'dev', there)
      if (via) await inside('ip', 'route', 'add', 'default', 'via', via)
      return there
    },
    /** Asks a web server there. */
    async get(url) {
      const ask = `fetch(${JSON.stringify(url)}).then((answer) => answer.text()).then((text) => process.stdout.write(text))`
      return (await inside(process.execPath, '-e', ask)).stdout
    },
    end: () => holder.kill('SIGKILL'),
  }
}

/** Which network a process has. */
const ownNetworkOf = (pid) => readlink(`/proc/${pid}/ns/net`)

/**
 * A machine that stands between two switches: who is inside gets out under its address, and nobody gets in who was not asked, as in most homes. The
 * port stays the same where it is free, whoever is asked, so that two of them can be talked through.
 */
export async function createRouter(name, outside, outer, inside, inner) {
  const router = await createMachine(name)
  const [out, into] = [await router.plug(outside, outer), await router.plug(inside, inner)]
  await router.run('sh', '-c', 'echo 1 > /proc/sys/net/ipv4/ip_forward')
  // What comes unasked leaves no trace: it would take the port that the answer needs.
  await router.run('nft', `
    table inet router {
      chain opened { }
      chain opened_from { }
      chain opened_to { }
      chain arriving { type filter hook input priority 0; policy drop; iifname != "${out}" accept; ct state established,related accept; }
      chain passing { type filter hook forward priority 0; policy drop; iifname != "${out}" accept; ct state established,related accept; jump opened; }
      chain before { type nat hook prerouting priority dstnat; jump opened_to; }
      chain after { type nat hook postrouting priority srcnat; jump opened_from; oifname "${out}" masquerade; }
    }`)
  return { ...router, out, into }
}
