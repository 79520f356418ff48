/** Saving a content that is too large to keep in the page: read from the node's store again, straight to disk where the browser can. */

import type { ShoalNode } from 'shoal'
import { collect } from './collect.ts'

interface SaveFilePicker {
  showSaveFilePicker?: (options: { suggestedName: string }) => Promise<{ createWritable(): Promise<WritableStream<Uint8Array>> }>
}

/** @returns whether it was saved; false when the person closed the picker. */
export async function saveFromStore(node: ShoalNode, cid: string, name: string, signal: AbortSignal): Promise<boolean> {
  const { showSaveFilePicker } = window as SaveFilePicker
  if (showSaveFilePicker === undefined) {
    const { blob } = await collect(node.readContent(cid, { signal }), Infinity)
    if (blob) saveBlob(blob, name)
    return true
  }
  let file
  try {
    file = await showSaveFilePicker({ suggestedName: name })
  } catch {
    return false
  }
  await node.readContent(cid, { signal }).pipeTo(await file.createWritable(), { signal })
  return true
}

/** Hands a Blob to the browser's downloads. */
function saveBlob(blob: Blob, name: string): void {
  const link = document.createElement('a')
  link.href = URL.createObjectURL(blob)
  link.download = name
  link.click()
  // The download has the Blob from the click on; a minute is more than any browser needs to take it.
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000)
}
