/** Numbers as people say them. */

const units = ['bytes', 'kB', 'MB', 'GB', 'TB']

/** A number of bytes: `1 byte`, `834 bytes`, `1.4 MB`, `23 MB`. Decimal units, three digits at most. */
export function size(bytes: number): string {
  if (bytes === 1) return '1 byte'
  let value = bytes
  let unit = 0
  while (value >= 999.5 && unit < units.length - 1) {
    value /= 1000
    unit += 1
  }
  const digits = unit === 0 || value >= 99.95 ? 0 : 1
  return `${value.toFixed(digits)} ${units[unit]}`
}

/** How far: `1.4 of 23 MB`, or only the bytes while the whole is not known. */
export function sizeOf(bytes: number, total: number | undefined): string {
  if (total === undefined) return size(bytes)
  const [whole, unit] = size(total).split(' ')
  const [now, nowUnit] = size(bytes).split(' ')
  return unit === nowUnit ? `${now} of ${whole} ${unit}` : `${now} ${nowUnit} of ${whole} ${unit}`
}

/** A time that passed: `0.4 s`, `12 s`, `3 min`. */
export function seconds(value: number): string {
  if (value < 9.95) return `${value.toFixed(1)} s`
  return value < 100 ? `${Math.round(value)} s` : `${Math.round(value / 60)} min`
}

/** A time that is left, coarse enough not to jitter. */
export function timeLeft(seconds: number): string {
  if (seconds < 2) return 'almost there'
  if (seconds < 60) return `${Math.ceil(seconds / (seconds < 15 ? 1 : 5)) * (seconds < 15 ? 1 : 5)} s left`
  if (seconds < 3600) return `about ${Math.round(seconds / 60)} min left`
  return `about ${(seconds / 3600).toFixed(1)} h left`
}

/** Whole percent done, never 100 before it is. */
export function percent(bytes: number, total: number | undefined): number {
  if (total === undefined) return 0
  if (bytes >= total) return 100
  return Math.min(99, Math.floor((100 * bytes) / total))
}

/** Speed over the last few seconds, from cumulative byte counts. */
export class Speed {
  private readonly span: number
  private readonly samples: { at: number; bytes: number }[] = []
  /** @param span milliseconds that the average looks back on */
  constructor(span = 3_000) {
    this.span = span
  }

  /** Adds a count taken at `at` milliseconds and returns bytes per second, once two counts are far enough apart to say. */
  add(at: number, bytes: number): number | undefined {
    this.samples.push({ at, bytes })
    while (this.samples.length > 2 && at - (this.samples[0]?.at ?? at) > this.span) this.samples.shift()
    const first = this.samples[0]
    if (!first || at - first.at < 200) return undefined
    return Math.max(0, ((bytes - first.bytes) * 1000) / (at - first.at))
  }

  /** Forgets the past: after a break the old speed says nothing. */
  reset(): void {
    this.samples.length = 0
  }
}
