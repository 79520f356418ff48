/** The ways in: choose, drop anywhere, paste, write. Each ends as a named Blob. */

import { byId } from '../view/part.ts'
import type { Swim } from '../view/swim.ts'

/** Something to share. */
export interface Offer {
  name: string
  content: Blob
}

/** What the ways in lead to. */
export interface Intake {
  offer(offers: Offer[]): void
  /** Said when what was given cannot be shared. */
  refuse(sentence: string): void
  /** @returns whether the pasted text was a link and has been opened */
  openLink(text: string): boolean
}

const folder = 'A folder cannot be shared in one piece yet. Choose the files in it, or pack it into a ZIP archive first.'

const offers = (files: Iterable<File>): Offer[] => [...files].map((file) => ({ name: file.name, content: file }))

/** Connects all ways in. */
export function listen(intake: Intake, swim: Swim): void {
  chooser(intake)
  dropping(intake, swim)
  pasting(intake)
  writing(intake)
}

function chooser(intake: Intake): void {
  const input = byId<HTMLInputElement>('file-input')
  input.addEventListener('change', () => {
    intake.offer(offers(input.files ?? []))
    input.value = ''
  })
}

function dropping(intake: Intake, swim: Swim): void {
  const veil = byId('drop-veil')
  const holds = (event: DragEvent) => event.dataTransfer?.types.includes('Files') ?? false
  let depth = 0
  const over = (now: boolean) => {
    if (!now) depth = 0
    veil.classList.toggle('on', now)
    if (!now) swim.gather(undefined)
  }
  addEventListener('dragenter', (event) => {
    if (!holds(event)) return
    depth += 1
    over(true)
  })
  addEventListener('dragleave', (event) => {
    if (!holds(event)) return
    depth -= 1
    if (depth <= 0) over(false)
  })
  addEventListener('dragover', (event) => {
    if (!holds(event)) return
    event.preventDefault()
    swim.gather({ x: event.clientX, y: event.clientY })
  })
  addEventListener('drop', (event) => {
    if (!holds(event)) return
    event.preventDefault()
    over(false)
    const items = [...(event.dataTransfer?.items ?? [])]
    if (items.some((item) => item.webkitGetAsEntry?.()?.isDirectory)) intake.refuse(folder)
    else intake.offer(offers(event.dataTransfer?.files ?? []))
  })
}

function pasting(intake: Intake): void {
  addEventListener('paste', (event) => {
    const data = event.clipboardData
    if (data === null) return
    if (data.files.length > 0) {
      event.preventDefault()
      intake.offer(offers(data.files))
      return
    }
    const writing = event.target instanceof HTMLElement && event.target.matches('textarea, input')
    const text = data.getData('text/plain').trim()
    if (writing || text === '') return
    event.preventDefault()
    if (intake.openLink(text)) return
    const note = byId<HTMLTextAreaElement>('note-input')
    note.value = text
    note.dispatchEvent(new Event('input'))
    note.focus()
  })
}

function writing(intake: Intake): void {
  const note = byId<HTMLTextAreaElement>('note-input')
  const fit = () => {
    note.style.height = 'auto'
    note.style.height = `${Math.min(note.scrollHeight + 2, innerHeight / 2)}px`
  }
  const share = () => {
    const text = note.value
    if (text.trim() === '') {
      note.focus()
      return
    }
    intake.offer([{ name: noteName(text), content: new Blob([text], { type: 'text/plain' }) }])
    note.value = ''
    fit()
  }
  note.addEventListener('input', fit)
  note.addEventListener('keydown', (event) => {
    if (event.key === 'Enter' && (event.ctrlKey || event.metaKey)) share()
  })
  byId('note-form').addEventListener('submit', (event) => {
    event.preventDefault()
    share()
  })
}

/** A note is called after its first words. */
function noteName(text: string): string {
  const words = (text.trim().split('\n')[0] ?? '').replace(/[^\p{L}\p{N} -]/gu, '').trim().slice(0, 32).trim()
  return `${words || 'Note'}.txt`
}
