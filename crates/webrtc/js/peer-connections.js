// The page's half of Shoal's WebRTC: owns the RTCPeerConnections, which exist only in a window, for a node that runs elsewhere.
//
// The node sends commands over a port, each with the number of a peer connection that the node chose; reports go back.
// Data channels do not pass through here: each is transferred to the node in the very task that created it, because a browser
// refuses to transfer one that was ever used.
//
//   command                                        reports
//   { op: 'initiate', id, peer, configuration }    description, candidate…, ready
//   { op: 'respond', id, peer, configuration, text } description, candidate…, ready
//   { op: 'dial', id, peer, configuration }        opened (channel 0), description, candidate…, ready
//   { op: 'answer', id, text, offer }              -
//   { op: 'candidate', id, text }                  -
//   { op: 'open', id }                             opened (channel) | refused (text)
//   { op: 'statistics', id, request }              statistics
//   { op: 'close', id }                            -
//   { op: 'trace', peer, request }                 trace (attempts)
//   whenever it happens                            channel (channel), state (text), closed (text)
//
// 'dial' is for a server that is asked for no answer: the node makes both descriptions of the offer that it is told, and `offer` is the one to set.
//
// Every peer connection ends with exactly one `closed` report, unless the node closed it itself.

import { statisticsOf, summarise, Traces } from './traces.js'

/** What the other end of a `localPorts()` port looks like; the part of a MessagePort that is used. */
class LocalPort {
  onmessage = null
  #other
  #closed = false

  connect (other) {
    this.#other = other
  }

  // In a microtask: not inside the sender's call, yet before the browser's next task, which could bring a channel's first message.
  postMessage (message) {
    const other = this.#other
    queueMicrotask(() => {
      if (!other.#closed) other.onmessage?.({ data: message })
    })
  }

  close () {
    this.#closed = true
    this.onmessage = null
  }
}

/** Two connected ports for a node that runs in the page itself: nothing is cloned or transferred. */
export function localPorts () {
  const ports = [new LocalPort(), new LocalPort()]
  ports[0].connect(ports[1])
  ports[1].connect(ports[0])
  return ports
}

/** All peer connections of one node. */
export class PeerConnections {
  #port
  #peers = new Map()
  #traces

  constructor (port, traces = new Traces()) {
    this.#port = port
    this.#traces = traces
    port.onmessage = ({ data }) => this.#receive(data)
  }

  /** How many peer connections are open. */
  get size () {
    return this.#peers.size
  }

