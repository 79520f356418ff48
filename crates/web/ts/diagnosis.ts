/**
 * Why a link is direct or not: from what the node and the page noted to steps with their durations, and to plain sentences.
 *
 * Pure: facts in, a {@link Diagnosis} out. The facts are not interpreted anywhere else.
 */
import type { Attempt } from '../../webrtc/js/traces.js'
import type { ConnectionInfo, Diagnosis, DiagnosisStep, DirectAttempt, Happening, RelayStatus, SessionInfo } from './types.ts'

/** Everything that is known. */
export interface Facts {
  peer: string
  connections: ConnectionInfo[]
  /** Of the way to the peer, the oldest first. */
  history: Happening[]
  relays: (RelayStatus & { history: Happening[] })[]
  session?: SessionInfo | undefined
  /** At a direct connection, the oldest first. */
  attempts: Attempt[]
  /** Whether the settings leave it in. */
  webrtc: boolean
}

/** Makes sense of the facts. */
export function diagnose({ peer, connections, history, relays, session, attempts, webrtc }: Facts): Diagnosis {
  const own = connections.filter((connection) => connection.peer === peer)
  const path = own.some((connection) => connection.path === 'direct') ? 'direct' : own.length > 0 ? 'relayed' : 'none'
  // A peer that is a relay needs neither circuit nor WebRTC.
  const isRelay = own.some(leadsToRelay)
  const attempt = attempts.at(-1)
  const steps = [...relays.flatMap(relaySteps), ...(isRelay ? [] : [circuitStep(history, own, attempt), ...(attempt ? directSteps(attempt) : [])])]
  const reasons = path === 'direct' ? [] : [...new Set([...causes(path, history, relays, attempt, webrtc), ...udp(relays), ...between(own)])]
  return {
    peer,
    path,
    summary: summary(path, own, attempt, reasons),
    reasons,
    steps,
    relays: relays.map(({ history: _, ...status }) => status),
    connections: own,
    ...(session ? { session } : {}),
    attempts: attempts as DirectAttempt[],
    history,
  }
}

/**
 * A diagnosis as lines of text, for a log or a terminal.
 * @example console.log(describeDiagnosis(await node.diagnose(peerId)))
 */
export function describeDiagnosis({ peer, summary, reasons, steps }: Diagnosis): string {
  const marks = { done: '✓', failed: '✗', running: '…' }
  const line = ({ name, result, duration, detail }: DiagnosisStep) => `  ${marks[result]} ${name}${duration === undefined ? '' : ` (${Math.round(duration)} ms)`}: ${detail}`
  return [`${peer}: ${summary}`, ...reasons.map((reason) => `  - ${reason}`), ...steps.map(line)].join('\n')
}

/** What leads to relays, as people call it. */
const CARRIERS: Partial<Record<ConnectionInfo['transport'], string>> = { websocket: 'WebSocket', webtransport: 'WebTransport', 'webrtc-direct': 'WebRTC-direct' }

/** Whether what is at its other end is a relay. */
function leadsToRelay({ transport }: ConnectionInfo): boolean {
  return CARRIERS[transport] !== undefined
}

function relaySteps({ address, state, problem, transport, udpBlocked, history }: Facts['relays'][number]): DiagnosisStep[] {
  const connected = state === 'connected' || state === 'reserved'
  const opened = lastOf(history, ({ what }) => what === 'opened')
  const asked = opened && lastOf(history, ({ what, at }) => what === 'dialling' && at <= opened.at)
  const reserved = opened && history.find(({ what, at }) => what === 'reserved' && at >= opened.at)
  return [
    step('relay', connected ? 'done' : problem === undefined ? 'running' : 'failed', connected ? `${address}${carrier(transport, udpBlocked)}` : `${address}: ${problem ?? 'being connected'}`, span(asked, opened)),
    ...(connected
      ? [step('reservation', state === 'reserved' ? 'done' : 'running', state === 'reserved' ? 'others can reach this page through it' : 'asked for', span(opened, reserved))]
      : []),
  ]
}

function carrier(transport: RelayStatus['transport'], udpBlocked: RelayStatus['udpBlocked']): string {
  return transport !== undefined && transport !== 'websocket' ? `, by ${CARRIERS[transport]}` : udpBlocked ? ', by WebSocket: WebTransport to it got no answer' : ''
}

