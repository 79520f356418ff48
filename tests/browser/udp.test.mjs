// A firewall lets no UDP through: the page is on its relay by WebSocket within a second, and says what it found out.
import assert from 'node:assert/strict'
import { setTimeout as sleep } from 'node:timers/promises'
import { after, before, test } from 'node:test'
import { connections, openApp, until } from '../app.mjs'
import { KINDS, launch } from '../browsers.mjs'
import { cutUdp, healUdp, ownNetwork, refusal } from '../namespace.mjs'
import { createRelay } from '../relay.mjs'

/** Milliseconds from a node's start until others can reach it. */
const AT_ONCE = 1_000
/** Milliseconds in which it says that UDP is blocked: it waits five seconds for an answer. */
const SAID_WITHIN = 20_000
/** Longer than WebTransport rests after it failed once. */
const REST = 5_000
/** A PeerId that nobody has. */
const NOBODY = '12D3KooWD3eckifWpRn9wQpMG9R9hX3sD158z7EqHWmweQAJU5SA'

const refused = await refusal()
if (refused === undefined) {
  await ownNetwork(import.meta.url)
  withoutUdp()
} else {
  test('a network without UDP', () => {
    console.log(`NOT SHOWN: this run may not make networks of its own, so that no firewall can block UDP (${refused})`)
  })
}

function withoutUdp() {
  let relay
  before(async () => (relay = await createRelay({ args: ['--webtransport', 'same'] })))
  after(() => relay?.stop())

  const statusOf = (page) => page.evaluate(() => window.shoal.status())
  const transport = async (page) => (await connections(page)).find(({ transport }) => transport === 'websocket' || transport === 'webtransport')?.transport
  const blocked = async (page) => (await statusOf(page)).relays.some(({ udpBlocked }) => udpBlocked)
  const notices = (page) => page.evaluate(() => document.getElementById('notices').textContent)

  /** Loads the page and waits until others can reach it. @returns milliseconds since its node runs */
  async function visit(page) {
    await page.reload()
    return page.evaluate(async () => {
      const ready = () => document.documentElement.dataset.node === 'ready' && window.shoal !== undefined
      while (!ready()) await new Promise((resolve) => setTimeout(resolve, 5))
      const began = performance.now()
      while (!(await window.shoal.status()).reachable) await new Promise((resolve) => setTimeout(resolve, 5))
      return performance.now() - began
    })
  }

  for (const kind of KINDS) {
    test(`${kind}: WebSocket within a second, and the page says why; WebTransport again when UDP gets through`, async (t) => {
      const browser = await launch(kind)
      t.after(() => browser.close())
      const page = await openApp(browser, relay.url)
      const learnt = async () => {
        const time = await visit(page)
        await sleep(500)
        return (await transport(page)) === 'webtransport' && time
      }
      await until(learnt, 60_000, 'WebTransport is never taken')
      assert.equal(await blocked(page), false)

      await cutUdp()
      t.after(() => healUdp().catch(() => undefined))
      const time = await visit(page)
      assert.equal(await transport(page), 'websocket')
      t.diagnostic(`by WebSocket after ${Math.round(time)} ms, though WebTransport worked before`)
      assert.ok(time < AT_ONCE, `${time} ms`)
      await until(() => blocked(page), SAID_WITHIN, async () => JSON.stringify((await statusOf(page)).relays))
      assert.match((await statusOf(page)).limitations.join(), /no UDP/)
      assert.match((await page.evaluate((peer) => window.shoal.diagnose(peer), NOBODY)).reasons.join(), /no UDP/)
      await until(async () => /no UDP/.test(await notices(page)), SAID_WITHIN, 'the panel does not say so')

      const again = await visit(page)
      assert.equal(await transport(page), 'websocket')
      assert.ok(again < AT_ONCE, `${again} ms`)
      assert.ok(await blocked(page), 'the next visit knows')
      t.diagnostic(`in the next visit after ${Math.round(again)} ms`)

      await healUdp()
      await sleep(REST)
      await until(learnt, 60_000, 'WebTransport is not taken again')
      assert.equal(await blocked(page), false)
      assert.doesNotMatch(await notices(page), /UDP/)
    })
  }
}
