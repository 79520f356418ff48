// What became of the last attempts at a direct connection to each peer: for whoever asks why there is none.
//
// Kept by the page, because it alone sees the candidates, the pairs and the states of ICE. Addresses are not kept, only their kinds.

/** Attempts remembered of one peer, and peers remembered: enough to compare with the time when it worked. */
const ATTEMPTS = 4
const PEERS = 64
/** States and problems remembered of one attempt; a path that comes and goes could make any number. */
const NOTES = 16
/** Milliseconds in which a browser tells statistics: it takes a few. */
const STATISTICS = 1_000

/** One attempt: plain data in `record`, with times in milliseconds from its beginning. */
class Trace {
  #began = performance.now()

  constructor (role, iceServers) {
    this.record = {
      role,
      startedAt: Date.now(),
      iceServers,
      steps: {},
      candidates: { local: {}, remote: {} },
      states: [],
      problems: [],
      pairs: {}
    }
  }

  /** A step is done: `described`, `answered`, `checking`, `connected`, `ready`. The first time counts. */
  step (name) {
    this.record.steps[name] ??= this.#elapsed()
  }

  /** This side found, or the peer told, a candidate, in the form of RFC 8839: `candidate:… typ host …`. */
  candidate (side, text) {
    const type = / typ (host|srflx|prflx|relay)\b/.exec(text)?.[1]
    if (type === undefined) return
    // A name under .local hides a host's address from everybody outside its network, and sometimes from those inside.
    const kind = type === 'host' && / [\w-]+\.local /i.test(text) ? 'mdns' : type
    const counts = this.record.candidates[side]
    counts[kind] = (counts[kind] ?? 0) + 1
  }

  /** ICE is in another state. */
  state (name) {
    if (this.record.states.length < NOTES) this.record.states.push(name)
    if (name === 'checking') this.step('checking')
    if (name === 'connected' || name === 'completed') this.step('connected')
  }

  /** Something went wrong that does not end the attempt: a STUN server that does not answer. */
  problem (text) {
    if (this.record.problems.length < NOTES) this.record.problems.push(text)
  }

  /** How the pairs of candidates stand, and which one is in use. */
  async look (connection) {
    const statistics = await statisticsOf(connection)
    if (statistics.size === 0) return
    const pairs = {}
    for (const { type, state } of statistics.values()) if (type === 'candidate-pair') pairs[state] = (pairs[state] ?? 0) + 1
    this.record.pairs = pairs
    const selected = summarise(statistics)
    if (selected.localCandidate) this.record.selected = selected
  }

  /** It is over; `undefined`: this node closed it. */
  end (reason) {
    this.record.ended ??= { after: this.#elapsed(), reason: reason ?? 'closed by this node' }
  }

  #elapsed () {
    return Math.round(10 * (performance.now() - this.#began)) / 10
  }
}

/** The traces of all peers. */
export class Traces {
  #peers = new Map()

  /** An attempt begins. */
  begin (peer, role, iceServers) {
    const trace = new Trace(role, iceServers)
    const traces = this.#peers.get(peer) ?? []
    // Set again, so that the map's order is that of use.
    this.#peers.delete(peer)
    this.#peers.set(peer, [...traces, trace].slice(-ATTEMPTS))
    if (this.#peers.size > PEERS) this.#peers.delete(this.#peers.keys().next().value)
    return trace
  }

  /** What is known of the attempts to reach a peer, the oldest first. */
  of (peer) {
    return (this.#peers.get(peer) ?? []).map(({ record }) => record)
  }
}

/**
 * The RTCStatsReport of a connection; an empty one where it has none. Firefox never answers for a connection that closes while it is asked, so
 * nobody waits for longer than a browser needs.
 */
export async function statisticsOf (connection) {
  let timer
  const late = new Promise((resolve) => { timer = setTimeout(resolve, STATISTICS, new Map()) })
  try {
    return await Promise.race([connection.getStats(), late])
  } catch {
    return new Map()
  } finally {
    clearTimeout(timer)
  }
}

/** What is worth knowing of RTCStatsReport: the pair of candidates in use. */
export function summarise (statistics) {
  const all = [...statistics.values()]
  const selected = all.find(({ type, selectedCandidatePairId }) => type === 'transport' && selectedCandidatePairId)
  const pair = statistics.get(selected?.selectedCandidatePairId) ??
    all.find(({ type, selected, nominated, state }) => type === 'candidate-pair' && (selected || (nominated && state === 'succeeded')))
  if (pair === undefined) return {}
  return {
    roundTrip: pair.currentRoundTripTime,
    sent: pair.bytesSent,
    received: pair.bytesReceived,
    localCandidate: statistics.get(pair.localCandidateId)?.candidateType,
    remoteCandidate: statistics.get(pair.remoteCandidateId)?.candidateType
  }
}
