// Of several relays the one that does well gets the work, and a connection costs one of them a circuit, not all.
import assert from 'node:assert/strict'
import { createConnection, createServer } from 'node:net'
import { after, before, test } from 'node:test'
import { KINDS, launch } from '../browsers.mjs'
import { createPackageRelay, holds, openNode, openPackage } from '../nodes.mjs'
import { createRelay } from '../relay.mjs'

/** Milliseconds by which everything comes later from the relay that slows down: no dial through it is as fast as one through the other. */
const LATE = 400
/** Dials whose work is counted. */
const COUNTED = 20
/** Milliseconds after which the choice must have followed. */
const FOLLOWED = 5_000

let relays
before(async () => (relays = await Promise.all([createPackageRelay(), createRelay()])))
after(() => Promise.all((relays ?? []).map((relay) => relay.stop())))

/** A way to a port of this machine on which everything is counted and can be made late. */
async function delayedWay(t, target) {
  const way = { port: 0, late: 0, bytes: 0 }
  const sockets = new Set()
  const pass = (from, to) => {
    sockets.add(from)
    from.on('data', (bytes) => {
      way.bytes += bytes.length
      setTimeout(() => to.writable && to.write(bytes), way.late)
    })
    from.on('close', () => setTimeout(() => to.destroy(), way.late))
    from.on('error', () => undefined)
  }
  const server = createServer((near) => {
    const far = createConnection({ port: target, host: '127.0.0.1' })
    pass(near, far)
    pass(far, near)
  })
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve))
  t.after(() => {
    for (const socket of sockets) socket.destroy()
    server.close()
  })
  way.port = server.address().port
  return way
}

for (const kind of KINDS) {
  test(`${kind}: of two relays the one that slows down gets less work within 5 s`, async (t) => {
    const browser = await launch(kind)
    t.after(() => browser.close())
    const [steady, slowing] = relays
    const way = await delayedWay(t, slowing.port)
    const { peerId } = await (await fetch(`${slowing.url}/bootstrap`)).json()
    const page = await openNode(t, browser, steady.url, { bootstrap: [steady.url, `/ip4/127.0.0.1/tcp/${way.port}/ws/p2p/${peerId}`] })
    const others = await openPackage(browser, steady.url)
    await holds(page, 2)

    /** Dials a node that is new, reachable through both relays. Whether the connection was made through the one that slows down. */
    const dial = async () => {
      const peer = await others.evaluate(async (bootstrap) => {
        const node = await window.shoalPackage.createNode({ store: { kind: 'memory' }, bootstrap })
        window.node = node
        const held = async () => (await node.status()).relays.filter(({ state }) => state === 'reserved').length
        while ((await held()) < 2) await new Promise((resolve) => setTimeout(resolve, 10))
        return node.peerId
      }, [steady.url, slowing.url])
      const { address } = await page.evaluate((peer) => window.shoal.connect(peer), peer)
      await others.evaluate(() => window.node.stop())
      return address.includes(`/tcp/${way.port}/`)
    }
    /** Bytes that went that way for each of some dials. */
    const work = async () => {
      const before = way.bytes
      for (let dials = 0; dials < COUNTED; dials += 1) await dial()
      return (way.bytes - before) / COUNTED
    }

    // While both are as fast, both get work: 60 dials that all go one way are no chance.
    let circuit = 0
    for (let dials = 0; circuit === 0; dials += 1) {
      assert.ok(dials < 60, 'it got no work while it was as fast as the other one')
      const before = way.bytes
      if (await dial()) circuit = way.bytes - before
    }
    const equal = await work()
    way.late = LATE
    const began = Date.now()
    while (Date.now() - began < FOLLOWED) await dial()
    const slow = await work()
    const share = (bytes) => Math.round((100 * bytes) / circuit)
    t.diagnostic(`a circuit is ${circuit} bytes; of ${COUNTED} dials ${share(equal)} % went that way while it was as fast as the other, ${share(slow)} % from 5 s after it slowed down`)
    assert.ok(equal < 0.95 * circuit, 'each dial takes one circuit, not one of each relay')
    assert.ok(slow < circuit / 3, 'it still gets work')
  })
}
