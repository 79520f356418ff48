// What a person waits for while something large is under way: the first block of a content that is new, asked for on an urgent stream. Its round trip is
// that of everything that goes before bulk.

/** Publishes many contents of one small block. */
export const publishSmall = (page, count) =>
  page.evaluate(async (count) => {
    const publish = () => window.shoal.publishContent(crypto.getRandomValues(new Uint8Array(100)))
    const cids = []
    while (cids.length < count) cids.push(...(await Promise.all(Array.from({ length: Math.min(50, count - cids.length) }, publish))))
    return cids
  }, count)

/** Asks a peer for one after the other, with pauses, until `enough`. @returns milliseconds of each round trip */
export async function roundTrips(page, cids, from, pause, enough = new Promise(() => {})) {
  const asking = page.evaluate(
    async (cids, from, pause) => {
      window.enough = false
      const times = []
      for (const cid of cids) {
        if (window.enough) break
        const began = performance.now()
        await window.shoal.statContent(cid, { from: [from] })
        times.push(performance.now() - began)
        await new Promise((resolve) => setTimeout(resolve, pause))
      }
      return times
    },
    cids,
    from,
    pause,
  )
  await Promise.race([asking, enough])
  await page.evaluate(() => void (window.enough = true))
  return asking
}

/** The one in the middle. */
export function median(numbers) {
  const sorted = [...numbers].sort((a, b) => a - b)
  const middle = sorted.length >> 1
  return sorted.length % 2 === 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2
}
