// The page's half of streams/: it owns the peer connections, and each exchange has some of its own.
import { PeerConnections } from '../../crates/webrtc/js/peer-connections.js'

const worker = new Worker('./worker.js', { type: 'module' })

/** One at a time. */
function exchange(...args: unknown[]) {
  const { port1, port2 } = new MessageChannel()
  const connections = new PeerConnections(port1)
  return new Promise((resolve, reject) => {
    worker.onmessage = ({ data }) => (data.error === undefined ? resolve(data.value) : reject(new Error(data.error)))
    worker.onerror = ({ message }) => reject(new Error(message))
    worker.postMessage([port2, ...args], [port2])
  }).finally(() => connections.closeAll())
}

Object.assign(window, { exchange })
