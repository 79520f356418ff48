// The page's half of the measurement of ways to servers. It owns the peer connections of the node's transports, which run in the worker; and it has what a bare data
// channel reaches from this browser to the same machine.
import { PeerConnections } from '../../crates/webrtc/js/peer-connections.js'

/** Bytes of a message, and of what the browser may hold of those that were given to it. */
const MESSAGE = 64 * 1024
const WAITING = 256 * 1024

const worker = new Worker('./worker.js', { type: 'module' })

/** One call of the worker at a time; each has peer connections of its own. */
function call(method: string, ...args: unknown[]): Promise<number> {
  const { port1, port2 } = new MessageChannel()
  const connections = new PeerConnections(port1)
  return new Promise<number>((resolve, reject) => {
    worker.onmessage = ({ data }) => (data.error === undefined ? resolve(data.time) : reject(new Error(data.error)))
    worker.onerror = ({ message }) => reject(new Error(message))
    worker.postMessage({ method, args, port: port2 }, [port2])
  }).finally(() => connections.closeAll())
}

/** A bare data channel to whoever answers the offer. */
class BareChannel {
  #connection = new RTCPeerConnection()
  #channel = this.#connection.createDataChannel('')

  async offer(): Promise<string> {
    this.#channel.binaryType = 'arraybuffer'
    await this.#connection.setLocalDescription()
    return this.#connection.localDescription!.sdp
  }

  /** @returns milliseconds from the answer to an open channel: without the way of offer and answer */
  async open(answer: string): Promise<number> {
    const open = new Promise((resolve) => (this.#channel.onopen = resolve))
    const began = performance.now()
    await this.#connection.setRemoteDescription({ type: 'answer', sdp: answer })
    await open
    return performance.now() - began
  }

  /** @returns milliseconds for so many bytes there and then so many back */
  async move(up: number, down: number): Promise<number> {
    const channel = this.#channel
    const message = new Uint8Array(MESSAGE).fill(7)
    const began = performance.now()
    const header = new DataView(new ArrayBuffer(16))
    header.setBigUint64(0, BigInt(up))
    header.setBigUint64(8, BigInt(down))
    channel.send(header.buffer)
    let left = down
    const received = new Promise<void>((resolve) => {
      channel.onmessage = ({ data }) => {
        left -= data.byteLength
        if (left <= 0) resolve()
      }
    })
    channel.bufferedAmountLowThreshold = WAITING / 2
    for (let sent = 0; sent < up; sent += MESSAGE) {
      if (channel.bufferedAmount > WAITING) await new Promise((resolve) => channel.addEventListener('bufferedamountlow', resolve, { once: true }))
      channel.send(message.subarray(0, Math.min(MESSAGE, up - sent)))
    }
    await received
    const time = performance.now() - began
    this.#connection.close()
    return time
  }
}

Object.assign(window, { call, BareChannel })