function circuitStep(history: Happening[], own: ConnectionInfo[], attempt: Attempt | undefined): DiagnosisStep {
  const opened = lastOf(history, ({ what, transport }) => what === 'opened' && transport === 'circuit')
  const failed = lastOf(history, ({ what }) => what === 'failed')
  const began = lastOf(history, ({ what }) => what === 'dialling' || what === 'waiting')
  if (opened && (!failed || failed.at <= opened.at || own.length > 0 || attempt)) {
    const asked = lastOf(history, ({ what, at }) => what === 'dialling' && at <= opened.at)
    return step('circuit', 'done', opened.detail, span(asked, opened))
  }
  if (failed) return step('circuit', 'failed', plain(failed.detail), span(began, failed))
  if (began) return step('circuit', 'running', began.what === 'waiting' ? 'waits for a relay' : began.detail)
  return step('circuit', 'running', 'nobody has tried to reach this peer yet')
}

function directSteps({ role, iceServers, steps, candidates, states, pairs, selected, ended, problems }: Attempt): DiagnosisStep[] {
  const over = ended !== undefined && steps.ready === undefined
  const result = (done: unknown): DiagnosisStep['result'] => (done !== undefined ? 'done' : over ? 'failed' : 'running')
  const between = (from: number | undefined, to: number | undefined) => (from === undefined || to === undefined ? undefined : to - from)
  const count = (side: Record<string, number>) => Object.entries(side).map(([kind, number]) => `${number} ${kind}`).join(', ') || 'none'
  const asked = iceServers === 0 ? ' No STUN or TURN server is configured.' : problems.length > 0 ? ` ${problems.join('; ')}.` : ''
  const both = [candidates.local, candidates.remote].every((side) => Object.keys(side).length > 0)
  return [
    step('signalling', result(steps.answered), role === 'listener' ? 'offer answered' : steps.answered === undefined ? 'offer made, no answer yet' : 'offer made and answered', steps.answered),
    step('candidates', both || steps.connected !== undefined ? 'done' : over ? 'failed' : 'running', `here: ${count(candidates.local)}; there: ${count(candidates.remote)}.${asked}`),
    step('ice', result(steps.connected), [states.join(' → ') || 'not begun', ...(Object.keys(pairs).length > 0 ? [`pairs: ${count(pairs)}`] : [])].join('; '), between(steps.checking ?? steps.answered, steps.connected)),
    step(
      'direct',
      result(steps.ready),
      ended ? ended.reason : selected ? `${selected.localCandidate} to ${selected.remoteCandidate ?? 'unknown'}` : steps.ready === undefined ? 'being made' : 'in use',
      between(0, steps.ready),
    ),
  ]
}

/** What stands in the way, the most telling first, each with what would help. */
function causes(path: Diagnosis['path'], history: Happening[], relays: Facts['relays'], attempt: Attempt | undefined, webrtc: boolean): string[] {
  if (relays.length === 0) return ['No relay is configured, and without one no other browser can be found: name one in `bootstrap`.']
  const connected = relays.filter(({ state }) => state === 'connected' || state === 'reserved')
  if (connected.length === 0 && path === 'none') {
    return ['No relay can be reached, and without one no other browser can be found.', ...relays.flatMap(({ address, problem }) => (problem ? [`${address}: ${problem}.`] : []))]
  }
  const last = lastOf(history, ({ what }) => what !== 'closed')
  const failed = last?.what === 'failed' ? last.detail : ''
  if (path === 'none' && failed !== '') {
    if (/NoReservation|no reservation/i.test(failed)) return ['The peer is not at our relay: its tab is closed or asleep, it is offline, or it uses another relay (then its link names that one).']
    if (/ResourceLimit|resource limit/i.test(failed)) return ['The relay refuses: it, or the peer, has as many circuits as it allows. Try again later, or use another relay.']
    if (/PermissionDenied|permission denied/i.test(failed)) return ['The relay does not let this page through to that peer.']
    if (/limit|as many/i.test(failed)) return [`This node refuses to dial: ${plain(failed)}.`]
  }
  if (!attempt) {
    if (last === undefined) return ['Nobody has tried to reach this peer since the node started.']
    if (path === 'relayed' && !webrtc) return ['The settings leave WebRTC out (`transports`): everything goes through relays.']
    if (path === 'relayed') return ['No direct connection has been tried yet; it is made when something is fetched or `connect` is called.']
    return [failed === '' ? 'It is being dialled.' : `The last dial failed: ${plain(failed)}.`]
  }
  const { ended, steps, candidates } = attempt
  if (ended === undefined) return steps.ready === undefined ? ['A direct connection is being made.'] : []
  if (steps.ready !== undefined) return [`The direct connection ended: ${ended.reason}.`, ...(path === 'relayed' ? ['What runs goes on through the relay.'] : [])]
  if (/no WebRTC/i.test(ended.reason)) return ['This browser has no WebRTC, or an extension or policy turned it off: everything goes through the relay.']
  if (steps.answered === undefined) return [`The peer did not answer the offer: it may not speak WebRTC, or its page was busy or just closed (${ended.reason}).`]
  return iceCauses(attempt, candidates)
}

