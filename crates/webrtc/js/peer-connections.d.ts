import type { Traces } from './traces.js'

/** The part of a `MessagePort` that a node and its `PeerConnections` use. */
export interface Port {
  postMessage(message: unknown, transfer: Transferable[]): void
  onmessage: ((event: MessageEvent) => void) | null
  close(): void
}

/**
 * The page's half of Shoal's WebRTC: owns the `RTCPeerConnection`s, which exist only in a window, for a node in a worker.
 *
 * ```ts
 * const { port1, port2 } = new MessageChannel()
 * const connections = new PeerConnections(port1)
 * worker.postMessage({ webrtc: port2 }, [port2])
 * addEventListener('pagehide', () => connections.closeAll())
 * ```
 */
export class PeerConnections {
  /** @param traces what is remembered of each attempt; by default it begins empty */
  constructor(port: Port, traces?: Traces)

  /** How many peer connections are open. */
  readonly size: number

  /**
   * Closes every peer connection now, so that the peers notice at once.
   * Call it on `pagehide`: otherwise they notice after half a minute.
   */
  closeAll(): void
}

/** Two connected ports for a node that runs in the page itself: nothing is cloned or transferred. */
export function localPorts(): [Port, Port]