  /** Closes every peer connection now, so that the peers notice at once. Call it on `pagehide`: otherwise they notice after half a minute. */
  closeAll () {
    for (const peer of [...this.#peers.values()]) peer.end('the page closed its connections')
  }

  #receive (command) {
    const { op, id } = command
    if (op === 'trace') {
      this.#trace(command)
      return
    }
    if (op === 'initiate' || op === 'respond' || op === 'dial') {
      const trace = this.#traces.begin(command.peer, op === 'respond' ? 'listener' : 'dialler', command.configuration?.iceServers?.length ?? 0)
      const peer = new Peer(command.peer, trace, (report, transfer) => this.#post({ ...report, id }, transfer), () => this.#peers.delete(id))
      this.#peers.set(id, peer)
      peer.start(command)
      return
    }
    const peer = this.#peers.get(id)
    if (peer !== undefined) {
      peer.receive(command)
    } else if (op === 'statistics') {
      this.#post({ event: 'statistics', id, request: command.request })
    }
  }

  async #trace ({ peer, request }) {
    await Promise.all([...this.#peers.values()].filter(({ name }) => name === peer).map(one => one.look()))
    this.#post({ event: 'trace', request, attempts: this.#traces.of(peer) })
  }

  #post (report, transfer = []) {
    this.#port.postMessage(report, transfer)
  }
}

// js-libp2p waits for the channel's close event, to be sure that its number is free on both sides. A peer that never
// confirms must not hold the connection back.
const INIT_CLOSE_MILLISECONDS = 1000

// The specification's label of the channel that exists only to make the browser gather candidates.
const INIT = 'init'

/** One peer connection. */
class Peer {
  /** The PeerId of the other side. */
  name
  #trace
  #post
  #forget
  #connection
  // The channel that makes the initiator's browser gather candidates; closed once it has opened.
  #init
  #initiator = false
  #ready = false
  #ended = false
  // Descriptions and candidates are applied one after the other, in the order of the commands.
  #applied = Promise.resolve()

  constructor (name, trace, post, forget) {
    this.name = name
    this.#trace = trace
    this.#post = post
    this.#forget = forget
  }

  start ({ op, configuration, text }) {
    try {
      // All that is offered goes over one socket.
      this.#connection = new RTCPeerConnection(op === 'initiate' ? { ...configuration, bundlePolicy: 'max-bundle' } : configuration)
      this.#watch()
      if (op === 'initiate') {
        enlargeSocket(this.#connection)
        this.#openInit()
      }
      // The number that the specification gives it. Both sides open it, so that none is told of it.
      if (op === 'dial') this.#hand('opened', this.#connection.createDataChannel('', { negotiated: true, id: 0 }))
    } catch (error) {
      this.end(typeof RTCPeerConnection === 'undefined' ? 'this browser has no WebRTC' : describe(error))
      return
    }
    this.#apply(async () => {
      const connection = this.#connection
      if (op === 'respond') await connection.setRemoteDescription({ type: 'offer', sdp: text })
      const description = op === 'respond' ? await connection.createAnswer() : await connection.createOffer()
      if (this.#ended) return
      // Reported before it is applied, so that it holds no candidates and every candidate is reported after it.
      this.#post({ event: 'description', text: description.sdp })
      this.#trace.step('described')
      if (op === 'dial') return
      if (op === 'respond') this.#trace.step('answered')
      await connection.setLocalDescription(description)
      this.#watchTransports()
    })
  }

  receive ({ op, text, offer, request }) {
    switch (op) {
      case 'answer':
        this.#apply(async () => {
          if (offer !== undefined) await this.#connection.setLocalDescription({ type: 'offer', sdp: offer })
          await this.#connection?.setRemoteDescription({ type: 'answer', sdp: text })
          this.#trace.step('answered')
          this.#watchTransports()
        })
        break
      case 'candidate':
        // A bad candidate is skipped: another may do.
        this.#apply(() => this.#addCandidate(text).catch(() => {}))
        break
      case 'open':
        this.#open()
        break
      case 'statistics':
        this.#statistics(request)
        break
      case 'close':
        this.end()
        break
    }
  }

