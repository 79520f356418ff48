/** One attempt at a direct connection. Times are milliseconds from its beginning. */
export interface Attempt {
  /** Whether this side made the offer. */
  role: 'dialler' | 'listener'
  /** Unix milliseconds. */
  startedAt: number
  /** How many STUN and TURN servers were to be asked. */
  iceServers: number
  /** When each step was done: the own description made, the answer there, ICE checking, ICE connected, channels usable. */
  steps: { described?: number; answered?: number; checking?: number; connected?: number; ready?: number }
  /** How many candidates of each kind: `host`, `mdns` (a host whose address is hidden), `srflx`, `prflx`, `relay`. */
  candidates: { local: Record<string, number>; remote: Record<string, number> }
  /** The states of ICE, in order. */
  states: string[]
  /** STUN and TURN servers that did not answer. */
  problems: string[]
  /** How many pairs of candidates are in each state, when last looked at. */
  pairs: Record<string, number>
  /** The pair in use, when last looked at. */
  selected?: { localCandidate: string; remoteCandidate?: string; roundTrip?: number; sent?: number; received?: number }
  /** How it ended. */
  ended?: { after: number; reason: string }
}

/** What became of the last attempts at a direct connection to each peer. */
export class Traces {
  /** The attempts to reach a peer, the oldest first. */
  of(peer: string): Attempt[]
}
