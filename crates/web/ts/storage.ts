/** Asks the browser to keep what was published. */

let asked = false

/**
 * Asks once in a page's life, after the first publication: only then is there something worth a question (Firefox shows one to the user), and Chromium
 * decides by how much the site is used. The answer shows in `status().storage.persistent`.
 */
export function keepStorage(): void {
  if (asked) return
  asked = true
  navigator.storage?.persist?.().catch(() => {}) // as if it had said no
}
