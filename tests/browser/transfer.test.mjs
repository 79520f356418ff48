// A file goes from browser to browser, directly: the same bytes arrive, and next to nothing passes through the relay.
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { beginFetch, connections, fetched, openApp, peerId, publishRandom, reachable, ways } from '../app.mjs'
import { launch } from '../browsers.mjs'
import { createRelay } from '../relay.mjs'
import { overflowed } from '../sockets.mjs'

const SIZE = 20_000_000
/** Bytes that may pass through the relay while the file is fetched: signalling, identify, pings. */
const RELAY_MOST = 64 * 1024
/** Packets that a browser's sockets may lose meanwhile: one of a thousand. On two busy cores it was one of two hundred, before the sockets had room for more. */
const OVERFLOWED_MOST = SIZE / 1_200 / 1_000

let relay
before(async () => (relay = await createRelay()))
after(() => relay?.stop())

for (const [from, to] of [
  ['chromium', 'chromium'],
  ['chromium', 'firefox'],
  ['firefox', 'chromium'],
]) {
  test(`20 MB from ${from} to ${to}`, async (t) => {
    const [sender, receiver] = await Promise.all([launch(from), launch(to)])
    t.after(() => Promise.all([sender.close(), receiver.close()]))
    const [sending, receiving] = await Promise.all([openApp(sender, relay.url), openApp(receiver, relay.url)])
    await reachable(sending)
    const content = await publishRandom(sending, SIZE)

    const before = await relay.traffic()
    await beginFetch(receiving, content)
    const arrived = await fetched(receiving)
    const relayed = (await relay.traffic()) - before

    assert.equal(arrived.size, SIZE)
    assert.equal(arrived.sha256, content.sha256)
    assert.ok(relayed < RELAY_MOST, `${relayed} bytes went through the relay`)
    for (const [page, other] of [[receiving, content.peer], [sending, await peerId(receiving)]]) {
      const all = await connections(page)
      // On a busy machine there may be several of them, and the bytes go by all.
      const direct = all.filter(({ peer, path, transport }) => peer === other && path === 'direct' && transport === 'webrtc')
      assert.ok(direct.length > 0, `no direct connection: ${JSON.stringify(all, null, 2)}\n${await ways(page, [other])}`)
      const carried = direct.reduce((sum, { bytesSent, bytesReceived }) => sum + bytesSent + bytesReceived, 0)
      assert.ok(carried >= SIZE, `direct connections carried only ${carried} bytes: ${JSON.stringify(all, null, 2)}`)
    }
    const lost = await Promise.all([sender, receiver].map(overflowed))
    for (const [index, kind] of [from, to].entries()) {
      // What Firefox asks for no page can change.
      if (kind === 'chromium') assert.ok((lost[index] ?? 0) <= OVERFLOWED_MOST, `${lost} packets had no room in the two browsers' sockets`)
    }
    t.diagnostic(`${(SIZE / 1_000 / arrived.time).toFixed(1)} MB/s, first byte after ${Math.round(arrived.firstByte)} ms, ${relayed} bytes through the relay, ${lost} packets lost`)
  })
}
