/** Errors in plain words, each with what to do. */

import type { ShoalErrorName } from 'shoal'

const sentences: Record<ShoalErrorName, string> = {
  InvalidConfig: 'The node was given a setting it does not accept.',
  InvalidCid: 'This link does not name a content correctly. Ask for the link again and copy the whole of it.',
  InvalidPeer: 'This link does not name its sender correctly. Ask for the link again and copy the whole of it.',
  InvalidLink: 'This link is not complete. Ask for it again and copy the whole of it.',
  InvalidRange: 'A part was asked for that this file does not have.',
  InvalidSource: 'This cannot be shared: it is not a file or a text.',
  Unsupported: 'This browser cannot do that. A current Chrome, Edge, Firefox or Safari can.',
  NotFound: 'Nobody who is connected has this. Ask the sender to open their Shoal tab, then try again.',
  PeerUnreachable: 'The other browser could not be reached. Ask whether its Shoal tab is still open, then try again.',
  RelayLimit: 'No direct way to the other browser was found, and the way around, through somebody else’s server, has a limit that is reached. Try again in an hour, or in another network; what arrived is kept.',
  Declined: 'That device takes nothing from this one now. “Nearby devices” must be on there, too; then try again.',
  StorageFull: 'There is no room left for this in the browser’s storage. Free some space on the device or clear data of other sites, then try again; what arrived is kept.',
  StorageFailed: 'The browser refused to store the data. Private windows often do: try a normal window.',
  TooLarge: 'This is larger than what can be handled in one piece.',
  Stopped: 'The node in this tab has stopped. Reload the page; everything stored is still here.',
  Internal: 'Something went wrong inside Shoal. Try again; if it stays so, reload the page.',
  AbortError: 'Stopped.',
}

/** Errors whose own message says more than our sentence: it names the field or the number. */
const detailed = new Set<string>(['InvalidConfig', 'InvalidCid', 'InvalidPeer', 'InvalidLink', 'InvalidSource', 'StorageFull', 'TooLarge', 'Unsupported', 'Internal'])

/** What a person should read when `error` happened. */
export function explain(error: unknown): string {
  if (!(error instanceof Error)) return `${sentences.Internal} (${String(error)})`
  const sentence = sentences[error.name as ShoalErrorName]
  if (sentence === undefined) return `${sentences.Internal} (${error.message || error.name})`
  return detailed.has(error.name) && error.message ? `${sentence} (${error.message})` : sentence
}

/** Whether the person stopped it: then nothing went wrong. */
export function isCancel(error: unknown): boolean {
  return error instanceof Error && error.name === 'AbortError'
}
