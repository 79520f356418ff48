// Servers in networks: on one link they find each other; behind routers they meet half-way, or have the router open a port.
//
// Runs in a network of its own (namespace.mjs).
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { test } from 'node:test'
import { relayServer } from '../../crates/web/build/paths.mjs'
import { start } from '../../crates/web/build/process.mjs'
import { createMachine, createRouter, createSwitch } from '../machines.mjs'
import { ALONE, ensurePrograms, ownNetwork } from '../namespace.mjs'
import { createTemporary } from '../temporary.mjs'

// The router's daemon for UPnP.
await ensurePrograms({ miniupnpd: 'miniupnpd-nftables' })
await ownNetwork(import.meta.url, ALONE)

/** Milliseconds within which everything that must happen happens. */
const PATIENCE = 40_000
/** Milliseconds for which what must not happen is waited for. */
const NEVER = 5_000

async function until(what, condition) {
  for (const began = Date.now(); !(await condition()); await sleep(250)) {
    if (Date.now() - began > PATIENCE) assert.fail(`${what}: not within ${PATIENCE} ms`)
  }
}

/** Where servers listen besides. */
const [TCP, QUIC] = [['--tcp', '0.0.0.0:4001'], ['--quic', '0.0.0.0:4001']]

/** A server on a machine. Its log is printed if the test fails. */
async function createServer(t, machine, args = [], listens = [...TCP, ...QUIC]) {
  const directory = await createTemporary('server')
  const words = [...machine.prefix.slice(1), relayServer, '--listen', '0.0.0.0:8080', '--data-dir', directory, ...listens, ...args]
  const child = start(machine.prefix[0], words, { stdio: ['ignore', 'pipe', 'pipe'], env: { SHOAL_LOG: 'info,relay_server=debug,libp2p=error' } })
  let log = ''
  for (const stream of [child.stdout, child.stderr]) stream.setEncoding('utf8').on('data', (text) => (log += text))
  t.after(() => {
    child.kill('SIGKILL')
    if (t.passed === false) console.error(`── ${machine.name}\n${log.slice(-6_000)}`)
  })
  await until(`the start of ${machine.name}`, () => log.includes(' ready: ') || (child.exitCode !== null && assert.fail(log)))
  const ask = async (path) => JSON.parse(await machine.get(`http://127.0.0.1:8080${path}`))
  return {
    pid: child.pid,
    id: (await ask('/bootstrap')).peerId,
    health: () => ask('/healthz'),
    peering: async () => (await ask('/healthz')).peering,
    log: () => log,
    /** Ends it, and waits until its ports are free. */
    async stop() {
      child.kill('SIGTERM')
      await once(child, 'exit')
    },
  }
}

/** Resident memory of a process in bytes, and its CPU time in seconds. */
async function cost(pid) {
  const status = await readFile(`/proc/${pid}/status`, 'utf8')
  const ticks = (await readFile(`/proc/${pid}/stat`, 'utf8')).split(') ').pop().split(' ').slice(11, 13)
  return { memory: 1024 * Number(/VmRSS:\s+(\d+)/.exec(status)[1]), seconds: (Number(ticks[0]) + Number(ticks[1])) / 100 }
}

test('servers on one link find each other by mDNS, one in another network does not, and a flood of answers costs little', { timeout: 180_000 }, async (t) => {
  const [room, elsewhere] = [await createSwitch('room'), await createSwitch('other')]
  const machines = await Promise.all(['one', 'two', 'stranger', 'attacker'].map(createMachine))
  t.after(() => machines.forEach((machine) => machine.end()))
  const [first, second, third, attacker] = machines
  await first.plug(room, '192.168.7.1/24')
  await second.plug(room, '192.168.7.2/24')
  await attacker.plug(room, '192.168.7.66/24')
  await third.plug(elsewhere, '192.168.8.1/24')
  const servers = []
  for (const machine of [first, second, third]) servers.push(await createServer(t, machine, ['--mdns', 'true', '--idle-seconds', '2']))
  const [one, two, stranger] = servers
  await until('their meeting', async () => (await one.peering()).servers === 1 && (await two.peering()).servers === 1)
  await sleep(NEVER)
  const alone = await stranger.peering()
  assert.deepEqual([alone.servers, alone.foundServers], [0, 0])
  assert.deepEqual([(await one.peering()).servers, (await two.peering()).servers], [1, 1], 'they stay connected')

  const before = await cost(one.pid)
  const answers = 20_000
  await attacker.run(process.execPath, '-e', FLOOD, String(answers))
  await sleep(2_000)
  const after = await cost(one.pid)
  const { servers: connected, foundServers } = await one.peering()
  t.diagnostic(`${answers} answers of mDNS with as many servers: ${((after.memory - before.memory) / 1e6).toFixed(1)} MB, ${(after.seconds - before.seconds).toFixed(2)} s of CPU, ${foundServers} taken seriously`)
  assert.equal(connected, 1)
  assert.ok(foundServers <= 32)
  assert.ok(after.memory - before.memory < 20e6, 'memory')
  assert.ok(after.seconds - before.seconds < 5, 'CPU')
})

