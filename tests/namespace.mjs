// A network of its own for one suite: a namespace with one machine in it, whose firewall and speed the suite sets as it likes. Nothing else on the
// machine, and no other machine, notices.
//
//   await ownNetwork(import.meta.url)       // first thing in the file; from there on it runs inside
//   const path = await shape(2_000_000, [relay.port])
//   await cutUdp()
//
// Everything in it talks over loopback, but browsers look for an address that is not loopback before they connect to each other: one end of a
// pair of virtual interfaces has one.
import { execFile } from 'node:child_process'
import { existsSync } from 'node:fs'
import { delimiter, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { start } from '../crates/web/build/process.mjs'
import { install, mayInstall } from './debian.mjs'

const INSIDE = 'SHOAL_OWN_NETWORK'
/** What is needed, and the Debian package that has it. */
const PROGRAMS = { unshare: 'util-linux', setpriv: 'util-linux', ip: 'iproute2', tc: 'iproute2', nft: 'nftables' }
/** Where Debian keeps what only administrators used to call. */
const PATH = [process.env.PATH ?? '', '/usr/sbin', '/sbin'].join(delimiter)
/** Root makes them as it is; anybody else, where the system allows it, as the root of a user namespace. */
const UNSHARE = ['--net', ...(process.getuid?.() === 0 ? [] : ['--map-root-user'])]
/** What is in the network: nothing but the machine itself. */
export const ALONE = `
ip link set lo up
`
/** Besides, an address that is not loopback. */
export const ADDRESSED = `${ALONE}
ip link add shoal0 type veth peer name shoal1
ip address add 10.77.0.1/24 dev shoal0
ip link set shoal0 up
ip link set shoal1 up
ip route add default dev shoal0
`

const call = promisify(execFile)

/** Why this system lets nobody make networks, in its words; nothing where it does. */
export async function refusal() {
  process.env.PATH = PATH
  if (process.env[INSIDE]) return undefined
  await ensurePrograms()
  try {
    await call('unshare', [...UNSHARE, 'true'])
  } catch (error) {
    return error.message
  }
}

/**
 * Runs the calling file again in a network of its own, and ends with it; returns where that has been done.
 * @param {string} url the file's `import.meta.url`
 * @param {string} [setup] shell commands that make what is in it
 */
export async function ownNetwork(url, setup = ADDRESSED) {
  process.env.PATH = PATH
  if (process.env[INSIDE]) return
  await ensurePrograms()
  const child = start('unshare', [...UNSHARE, 'sh', '-ec', `${setup}exec "$@"`, 'sh', process.execPath, ...process.execArgv, fileURLToPath(url)], { env: { [INSIDE]: '1' } })
  const code = await new Promise((resolve) => child.once('close', (code, signal) => resolve(signal ? 128 : code)))
  process.exit(code)
}

/**
 * Makes sure that programs are there: installs Debian's packages when it may, else says what to install. To be called outside of such a network, which reaches nothing.
 * @param {Record<string, string>} [programs] What is needed, and the Debian package that has it. Default: that with which networks are made.
 */
export async function ensurePrograms(programs = PROGRAMS) {
  if (process.platform !== 'linux') throw new Error('this suite needs Linux: it cuts connections by the firewall of a network namespace')
  const missing = Object.keys(programs).filter((program) => !PATH.split(delimiter).some((directory) => directory && existsSync(join(directory, program))))
  if (missing.length === 0) return
  const packages = [...new Set(missing.map((program) => programs[program]))]
  if (!mayInstall()) throw new Error(`${missing.join(', ')} not found: install ${packages.join(' and ')}`)
  await install(packages)
}

/** The firewall lets no UDP through any more, as that of a company or hotel. Nobody is told: where packets leave, a rule would be an error for who sends. */
export async function cutUdp() {
  await call('nft', ['add table inet shoal; add chain inet shoal arriving { type filter hook input priority 0; }; add rule inet shoal arriving meta l4proto udp drop'])
}

/** Everything is let through again. */
export async function healUdp() {
  await call('nft', ['add table inet shoal; delete table inet shoal'])
}

/** TCP ports that are as slow as it. */
const shaped = new Set()

/**
 * Makes the network as slow as one of the outside: WebRTC and what goes to these TCP ports share so much, one way. What the test says to its browsers is
 * as fast as ever. May be called again.
 * @param {number} rate bytes in a second
 * @param {number[]} ports
 */
export async function shape(rate, ports) {
  const speed = `${Math.round(rate)}bps`
  const tc = (...args) => call('tc', args)
  const filter = (...match) => tc('filter', 'add', 'dev', 'lo', 'parent', '1:', 'protocol', 'ip', 'u32', 'match', 'ip', ...match, 'flowid', '1:20')
  // What a relay passes on crosses loopback twice, and is slowed once.
  const filterPorts = async () => {
    for (const port of ports.filter((port) => !shaped.has(port))) await filter('dport', String(port), '0xffff')
    ports.forEach((port) => shaped.add(port))
  }
  if ((await call('tc', ['class', 'show', 'dev', 'lo'])).stdout.includes('1:20')) {
    await tc('class', 'change', 'dev', 'lo', 'parent', '1:', 'classid', '1:20', 'htb', 'rate', speed)
    return filterPorts()
  }
  await tc('qdisc', 'add', 'dev', 'lo', 'root', 'handle', '1:', 'htb', 'default', '10')
  await tc('class', 'add', 'dev', 'lo', 'parent', '1:', 'classid', '1:10', 'htb', 'rate', '10gbit', 'quantum', '60000')
  await tc('class', 'add', 'dev', 'lo', 'parent', '1:', 'classid', '1:20', 'htb', 'rate', speed, 'quantum', '60000')
  // As much as a router at home keeps waiting. More, and whatever is urgent would wait for seconds.
  await tc('qdisc', 'add', 'dev', 'lo', 'parent', '1:20', 'bfifo', 'limit', '256kb')
  await filter('protocol', '17', '0xff')
  await filterPorts()
}
