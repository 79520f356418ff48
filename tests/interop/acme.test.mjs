// The relay gets its certificate from an ACME authority: Pebble, with which Let's Encrypt tests clients, and a DNS server in which every name leads here.
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { mkdir, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { get } from 'node:https'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { relayServer, root } from '../../crates/web/build/paths.mjs'
import { capture, start } from '../../crates/web/build/process.mjs'
import { freePort } from '../../crates/web/build/relay.mjs'
import { ensureGoPrograms } from '../go.mjs'
import { createTemporary } from '../temporary.mjs'

const module_ = join(root, 'tests', 'interop', 'acme')
const PEBBLE = 'github.com/letsencrypt/pebble/v2'
const DOMAIN = 'relay.example'
/** Milliseconds within which everything that must happen happens. */
const PATIENCE = 60_000

const programs = await ensureGoPrograms('ACME', module_, [`${PEBBLE}/cmd/pebble`, `${PEBBLE}/cmd/pebble-challtestsrv`])
let folder
let ports
let certificates
let authority
let names
before(async () => {
  if (!programs) return
  folder = await createTemporary('acme')
  ports = { directory: await freePort(), management: await freePort(), dns: await freePort(), names: await freePort(), tls: await freePort() }
  certificates = join((await capture('go', ['list', '-m', '-f', '{{.Dir}}', PEBBLE], { cwd: module_ })).trim(), 'test', 'certs')
  const pebble = {
    listenAddress: `127.0.0.1:${ports.directory}`,
    managementListenAddress: `127.0.0.1:${ports.management}`,
    certificate: join(certificates, 'localhost', 'cert.pem'),
    privateKey: join(certificates, 'localhost', 'key.pem'),
    httpPort: 1,
    tlsPort: ports.tls,
  }
  await writeFile(join(folder, 'pebble.json'), JSON.stringify({ pebble }))
  // Without its refusals of nonces at random: of several in a row, which are too many for the library, a test would fail.
  const quiet = { stdio: 'ignore', env: { PEBBLE_VA_NOSLEEP: '1', PEBBLE_WFE_NONCEREJECT: '0' } }
  const off = ['-http01', '', '-https01', '', '-tlsalpn01', '', '-doh', '', '-defaultIPv6', '']
  names = start(programs[1], [...off, '-dnsserver', `127.0.0.1:${ports.dns}`, '-management', `127.0.0.1:${ports.names}`], quiet)
  authority = start(programs[0], ['-config', join(folder, 'pebble.json'), '-dnsserver', `127.0.0.1:${ports.dns}`], quiet)
  await soon('Pebble', () => ask({ port: ports.directory, path: '/dir', ca: `${certificates}/pebble.minica.pem` }))
})
after(async () => {
  authority?.kill()
  names?.kill()
  if (folder) await rm(folder, { recursive: true, force: true })
})

/** Asks by https on this machine, and resolves with what came and whose certificate it was. @param {string} options.ca a file */
async function ask({ port, path, ca, servername = 'localhost' }) {
  const request = get({ host: '127.0.0.1', port, path, servername, ca: await readFile(ca), agent: false, headers: { host: `${servername}:${port}` } })
  const [response] = await once(request, 'response')
  const certificate = response.socket.getPeerCertificate()
  let body = ''
  for await (const text of response.setEncoding('utf8')) body += text
  return { body, certificate }
}

async function soon(what, attempt) {
  for (const began = Date.now(); ; await sleep(100)) {
    try {
      return await attempt()
    } catch (error) {
      if (Date.now() - began > PATIENCE) throw new Error(`${what}: not within ${PATIENCE} ms`, { cause: error })
    }
  }
}

/** The relay's arguments. */
const words = (data, tls, directory = `https://localhost:${ports.directory}/dir`) => [
  ...['--listen', '127.0.0.1:0', '--data-dir', data, '--tls', `127.0.0.1:${tls}`],
  ...['--acme-domain', DOMAIN, '--acme-directory', directory, '--acme-roots', join(certificates, 'pebble.minica.pem')],
]

/** A relay that is ready. */
async function startRelay(t, data) {
  const relay = start(relayServer, words(data, ports.tls), { stdio: ['ignore', 'pipe', 'inherit'] })
  const ended = once(relay, 'exit')
  t.after(() => relay.kill())
  await Promise.race([once(relay.stdout, 'data'), ended.then(() => assert.fail('the relay has ended'))])
  return async () => {
    relay.kill()
    await ended
  }
}

test('the relay gets a certificate, serves with it, and keeps it', async (t) => {
  if (!programs) return t.diagnostic('not tested: there is no Go')
  const data = join(folder, 'data')
  await mkdir(data)
  const ca = join(folder, 'root.pem')
  const { body: root } = await ask({ port: ports.management, path: '/roots/0', ca: `${certificates}/pebble.minica.pem` })
  await writeFile(ca, root)
  const served = () => ask({ port: ports.tls, path: '/bootstrap', ca, servername: DOMAIN })

  let stop = await startRelay(t, data)
  const first = await served()
  assert.equal(first.certificate.subjectaltname, `DNS:${DOMAIN}`)
  const { addresses, peerId } = JSON.parse(first.body)
  assert.ok(addresses.includes(`/dns/${DOMAIN}/tcp/${ports.tls}/tls/ws/p2p/${peerId}`), addresses.join('\n'))
  assert.equal((await stat(join(data, 'acme', 'key.pem'))).mode & 0o777, 0o600, 'its key is for its owner only')
  await stop()

  stop = await startRelay(t, data)
  assert.equal((await served()).certificate.serialNumber, first.certificate.serialNumber, 'a restart asks for no other one')
  await stop()
})

test('what the authority cannot prove is refused in one line that names the setting', async (t) => {
  if (!programs) return t.diagnostic('not tested: there is no Go')
  const refusal = async (name, tls, directory) => {
    const data = join(folder, name)
    await mkdir(data)
    const relay = start(relayServer, words(data, tls, directory), { stdio: ['ignore', 'ignore', 'pipe'], env: { SHOAL_LOG: 'error' } })
    t.after(() => relay.kill())
    let said = ''
    relay.stderr.setEncoding('utf8').on('data', (text) => (said += text))
    const [code] = await once(relay, 'close', { signal: AbortSignal.timeout(PATIENCE) })
    assert.equal(code, 2, said)
    assert.equal(said.trim().split('\n').length, 1, said)
    return said
  }
  // The authority looks at another port, where nobody is.
  assert.match(await refusal('elsewhere', await freePort()), /setting acme_domain = relay\.example: .*(connect|refused).*port 443/i)
  assert.match(await refusal('nobody', ports.tls, `https://localhost:${await freePort()}/dir`), /setting acme_directory = https:\/\/localhost:\d+\/dir: /)
})