/** Sends as many answers of mDNS as it is told, each with a server that does not exist. */
const FLOOD = `
const { createSocket } = require('node:dgram')
const { randomBytes } = require('node:crypto')
const ALPHABET = '123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz'
const base58 = (bytes) => {
  let [number, text] = [BigInt('0x' + bytes.toString('hex')), '']
  for (; number > 0n; number /= 58n) text = ALPHABET[Number(number % 58n)] + text
  return '1'.repeat([...bytes].findIndex((byte) => byte !== 0)) + text
}
const name = (...labels) => Buffer.concat([...labels.map((label) => Buffer.concat([Buffer.from([label.length]), Buffer.from(label)])), Buffer.from([0])])
const record = (owner, type, data) => {
  const head = Buffer.alloc(10)
  head.writeUInt16BE(type, 0)
  head.writeUInt16BE(1, 2)
  head.writeUInt32BE(1_000_000, 4)
  head.writeUInt16BE(data.length, 8)
  return Buffer.concat([owner, head, data])
}
const answer = () => {
  const peer = base58(Buffer.concat([Buffer.from('002408011220', 'hex'), randomBytes(32)]))
  const service = name('_p2p', '_udp', 'local')
  const own = name(randomBytes(16).toString('hex'), '_p2p', '_udp', 'local')
  const text = Buffer.from('dnsaddr=/ip4/192.168.7.66/tcp/' + (1024 + Math.floor(Math.random() * 60000)) + '/p2p/' + peer)
  return Buffer.concat([Buffer.from('000084000000000100000001', 'hex'), record(service, 12, own), record(own, 16, Buffer.concat([Buffer.from([text.length]), text]))])
}
const socket = createSocket('udp4')
socket.bind(0, '192.168.7.66', async () => {
  socket.setMulticastInterface('192.168.7.66')
  for (let sent = 0; sent < Number(process.argv[1]); sent++) {
    await new Promise((resolve) => socket.send(answer(), 5353, '224.0.0.251', resolve))
    if (sent % 100 === 0) await new Promise((resolve) => setTimeout(resolve, 5))
  }
  socket.close()
})
`

/** A relay on the internet, and two machines behind a router each. */
async function behindRouters(t, tag) {
  const outside = await createSwitch(`out${tag}`)
  const relay = await createMachine('relay')
  t.after(() => relay.end())
  await relay.plug(outside, '11.0.0.1/24')
  const homes = []
  for (const number of [1, 2]) {
    const inside = await createSwitch(`in${tag}${number}`)
    const router = await createRouter(`router ${number}`, outside, `11.0.0.1${number}/24`, inside, `192.168.${number}.1/24`)
    const machine = await createMachine(`server ${number}`)
    await machine.plug(inside, `192.168.${number}.2/24`, `192.168.${number}.1`)
    homes.push({ router, machine })
    t.after(() => [router, machine].forEach((one) => one.end()))
  }
  return { outside, relay, homes }
}

