// Those who do the same work: Shoal, js-libp2p and Helia. Each opens two pages, one in each browser, connects them, and gives back what it can do.
import { openApp, peerId, reachable, until } from '../app.mjs'
import { createPages, packagePages } from '../pages.mjs'
import { createRelay } from '../relay.mjs'
import { connectRaw, RAW_SCRIPT } from './raw.mjs'
import { bindStream, connectStream, STREAM_PAGES } from './stream.mjs'

/** Two pages of one script, served by a relay of their own. */
async function pair(browsers, pages, global) {
  const relay = await createRelay({ webRoot: pages.path })
  const opened = []
  for (const browser of browsers) {
    const page = await openApp(browser, relay.url, { ready: false })
    await page.waitForFunction((global) => window[global] !== undefined, { timeout: 30_000 }, global)
    opened.push(page)
  }
  const { addresses } = await (await fetch(`${relay.url}/bootstrap`)).json()
  const [sending, receiving] = opened
  return {
    relay,
    address: addresses[0],
    sending,
    receiving,
    /** Browsers give the processes of pages that are not seen less of the processor. */
    async front() {
      for (const page of opened) await page.bringToFront()
    },
    async close() {
      for (const page of opened) await page.close()
      await relay.stop()
      await pages.remove()
    },
  }
}

/** The bare data channel. */
export async function raw(browsers) {
  const two = await pair(browsers, await createPages({ script: RAW_SCRIPT }), 'raw')
  await connectRaw(two.sending, two.receiving)
  return {
    ...two,
    stream: (size) => two.receiving.evaluate((size) => window.raw.fetch(size), size),
    /** Milliseconds of round trips on a channel of its own: of 200, or of those until `enough`. */
    async roundTrips(enough) {
      const asking = two.receiving.evaluate((count) => window.raw.roundTrips(count), enough ? 100_000 : 200)
      await (enough ?? asking)
      await two.receiving.evaluate(() => void (window.raw.enough = true))
      return asking
    },
  }
}

/** Two Shoal nodes that move bytes over one stream of their session. */
export async function shoalStream(browsers) {
  const pages = await createPages(STREAM_PAGES)
  await bindStream(pages.path)
  const two = await pair(browsers, pages, 'streamPeer')
  return { ...two, stream: await connectStream(two.sending, two.receiving, two.address) }
}

/** Two Shoal nodes. @param {'memory' | 'indexeddb'} kind where they keep blocks */
export async function shoal(browsers, kind) {
  const two = await pair(browsers, await packagePages(), 'shoalPackage')
  for (const page of [two.sending, two.receiving]) {
    await page.evaluate(async (kind) => {
      window.shoal = await window.shoalPackage.createNode({ store: { kind } })
      window.longest = 0
      new PerformanceObserver((list) => list.getEntries().forEach(({ duration }) => (window.longest = Math.max(window.longest, duration)))).observe({ type: 'longtask', buffered: false })
    }, kind)
    await reachable(page)
  }
  const from = await peerId(two.sending)
  await two.receiving.evaluate((peer) => window.shoal.connect(peer), from)
  await until(
    () => two.receiving.evaluate(async (peer) => (await window.shoal.connections()).some((connection) => connection.peer === peer && connection.path === 'direct'), from),
    20_000,
    'the connection did not become direct',
  )
  return {
    ...two,
    publish: (size) =>
      two.sending.evaluate(async (size) => {
        // Piece by piece: making the bytes is no work of the node, and must not count as a long task of the page.
        const pieces = []
        for (let start = 0; start < size; start += 1_048_576) {
          const bytes = new Uint8Array(Math.min(1_048_576, size - start))
          for (let part = 0; part < bytes.length; part += 65_536) crypto.getRandomValues(bytes.subarray(part, part + 65_536))
          pieces.push(new Blob([bytes]))
          await new Promise((resolve) => setTimeout(resolve))
        }
        const began = performance.now()
        const cid = await window.shoal.publishContent(new Blob(pieces))
        return { cid, time: performance.now() - began }
      }, size),
    fetch: (cid) =>
      two.receiving.evaluate(
        async (cid, from) => {
          const began = performance.now()
          let bytes = 0
          let firstByte
          for await (const piece of window.shoal.readContent(cid, { from: [from] })) {
            firstByte ??= performance.now() - began
            bytes += piece.byteLength
          }
          return { bytes, firstByte, time: performance.now() - began }
        },
        cid,
        from,
      ),
    /** Many contents of one block each, asked for all at once. @returns milliseconds to fetch them all */
    async blocks(count, size) {
      const cids = await two.sending.evaluate(
        async (count, size) => {
          const publish = () => window.shoal.publishContent(crypto.getRandomValues(new Uint8Array(size)))
          const cids = []
          while (cids.length < count) cids.push(...(await Promise.all(Array.from({ length: Math.min(50, count - cids.length) }, publish))))
          return cids
        },
        count,
        size,
      )
      return two.receiving.evaluate(
        async (cids, from) => {
          const began = performance.now()
          await Promise.all(cids.map((cid) => window.shoal.fetchContent(cid, { from: [from] })))
          return performance.now() - began
        },
        cids,
        from,
      )
    },
    stored: () => two.receiving.evaluate(async () => (await navigator.storage.estimate()).usage),
    /** Milliseconds of the longest task on either page's main thread so far. */
    longestTask: async () => Math.max(...(await Promise.all([two.sending, two.receiving].map((page) => page.evaluate(() => window.longest))))),
    /** A new node whose relay connection is warm dials the sender. @returns milliseconds until a connection stands, through the relay, and until a direct one does */
    dial: () =>
      two.receiving.evaluate(async (peer) => {
        const node = await window.shoalPackage.createNode({ store: { kind: 'memory' } })
        try {
          while (!(await node.status()).reachable) await new Promise((resolve) => setTimeout(resolve, 10))
          const began = performance.now()
          const connecting = node.connect(peer)
          let usable
          for (;;) {
            const paths = (await node.connections()).filter((connection) => connection.peer === peer).map(({ path }) => path)
            if (paths.length > 0) usable ??= performance.now() - began
            if (paths.includes('direct')) break
            await new Promise((resolve) => setTimeout(resolve, 1))
          }
          const direct = performance.now() - began
          await connecting
          return { usable, direct }
        } finally {
          await node.stop()
        }
      }, from),
  }
}

