// Helia in a page, as its documentation sets it up for browsers: bitswap over libp2p's WebRTC, blocks in IndexedDB.
import { noise } from '@chainsafe/libp2p-noise'
import { yamux } from '@chainsafe/libp2p-yamux'
import { withBitswap } from '@helia/bitswap'
import { withLibp2pLight } from '@helia/libp2p'
import { unixfs } from '@helia/unixfs'
import { circuitRelayTransport } from '@libp2p/circuit-relay-v2'
import { identify } from '@libp2p/identify'
import { webRTC } from '@libp2p/webrtc'
import { webSockets } from '@libp2p/websockets'
import { multiaddr } from '@multiformats/multiaddr'
import { IDBBlockstore } from 'blockstore-idb'
import { MemoryDatastore } from 'datastore-core'
import { createHeliaLight } from 'helia'
import { CID } from 'multiformats/cid'

async function start(relay: string) {
  const blockstore = new IDBBlockstore('blocks')
  await blockstore.open()
  const helia = await withBitswap(
    withLibp2pLight(createHeliaLight({ blockstore, datastore: new MemoryDatastore() }), {
      addresses: { listen: [`${relay}/p2p-circuit`, '/webrtc'] },
      transports: [webSockets(), webRTC(), circuitRelayTransport()],
      connectionEncrypters: [noise()],
      streamMuxers: [yamux()],
      connectionGater: { denyDialMultiaddr: () => false },
      services: { identify: identify() },
    }),
  ).start()
  const files = unixfs(helia)
  return {
    peerId: helia.libp2p.peerId.toString(),
    /** Whether others can dial us. */
    listening: () => helia.libp2p.getMultiaddrs().some((address) => address.toString().includes('/webrtc')),
    dial: async (address: string) => void (await helia.libp2p.dial(multiaddr(address))),
    async add(bytes: Uint8Array): Promise<string> {
      // Its fast path: `addBytes` cuts what it is given into far more pieces.
      const cid = await files.addByteStream(pieces(bytes))
      return cid.toString()
    },
    /** Reads a file to its end. @returns bytes, and milliseconds to the first of them and to the last */
    async fetch(cid: string) {
      const began = performance.now()
      let bytes = 0
      let firstByte = 0
      for await (const piece of files.cat(CID.parse(cid))) {
        if (bytes === 0) firstByte = performance.now() - began
        bytes += piece.byteLength
      }
      return { bytes, firstByte, time: performance.now() - began }
    },
    stop: () => helia.stop(),
  }
}

/** Each with bytes of its own, as a file's stream gives them: IndexedDB would keep all of a larger buffer with each block, and fails at that. */
async function* pieces(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  for (let start = 0; start < bytes.length; start += 1_048_576) yield bytes.slice(start, start + 1_048_576)
}

Object.assign(window, { startHelia: start })
