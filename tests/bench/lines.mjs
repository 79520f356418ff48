// What a program prints, a line at a time.
import { createInterface } from 'node:readline'

/** What gives the next line. */
export function linesOf(child) {
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]()
  return async () => (await lines.next()).value
}