/** Two js-libp2p peers. */
export async function jsLibp2p(browsers) {
  const two = await pair(browsers, await createPages({ entry: 'interop/js-peer.ts' }), 'startPeer')
  for (const page of [two.sending, two.receiving]) {
    await page.evaluate(async (address) => {
      window.peer = await window.startPeer(address)
      window.peer.servePerf()
    }, two.address)
    await page.evaluate(() => window.peer.addresses())
  }
  const peer = await two.sending.evaluate(() => window.peer.peerId)
  await two.receiving.evaluate((address) => window.peer.dial(address), `${two.address}/p2p-circuit/webrtc/p2p/${peer}`)
  return {
    ...two,
    /** A new peer whose relay connection is warm dials the sender. @returns milliseconds until it is direct */
    dial: () =>
      two.receiving.evaluate(
        async (relay, address) => {
          const one = await window.startPeer(relay)
          try {
            await one.addresses()
            const began = performance.now()
            await one.dial(address)
            return { direct: performance.now() - began }
          } finally {
            await one.stop()
          }
        },
        two.address,
        `${two.address}/p2p-circuit/webrtc/p2p/${peer}`,
      ),
    stream: async (size) => {
      const { received, time, firstByte } = await two.receiving.evaluate((peer, size) => window.peer.transfer(peer, 0, size), peer, size)
      return { bytes: received, time, firstByte }
    },
  }
}

/** Two Helia nodes. */
export async function helia(browsers) {
  const two = await pair(browsers, await createPages({ entry: 'bench/helia-page.ts' }), 'startHelia')
  for (const page of [two.sending, two.receiving]) {
    await page.evaluate(async (address) => {
      window.helia = await window.startHelia(address)
    }, two.address)
    await page.waitForFunction(() => window.helia.listening(), { timeout: 30_000 })
  }
  const peer = await two.sending.evaluate(() => window.helia.peerId)
  await two.receiving.evaluate((address) => window.helia.dial(address), `${two.address}/p2p-circuit/webrtc/p2p/${peer}`)
  return {
    ...two,
    publish: (size) =>
      two.sending.evaluate(async (size) => {
        const bytes = new Uint8Array(size)
        for (let start = 0; start < size; start += 65_536) crypto.getRandomValues(bytes.subarray(start, start + 65_536))
        const began = performance.now()
        const cid = await window.helia.add(bytes)
        return { cid, time: performance.now() - began }
      }, size),
    fetch: (cid) => two.receiving.evaluate((cid) => window.helia.fetch(cid), cid),
    stored: () => two.receiving.evaluate(async () => (await navigator.storage.estimate()).usage),
  }
}