/** What was learnt of the network on the way to a relay. */
function udp(relays: Facts['relays']): string[] {
  const blocked = relays.some(({ udpBlocked }) => udpBlocked)
  return blocked ? ['A firewall of this network lets no UDP through: a relay answers by WebSocket and not by WebTransport. Direct connections need UDP, or a TURN server that takes TCP in `iceServers`.'] : []
}

/** Whose relay is in use, and what it may carry. */
function between(own: ConnectionInfo[]): string[] {
  const left = own.flatMap(({ relay }) => relay?.bytesLeft ?? [])
  if (left.length === 0 || left.length < own.length) return []
  const most = Math.max(...left)
  if (most > 0) return [`The relay between is not one that \`bootstrap\` leads to: ${most} bytes of content may still go that way within the hour (\`foreignRelayBytes\`).`]
  return [
    'As much went through the relay between, to which `bootstrap` does not lead, as `foreignRelayBytes` allows in an hour: content waits for a direct path. ' +
      'Raise it, name the relay in `bootstrap` if this site may use it, or a TURN server in `iceServers`.',
  ]
}

function iceCauses({ iceServers, problems }: Attempt, { local, remote }: Attempt['candidates']): string[] {
  const has = (side: Record<string, number>, ...kinds: string[]) => kinds.some((kind) => (side[kind] ?? 0) > 0)
  const none = (side: Record<string, number>) => Object.keys(side).length === 0
  const turn = 'A TURN server would carry it: that of a relay, where its operator offers one, or one in `iceServers`.'
  if (none(local)) return ['This browser found no address of its own to be reached at: it is offline, or an extension or policy keeps WebRTC from using the network. With `iceTransportPolicy: "relay"`, no TURN server has answered.']
  if (none(remote)) return ['The peer told no address to be reached at: its browser or its network keeps WebRTC from being used.']
  const said = ['Both sides tried every pair of their addresses, and no packet came through.']
  const global = [local, remote].map((side) => has(side, 'srflx', 'relay'))
  if (iceServers === 0 && !global[0]) {
    said.push('This side knows only addresses of its own network, as no STUN server is configured, and no relay offers one: two browsers of different networks cannot meet. Name one in `iceServers`.')
  } else if (!global[0]) {
    said.push(`The STUN or TURN servers did not tell this side its public address${problems.length > 0 ? ` (${problems.join('; ')})` : ''}: a firewall blocks UDP, or the servers are wrong.`)
  }
  if (!global[1]) said.push('The peer knows only addresses of its own network.')
  if (global[0] && global[1]) said.push(`Both know their public addresses, so a firewall, or a NAT that gives each peer another port, is between. ${has(local, 'relay') ? '' : turn}`.trim())
  if (has(local, 'mdns') || has(remote, 'mdns')) said.push('A browser hides its local address behind a name that only its own network can look up, and some networks do not pass such look-ups on.')
  return said
}

function summary(path: Diagnosis['path'], own: ConnectionInfo[], attempt: Attempt | undefined, reasons: string[]): string {
  if (path === 'direct') {
    const direct = own.find((connection) => connection.path === 'direct')
    const time = direct?.roundTripTime === undefined ? '' : `, ${direct.roundTripTime < 10 ? direct.roundTripTime.toFixed(1) : Math.round(direct.roundTripTime)} ms there and back`
    if (direct && leadsToRelay(direct)) return `Connected, by ${CARRIERS[direct.transport]}${time}: it is a relay.`
    const turn = attempt?.selected && [attempt.selected.localCandidate, attempt.selected.remoteCandidate].includes('relay')
    return turn ? `Connected by WebRTC through a TURN server${time}.` : `Connected directly, by WebRTC${time}.`
  }
  if (path === 'relayed') return 'Connected through a relay, encrypted from end to end.'
  return reasons[0] === undefined ? 'Not connected.' : `Not connected. ${reasons[0]}`
}

function step(name: DiagnosisStep['name'], result: DiagnosisStep['result'], detail: string, duration?: number): DiagnosisStep {
  return { name, result, detail, ...(duration !== undefined && { duration }) }
}

function span(from: Happening | undefined, to: Happening | undefined): number | undefined {
  return from && to && to.at >= from.at ? to.at - from.at : undefined
}

function lastOf(history: Happening[], matches: (happening: Happening) => boolean): Happening | undefined {
  return history.findLast(matches)
}

/** The end of libp2p's nested errors: the innermost says most. */
function plain(problem: string): string {
  const inner = problem.replace(/[\s)\]]+$/, '').split(/: (?=[^:]*$)/).at(-1) ?? problem
  return inner.replace(/\.$/, '').trim() || problem
}
