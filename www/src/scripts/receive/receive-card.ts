/** How something that arrives looks, as a function of its state. Knows nothing of the node. */

import type { FetchProgress } from 'shoal'
import { Course, type CourseState } from '../view/course.ts'
import { copyText } from '../view/copy.ts'
import { announce, Steps } from '../view/announce.ts'
import { seconds, size, sizeOf, timeLeft } from '../view/numbers.ts'
import { clone, part, svg, write } from '../view/part.ts'
import { shortPeer } from '../view/peer.ts'
import { Progress } from '../view/progress.ts'
import { iconByName } from './kind.ts'

/** Where a reception stands. */
export interface ReceiveState {
  /** `starting`: the node is not up yet. The others as the node reports them, or as the person decided. */
  phase: 'starting' | FetchProgress['phase'] | 'cancelled' | 'failed'
  name: string
  bytes: number
  total?: number
  /** What kind of content it is, once it is here. */
  words?: string
  /** PeerId of the sender, once known. */
  peer?: string
  path?: 'direct' | 'relayed'
  /** Bytes per second. */
  speed?: number
  /** How long the bytes took, in seconds, for `done`. */
  seconds?: number
  /** It was in this browser's own store. */
  here?: boolean
  /** This browser's PeerId, once known. */
  me?: string
  /** What went wrong, for `failed`. */
  problem?: string
}

/** What the person can do with it. */
export interface ReceiveActions {
  cancel(): void
  retry(): void
}

/** The finished content, ready to be shown and saved. */
export interface Arrival {
  element: HTMLElement | undefined
  icon: string
  /** Object URL to save from; undefined when `save` does it. */
  url: string | undefined
  save: (() => void) | undefined
  /** Text to copy, for notes. */
  text: string | undefined
}

const courseOf: Record<ReceiveState['phase'], CourseState> = {
  starting: 'idle',
  local: 'idle',
  finding: 'seeking',
  connecting: 'seeking',
  fetching: 'direct',
  waiting: 'waiting',
  done: 'done',
  cancelled: 'idle',
  failed: 'idle',
}

/** Where it looks different when the bytes come through the relay. */
const relayedCourseOf: Partial<Record<ReceiveState['phase'], CourseState>> = { fetching: 'relayed', done: 'done-relayed' }

/** The phase in plain words. */
export function phaseWords(state: ReceiveState): string {
  const sender = state.peer === undefined ? 'the sender' : shortPeer(state.peer)
  switch (state.phase) {
    case 'starting':
      return 'Starting up…'
    case 'local':
      return 'Looking whether it is already here…'
    case 'finding':
      return 'Looking for a browser that has it…'
    case 'connecting':
      return `Connecting to ${sender}…`
    case 'fetching':
      return state.path === 'relayed'
        ? `Receiving from ${sender}, through the relay, which cannot read it`
        : `Receiving directly from ${sender}`
    case 'waiting':
      return 'The sender’s tab seems to be closed. Keep this page open: it goes on by itself when they are back.'
    case 'done':
      return state.here
        ? 'This is already here, in this browser'
        : `Here, complete and verified${state.seconds === undefined ? '' : `, in ${seconds(state.seconds)}`}`
    case 'cancelled':
      return state.bytes > 0 ? 'Stopped. What arrived is kept.' : 'Stopped.'
    case 'failed':
      return 'This did not work'
  }
}

/** One card. */
export class ReceiveCard {
  readonly root = clone('receive-card-template')
  private readonly course = new Course({ peer: undefined }, { peer: undefined, label: 'you' })
  private readonly progress = new Progress(part(this.root, 'progress'))
  private readonly steps: Steps
  private phase: ReceiveState['phase'] | undefined

  constructor(name: string, actions: ReceiveActions) {
    this.steps = new Steps(name)
    part(this.root, 'course').append(this.course.root)
    part(this.root, 'cancel').addEventListener('click', actions.cancel)
    part(this.root, 'retry').addEventListener('click', actions.retry)
    this.icon(iconByName(name))
    this.show({ phase: 'starting', name, bytes: 0 })
  }

  /** Shows a state; called up to 20 times a second. */
  show(state: ReceiveState): void {
    const { phase } = state
    this.root.dataset['phase'] = phase
    write(part(this.root, 'name'), state.name)
    const facts = [state.total === undefined ? 'size not known yet' : size(state.total), ...(state.words === undefined ? [] : [state.words])]
    write(part(this.root, 'size'), facts.join(' · '))

    const line = state.path === 'relayed' ? (relayedCourseOf[phase] ?? courseOf[phase]) : courseOf[phase]
    this.course.show(
      line,
      { peer: state.peer, away: phase === 'waiting', ...(state.peer === undefined ? { label: 'sender' } : {}) },
      { peer: state.me, label: 'you' },
    )
    this.course.swim(state.bytes)
    const words = part(this.root, 'phase')
    words.dataset['phase'] = phase
    write(words, phaseWords(state))

    const percent = this.progress.show(state.bytes, state.total)
    const moving = phase === 'fetching'
    const left = moving && state.total !== undefined && state.speed ? timeLeft((state.total - state.bytes) / state.speed) : ''
    write(part(this.root, 'done'), state.bytes === 0 && state.total === undefined ? '' : sizeOf(state.bytes, state.total))
    write(part(this.root, 'speed'), moving && state.speed !== undefined ? `${size(state.speed)}/s` : '')
    write(part(this.root, 'left'), left)
    const path = part(this.root, 'path')
    const carries = phase === 'fetching' || (phase === 'done' && !state.here) ? state.path : undefined
    path.dataset['path'] = carries ?? ''
    write(path, carries ?? '')

    part(this.root, 'progress-block').hidden = state.here === true
    part(this.root, 'course').hidden = state.here === true
    part(this.root, 'cancel').hidden = ['done', 'cancelled', 'failed'].includes(phase)
    part(this.root, 'retry').hidden = !['cancelled', 'failed'].includes(phase)
    const problem = part(this.root, 'problem')
    problem.hidden = state.problem === undefined
    write(problem, state.problem ?? '')

    if (moving) this.steps.at(percent)
    if (phase !== this.phase && ['fetching', 'waiting', 'done', 'cancelled'].includes(phase)) announce(`${state.name}: ${phaseWords(state)}`)
    this.phase = phase
  }

  /** Shows the content itself. */
  arrived(arrival: Arrival, name: string): void {
    this.icon(arrival.icon)
    const content = part(this.root, 'content')
    content.hidden = arrival.element === undefined
    content.replaceChildren(...(arrival.element ? [arrival.element] : []))
    const download = part<HTMLAnchorElement>(this.root, 'download')
    download.hidden = false
    download.textContent = arrival.text === undefined ? `Save ${name}` : 'Save as a file'
    download.classList.toggle('primary', arrival.text === undefined)
    if (arrival.url !== undefined) {
      download.href = arrival.url
      download.download = name
    } else if (arrival.save) {
      const { save } = arrival
      download.href = '#'
      download.setAttribute('role', 'button')
      download.onclick = (event) => {
        event.preventDefault()
        save()
      }
    }
    const { text } = arrival
    const copy = part<HTMLButtonElement>(this.root, 'copy')
    copy.hidden = text === undefined
    copy.onclick = async () => {
      if (text !== undefined && (await copyText(text))) copy.textContent = 'Copied'
    }
  }

  private icon(name: string): void {
    part(this.root, 'thumb').replaceChildren(svg('svg', { viewBox: '0 0 24 24', class: 'icon', 'aria-hidden': 'true' }, svg('use', { href: `#icon-${name}` })))
  }
}