  /** Closes the peer connection and lets go of it; tells the node why, unless it asked for it. */
  end (reason) {
    if (this.#ended) return
    this.#ended = true
    this.#trace.end(reason)
    const connection = this.#connection
    if (connection !== undefined) {
      // A closed connection has no statistics: they are asked for before, and come after.
      if (!this.#ready) this.#trace.look(connection)
      connection.oniceconnectionstatechange = null
      connection.onicecandidateerror = null
      connection.onconnectionstatechange = null
      connection.onicecandidate = null
      connection.ondatachannel = null
      if (connection.sctp) {
        connection.sctp.onstatechange = null
        if (connection.sctp.transport) connection.sctp.transport.onstatechange = null
      }
      if (this.#init !== undefined) this.#init.onopen = this.#init.onclose = null
      connection.close()
    }
    this.#connection = this.#init = undefined
    this.#forget()
    if (reason !== undefined) this.#post({ event: 'closed', text: reason })
  }

  #apply (step) {
    this.#applied = this.#applied
      .then(() => this.#ended ? undefined : step())
      .catch(error => this.end(describe(error)))
  }

  /** Brings the trace up to date. */
  async look () {
    if (this.#connection !== undefined) await this.#trace.look(this.#connection)
  }

  async #addCandidate (text) {
    const candidate = JSON.parse(text)
    this.#trace.candidate('remote', String(candidate?.candidate))
    await this.#connection.addIceCandidate(candidate)
  }

  #watch () {
    const connection = this.#connection
    connection.onicecandidate = ({ candidate }) => {
      if (candidate === null || candidate.candidate === '' || connection.connectionState === 'connected') return
      this.#trace.candidate('local', candidate.candidate)
      this.#post({ event: 'candidate', text: JSON.stringify(candidate.toJSON()) })
    }
    connection.onicecandidateerror = ({ url, errorCode, errorText }) => this.#trace.problem(`${url}: ${errorCode} ${errorText}`)
    connection.oniceconnectionstatechange = () => this.#trace.state(connection.iceConnectionState)
    connection.ondatachannel = ({ channel }) => {
      // The initiator closes it.
      if (channel.label === INIT) return
      this.#hand('channel', channel)
    }
    connection.onconnectionstatechange = () => {
      const state = connection.connectionState
      if (state === 'failed' || state === 'closed') {
        this.end(`the connection ${state}`)
        return
      }
      this.#post({ event: 'state', text: state })
      this.#watchTransports()
      // An initiator is ready once `init` has closed again.
      if (state === 'connected' && !this.#initiator) this.#becomeReady()
    }
  }

  // A peer that leaves ends its DTLS session at once, long before ICE finds it silent.
  #watchTransports () {
    const sctp = this.#connection?.sctp
    if (!sctp) return
    const check = () => {
      if (sctp.state === 'closed' || sctp.transport?.state === 'closed' || sctp.transport?.state === 'failed') {
        this.end('the peer closed the connection')
      }
    }
    sctp.onstatechange = check
    if (sctp.transport) sctp.transport.onstatechange = check
  }

  #openInit () {
    const init = this.#connection.createDataChannel(INIT)
    this.#init = init
    this.#initiator = true
    init.onopen = () => {
      init.onclose = () => this.#becomeReady()
      init.close()
      setTimeout(() => this.#becomeReady(), INIT_CLOSE_MILLISECONDS)
    }
  }

  #becomeReady () {
    if (this.#ready || this.#ended) return
    this.#ready = true
    this.#trace.step('ready')
    this.#post({ event: 'ready' })
  }

  #open () {
    try {
      // The specification wants the empty label. Throws when the browser has no channel left: 1,023 in Firefox.
      this.#hand('opened', this.#connection.createDataChannel(''))
    } catch (error) {
      this.#post({ event: 'refused', text: describe(error) })
    }
  }

  #hand (event, channel) {
    try {
      this.#post({ event, channel }, [channel])
    } catch (error) {
      channel.close()
      this.end(`this browser does not give data channels to workers: ${describe(error)}`)
    }
  }

  async #statistics (request) {
    this.#post({ event: 'statistics', request, ...summarise(await statisticsOf(this.#connection)) })
  }
}

/**
 * Gives the connection's socket room, on both sides. For one that carries channels alone Chromium asks the system for 64 KiB, which hold fewer than 60 packets, and
 * what comes while the thread that empties it waits for a processor is lost; for one that may carry video it asks for 1 MiB. So the offer has a place for
 * video: it is inactive, nothing is ever sent there, and no camera is asked for. A browser without video does without.
 */
function enlargeSocket (connection) {
  try {
    const video = connection.addTransceiver('video', { direction: 'inactive' })
    const { codecs } = RTCRtpReceiver.getCapabilities('video')
    // One codec, as all of them are 3 kB more that go through the relay. Not in Firefox, whose VP8 has parameters: 153 offers one in a way that Chromium cannot read.
    const vp8 = codecs.find(({ mimeType, sdpFmtpLine }) => mimeType === 'video/VP8' && sdpFmtpLine === undefined)
    if (vp8 !== undefined) video.setCodecPreferences([vp8])
  } catch {}
}

function describe (error) {
  return error instanceof Error ? `${error.name}: ${error.message}` : String(error)
}
