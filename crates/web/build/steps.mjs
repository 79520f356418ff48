// What a person sees while they wait: each step says what it does, how far it is, and how long it took.

/** Milliseconds between two lines of a step that takes long. */
const REPORT_EVERY = 10_000

const began = Date.now()

/** Minutes and seconds since this process began. */
export function clock(since = began) {
  const seconds = Math.round((Date.now() - since) / 1_000)
  return `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, '0')}`
}

/**
 * Does one step of the work. Steps may run at the same time, so each line names its own.
 * @template T
 * @param {string} title What it does.
 * @param {(report: (progress: string) => void) => Promise<T>} work Calls `report` with how far it is, as often as it likes.
 * @returns {Promise<T>}
 */
export async function step(title, work) {
  const start = Date.now()
  let progress = ''
  console.log(`▸ ${title}`)
  const timer = setInterval(() => console.log(`  … ${title}: ${progress ? `${progress}, ` : ''}${clock(start)}`), REPORT_EVERY)
  try {
    const result = await work((text) => (progress = text))
    console.log(`✓ ${title} (${((Date.now() - start) / 1_000).toFixed(1)} s)`)
    return result
  } catch (error) {
    console.log(`✗ ${title} (${((Date.now() - start) / 1_000).toFixed(1)} s)`)
    throw error
  } finally {
    clearInterval(timer)
  }
}
