/**
 * A page opened as `localhost` makes links that only this computer can open. The relay knows its addresses in the local network;
 * this finds the same page's URL as another device has to spell it.
 */

const loopback = /^(localhost|127\.|\[?::1\]?$)/

/** @returns the page's URL for other devices of the network, or undefined where the page's own URL already works or none is known. */
export async function elsewhere(): Promise<string | undefined> {
  if (!loopback.test(location.hostname)) return undefined
  try {
    const answer = (await (await fetch('/bootstrap', { signal: AbortSignal.timeout(5_000) })).json()) as { addresses?: unknown }
    const addresses = Array.isArray(answer.addresses) ? answer.addresses : []
    for (const address of addresses) {
      const found = /^\/ip4\/([\d.]+)\/tcp\/(\d+)\/ws(?:\/|$)/.exec(String(address))
      if (found?.[1] && !loopback.test(found[1])) return `http://${found[1]}:${found[2]}${location.pathname}`
    }
  } catch {
    // Only a convenience is lost: the node's own status says when the relay is down.
  }
  return undefined
}