for (const [name, way, listens] of [
  ['QUIC', '/udp/4001/quic-v1', QUIC],
  ['TCP', '/tcp/4001', TCP],
]) {
  test(`two servers behind routers that reserve at a third connect directly by ${name}`, { timeout: 180_000 }, async (t) => {
    const { relay, homes } = await behindRouters(t, name[0].toLowerCase())
    const third = await createServer(t, relay)
    const base = `/ip4/11.0.0.1${way}/p2p/${third.id}`
    const args = ['--reserve-at', base, '--idle-seconds', '2']
    const reached = await createServer(t, homes[0].machine, args, listens)
    await until('its reservation', async () => (await third.health()).reservations === 1)
    const circuit = `${base}/p2p-circuit/p2p/${reached.id}`
    const other = await createServer(t, homes[1].machine, [...args, '--peers', circuit], listens)
    await until('the direct connection', async () => {
      const { servers, relayedServers, upgraded } = await other.peering()
      return servers === 2 && relayedServers === 0 && upgraded >= 1
    })
    await until('the end of the circuit', async () => (await third.health()).circuits === 0)
    const direct = new RegExp(`connected.* peer=${reached.id} address=(/ip4/11\\.0\\.0\\.11${way}\\S*)`)
    const [, by] = direct.exec(other.log().replaceAll(/\x1b\[\d+m/g, '')) ?? assert.fail('no direct address in the log')
    const { relayedBytes } = await third.health()
    await sleep(NEVER)
    assert.equal((await third.health()).relayedBytes, relayedBytes, 'nothing goes through the relay any more')
    assert.equal((await other.peering()).servers, 2)
    t.diagnostic(`connected at ${by}; ${relayedBytes} bytes had gone through the relay`)
  })
}

test('a server has its router open its ports by UPnP, is reached from outside, and told so', { timeout: 180_000 }, async (t) => {
  const { outside, relay, homes } = await behindRouters(t, 'u')
  const [{ router, machine }] = homes
  const another = await createMachine('judge')
  t.after(() => another.end())
  await another.plug(outside, '11.0.0.9/24')
  const judge = await createServer(t, another, ['--autonat', 'answer'])
  const directory = await createTemporary('upnp')
  const settings = join(directory, 'miniupnpd.conf')
  await writeFile(settings, `
ext_ifname=${router.out}
listening_ip=${router.into}
http_port=5000
enable_upnp=yes
enable_natpmp=no
secure_mode=yes
ipv6_disable=yes
uuid=${crypto.randomUUID()}
upnp_table_name=router
upnp_nat_table_name=router
upnp_forward_chain=opened
upnp_nat_chain=opened_to
upnp_nat_postrouting_chain=opened_from
allow 1024-65535 192.168.1.0/24 1024-65535
deny 0-65535 0.0.0.0/0 0-65535
`)
  const daemon = spawn(router.prefix[0], [...router.prefix.slice(1), '/usr/sbin/miniupnpd', '-d', '-f', settings, '-P', join(directory, 'pid')], { stdio: ['ignore', 'pipe', 'pipe'] })
  let said = ''
  for (const stream of [daemon.stdout, daemon.stderr]) stream.setEncoding('utf8').on('data', (text) => (said += text))
  t.after(() => {
    daemon.kill('SIGKILL')
    if (t.passed === false) console.error(`── miniupnpd\n${said.slice(-3_000)}`)
  })
  const server = await createServer(t, machine, ['--upnp', 'true', '--autonat', 'ask', '--peers', `/ip4/11.0.0.9/tcp/4001/p2p/${judge.id}`])
  // The WebSocket's port, that of TCP, and that of QUIC.
  await until('three ports', async () => (await server.peering()).mapped === 3)
  const rules = await router.run('nft', 'list', 'chain', 'inet', 'router', 'opened_to')
  // Some versions of nft show the protocol as the number that it is in the header.
  for (const rule of [/(tcp|0x6 th) dport 4001 dnat ip to 192\.168\.1\.2:4001/, /(udp|0x11 th) dport 4001 dnat ip to 192\.168\.1\.2:4001/, /(tcp|0x6 th) dport 8080 dnat/]) assert.match(rules, rule)
  const bootstrap = JSON.parse(await machine.get('http://127.0.0.1:8080/bootstrap'))
  const told = [...bootstrap.addresses, ...bootstrap.nativeAddresses]
  const outer = ['/ip4/11.0.0.11/tcp/4001', '/ip4/11.0.0.11/udp/4001/quic-v1', '/ip4/11.0.0.11/tcp/8080/ws'].map((address) => `${address}/p2p/${server.id}`)
  for (const address of outer) assert.ok(told.includes(address), `${address} among ${told}`)
  await until('the judgement', async () => {
    const { reached, unreached } = await server.peering()
    return reached === 3 && unreached === 3
  })
  assert.match(server.log(), /nobody outside reaches \/ip4\/192\.168\.1\.2\/tcp\/4001: open the port/)
  assert.deepEqual([(await judge.peering()).reachAnswers, (await judge.peering()).reachRefused], [3, 3], 'it dials no inner address')
  for (const [index, address] of outer.entries()) {
    const visitor = await createServer(t, relay, ['--peers', address])
    // It is told of the judge as well, and may go there.
    await until(`a visitor by ${address}`, async () => (await visitor.peering()).servers >= 1)
    assert.match(visitor.log(), new RegExp(`connected.*${server.id}.*11\\.0\\.0\\.11`))
    await visitor.stop()
    await until(`the end of visit ${index}`, async () => (await server.peering()).servers === 1)
  }
})

test('a server whose router knows no UPnP says so, and what to do', { timeout: 120_000 }, async (t) => {
  const { homes } = await behindRouters(t, 'n')
  const server = await createServer(t, homes[0].machine, ['--upnp', 'true'])
  await until('the sentence', () => /setting upnp: .*forward the ports by hand/.test(server.log()))
  assert.equal(server.log().match(/setting upnp: /g).length, 1)
})
