// What of a suite's output says why something failed: said again at the end of a run, where it is looked for.

/** Lines kept of one suite. */
const MOST_LINES = 80
/** From such a line to such a line, inclusive: node's reporter (to the end), cargo, wasm-bindgen's runner and the laboratory of networks. */
const PARTS = [
  { begins: /^✖ failing tests:/, ends: /^(?!)/ },
  { begins: /^failures:$/, ends: /^test result: FAILED/ },
  { begins: /^\s*✗ |: no result$/, ends: /^/ },
]

/**
 * @param {string[]} lines What a program printed.
 * @returns {string[]} Those that say what failed and why, at most {@link MOST_LINES} and the number of those left out.
 */
export function failures(lines) {
  const found = []
  let inside
  for (const line of lines) {
    inside ??= PARTS.find(({ begins }) => begins.test(line))
    if (!inside) continue
    if (line.trim() !== '') found.push(line)
    if (inside.ends.test(line)) inside = undefined
  }
  const left = found.length - MOST_LINES
  return left > 0 ? [...found.slice(0, MOST_LINES), `(${left} lines more, above)`] : found
}
