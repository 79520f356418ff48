// A relay's own STUN and TURN server, which pages use without being told: with addresses from outside, through a port of the relay where two pages shall not
// or cannot see each other, and without a packet from one page's address to the other's.
import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { after, before, test } from 'node:test'
import { promisify } from 'node:util'
import { until } from '../app.mjs'
import { KINDS, launch } from '../browsers.mjs'
import { ALONE, ownNetwork, refusal } from '../namespace.mjs'
import { createNetworkThere, THERE } from '../networks.mjs'
import { createPackageRelay, gathered, holds, openNode } from '../nodes.mjs'
import { createRelay } from '../relay.mjs'

const exec = promisify(execFile)
/** STUN's usual port, in a network where nobody else has it. */
const PORT = 3478
const FILE = 300_000
const WITHIN = 30_000

const refused = await refusal()
if (refused === undefined) {
  await ownNetwork(import.meta.url, ALONE)
  throughTheRelaysPort()
} else {
  test('a relay with a TURN server', () => {
    console.log(`NOT SHOWN: this run may not make networks of its own, so that no packets of pages can be counted in one (${refused})`)
  })
}

function throughTheRelaysPort() {
  let site
  let there
  let relay
  let outside
  before(async () => {
    there = await createNetworkThere()
    await there.address(2)
    outside = await there.seenAs(99)
    // Packets from this machine to itself, loopback apart: from page to page.
    await exec('nft', ['add table inet watch; add chain inet watch out { type filter hook output priority 0; }; add rule inet watch out meta l4proto udp ip daddr != 127.0.0.0/8 fib daddr type local counter; add rule inet watch out meta l4proto udp ip6 daddr != ::1 fib daddr type local counter'])
    // The pages come from this machine itself: a secure context, whatever the network does.
    site = await createPackageRelay()
    const args = ['--stun', `0.0.0.0:${PORT}`, '--turn', THERE, '--turn-bytes-per-second', '1000000', '--max-turn-allocations-per-peer', '8']
    relay = await createRelay({ host: '0.0.0.0', reachedAt: THERE, prefix: there.prefix, args })
  })
  after(async () => {
    await relay?.stop()
    await site?.stop()
    there?.end()
  })

  for (const kind of KINDS) {
    test(`${kind}: a page uses the STUN and TURN server of its relay without being told of it`, async (t) => {
      const start = await packetsBetweenPages()
      const { path, page } = await connected(t, kind, {})
      assert.equal(path, 'direct')
      assert.ok((await packetsBetweenPages()) > start, 'the counter counts nothing')
      const { iceServers } = await page.evaluate(() => window.configurations.find((configuration) => configuration?.iceServers))
      assert.deepEqual(iceServers.flatMap(({ urls }) => urls), [`stun:${THERE}:${PORT}`, `turn:${THERE}:${PORT}`])
      const found = await gathered(page, iceServers)
      assert.ok(found.some(({ type, address }) => type === 'srflx' && address === outside), JSON.stringify(found))
      assert.ok(found.some(({ type, address }) => type === 'relay' && address === THERE), JSON.stringify(found))
    })

    test(`${kind}: with "relay" neither page's address sends the other a packet, and a file arrives`, async (t) => {
      const before = (await relay.health()).turnBytes
      const start = await packetsBetweenPages()
      const { path, candidates, page, peer } = await connected(t, kind, { iceTransportPolicy: 'relay' })
      assert.equal(path, 'direct', JSON.stringify(candidates))
      assert.deepEqual([candidates.local, candidates.remote].map(Object.keys), [['relay'], ['relay']])
      const cid = await peer.evaluate((size) => window.shoal.publishContent(new Uint8Array(size).fill(7)), FILE)
      const from = await peer.evaluate(() => window.shoal.peerId)
      const bytes = await page.evaluate(async (cid, from) => (await window.shoal.fetchContent(cid, { from: [from] })).length, cid, from)
      assert.equal(bytes, FILE)
      assert.equal((await packetsBetweenPages()) - start, 0, 'packets went from page to page')
      await until(async () => (await relay.health()).turnBytes - before > FILE, WITHIN, async () => JSON.stringify(await relay.health()))
    })
  }

  /** Two pages, each in a browser of its own; `page` has connected to `peer`, as soon as it could. */
  async function connected(t, kind, config) {
    const open = async () => {
      const browser = await launch(kind)
      t.after(() => browser.close())
      return openNode(t, browser, site.url, { bootstrap: [relay.url], ...config }, { prepare: (page) => page.evaluateOnNewDocument(rememberConfigurations) })
    }
    const peer = await open()
    await holds(peer, 1)
    const id = await peer.evaluate(() => window.shoal.peerId)
    const page = await open()
    const { path } = await page.evaluate((id) => window.shoal.connect(id), id)
    const { attempts } = await page.evaluate((id) => window.shoal.diagnose(id), id)
    return { path, candidates: attempts.at(-1)?.candidates, page, peer }
  }
}

/** Keeps what the page's connections are made with. */
function rememberConfigurations() {
  window.configurations = []
  window.RTCPeerConnection = class extends RTCPeerConnection {
    constructor(configuration) {
      super(configuration)
      window.configurations.push(configuration)
    }
  }
}

async function packetsBetweenPages() {
  const { stdout } = await exec('nft', ['list', 'chain', 'inet', 'watch', 'out'])
  return [...stdout.matchAll(/counter packets (\d+)/g)].reduce((sum, [, count]) => sum + Number(count), 0)
}
