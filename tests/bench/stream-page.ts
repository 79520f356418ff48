// The page's half of the benchmark's own node: it owns the peer connections, the node runs in a worker, as in the package.
import { PeerConnections } from '../../crates/webrtc/js/peer-connections.js'

const worker = new Worker('./worker.js', { type: 'module' })
const { port1, port2 } = new MessageChannel()
new PeerConnections(port1)

/** One call at a time. */
function call(method: string, args: unknown[], transfer: Transferable[] = []) {
  return new Promise((resolve, reject) => {
    worker.onmessage = ({ data }) => (data.error === undefined ? resolve(data.value) : reject(new Error(data.error)))
    worker.onerror = ({ message }) => reject(new Error(message))
    worker.postMessage({ method, args }, transfer)
  })
}

Object.assign(window, {
  streamPeer: {
    start: (config: object) => call('start', [config, port2], [port2]),
    call: (method: string, ...args: unknown[]) => call(method, args),
  },
})
