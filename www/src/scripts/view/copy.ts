/** Copying text, also where the page has no Clipboard API (plain HTTP from another device). */

import { element } from './part.ts'

/** @returns whether the text is on the clipboard now. */
export async function copyText(text: string): Promise<boolean> {
  try {
    await navigator.clipboard.writeText(text)
    return true
  } catch {
    return copyBySelection(text)
  }
}

/** The way before the Clipboard API; needs no secure context. */
function copyBySelection(text: string): boolean {
  const before = document.activeElement
  const carrier = element('textarea', { readonly: '', class: 'visually-hidden', 'aria-hidden': 'true' })
  carrier.value = text
  document.body.append(carrier)
  carrier.select()
  const copied = document.execCommand('copy')
  carrier.remove()
  if (before instanceof HTMLElement) before.focus()
  return copied
}

/** Makes a button copy and say so on its own face for two seconds. When copying fails, `fallback` gets the text selected for the person to copy. */
export function copyButton(button: HTMLButtonElement, text: () => string, fallback?: HTMLInputElement): void {
  const label = button.textContent ?? ''
  let timer: ReturnType<typeof setTimeout> | undefined
  button.addEventListener('click', async () => {
    const copied = await copyText(text())
    if (!copied) {
      fallback?.focus()
      fallback?.select()
    }
    button.textContent = copied ? 'Copied' : 'Press Ctrl+C'
    button.classList.toggle('copied', copied)
    clearTimeout(timer)
    timer = setTimeout(() => {
      button.textContent = label
      button.classList.remove('copied')
    }, 2_000)
  })
}
