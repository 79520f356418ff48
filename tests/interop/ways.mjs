// A relay with all its ways in, and how each is recognized.
import { freePort } from '../../crates/web/build/relay.mjs'
import { createCertificate } from '../certificates.mjs'
import { createRelay } from '../relay.mjs'

/** By name: how the relay's address ends, before the hashes of certificates; as what the relay counts it; and what it counts as agreed on. */
export const WAYS = {
  'tcp with Noise': { address: /\/tcp\/\d+$/, counted: 'tcp', agreed: 'noiseYamux' },
  'tcp with TLS 1.3': { address: /\/tcp\/\d+$/, counted: 'tcp', agreed: 'tlsYamux' },
  'quic-v1': { address: /\/quic-v1$/, counted: 'quic', agreed: 'quic' },
  ws: { address: /\/tcp\/\d+\/ws$/, counted: 'webSocket', agreed: 'noiseYamux' },
  wss: { address: /\/(tls\/(sni\/localhost\/)?ws|wss)$/, counted: 'secureWebSocket', agreed: 'noiseYamux' },
  webtransport: { address: /\/webtransport(\/|$)/, counted: 'webTransport', agreed: 'webTransport' },
  'webrtc-direct': { address: /\/webrtc-direct(\/|$)/, counted: 'webRtcDirect', agreed: 'webRtcDirect' },
}

/**
 * Starts it.
 * @param {{ webRoot?: string, host?: string }} [options] `host`: the address at which it is dialled by WebRTC. Firefox makes no such connection over loopback.
 */
export async function createRelayOfAllWays({ webRoot, host = '127.0.0.1' } = {}) {
  const certificate = await createCertificate()
  // The port of `listen` over UDP is QUIC's.
  const ways = ['--tcp', 'same', '--tls', 'same', ...certificate.args, '--quic', 'same', '--webtransport', `127.0.0.1:${await freePort()}`, '--webrtc-direct', `${host}:${await freePort()}`]
  const relay = await createRelay({ webRoot, args: [...ways, '--circuit-bytes', '1000000000'] })
  const told = await (await fetch(`${relay.url.replace('localhost', '127.0.0.1')}/bootstrap`)).json()
  const addresses = [...told.addresses, ...told.nativeAddresses].filter((address) => ['/ip4/127.0.0.1/', `/ip4/${host}/`, '/dns/localhost/'].some((begin) => address.startsWith(begin)))
  return {
    ...relay,
    peer: told.peerId,
    certificate,
    /** Its address by one of the ways. */
    addressBy: (name) => addresses.find((address) => WAYS[name].address.test(address.split('/p2p/')[0])),
  }
}
