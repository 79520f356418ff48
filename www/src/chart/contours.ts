/**
 * The sea chart behind the page, drawn once at build time: depth contours of an imaginary shoal.
 *
 * A field of depths (a few smooth mounds on a rolling sea floor) is cut at fixed depths by marching squares; the segments are joined
 * into lines and smoothed into SVG paths. No randomness: the same chart on every build.
 */

/** A mound on the sea floor: where it is, how wide, how high. All in chart units. */
interface Mound {
  x: number
  y: number
  width: number
  height: number
  rise: number
}

type Point = readonly [x: number, y: number]

/** One depth contour. */
export interface Contour {
  /** Height of the sea floor that the line joins; higher is shallower. */
  level: number
  /** SVG path data; closed lines end in `Z`, so the path can also be filled. */
  path: string
}

/** A printed depth. */
export interface Sounding {
  x: number
  y: number
  metres: number
  decimetres: number
}

/** Size of the chart in its own units; the page scales it to cover the window. */
export const chartSize = { width: 1440, height: 1000 } as const

/** Grid step: small enough for smooth lines, large enough that the page's HTML stays light. */
const step = 20

/** Shallower than the last level lies the drop zone. */
const levels = [0.15, 0.27, 0.41, 0.57, 0.72]

const mounds: Mound[] = [
  { x: 720, y: 415, width: 520, height: 260, rise: 0.9 },
  { x: 500, y: 330, width: 200, height: 130, rise: 0.22 },
  { x: 960, y: 470, width: 210, height: 150, rise: 0.2 },
  { x: 90, y: 860, width: 240, height: 190, rise: 0.62 },
  { x: 1390, y: 130, width: 250, height: 170, rise: 0.58 },
  { x: 1230, y: 860, width: 190, height: 110, rise: 0.36 },
  { x: 160, y: 130, width: 170, height: 110, rise: 0.3 },
]

/** Height of the sea floor at a point: 0 is deep, 1 almost dry. Deep beyond the sheet, so that every contour closes there and can be filled. */
function floor(x: number, y: number): number {
  if (x < 0 || y < 0 || x > chartSize.width || y > chartSize.height) return -1
  const roll = 0.045 * Math.sin(x / 97 + y / 171) + 0.04 * Math.sin(y / 83 - x / 223) + 0.025 * Math.sin((x + y) / 47)
  return mounds.reduce((height, mound) => {
    const across = (x - mound.x) / mound.width
    const down = (y - mound.y) / mound.height
    return height + mound.rise * Math.exp(-(across * across + down * down))
  }, roll)
}

/** Where on a cell's edge the floor crosses the level. */
function crossing(a: Point, b: Point, level: number): Point {
  const from = floor(...a)
  const to = floor(...b)
  const share = from === to ? 0.5 : (level - from) / (to - from)
  return [a[0] + (b[0] - a[0]) * share, a[1] + (b[1] - a[1]) * share]
}

/** The line segments at one level, on a grid that reaches one step beyond the sheet. */
function segments(level: number): [Point, Point][] {
  const found: [Point, Point][] = []
  for (let y = -step; y < chartSize.height + step; y += step) {
    for (let x = -step; x < chartSize.width + step; x += step) {
      const corners: Point[] = [[x, y], [x + step, y], [x + step, y + step], [x, y + step]]
      const points = corners.flatMap((corner, index) => {
        const next = corners[(index + 1) % 4] as Point
        return floor(...corner) > level !== floor(...next) > level ? [crossing(corner, next, level)] : []
      })
      for (let index = 0; index + 1 < points.length; index += 2) found.push([points[index] as Point, points[index + 1] as Point])
    }
  }
  return found
}

const key = (point: Point) => `${point[0].toFixed(2)},${point[1].toFixed(2)}`

/** Joins segments end to end into lines. */
function join(parts: [Point, Point][]): Point[][] {
  const ends = new Map<string, Set<number>>()
  parts.forEach((part, index) => {
    for (const point of part) ends.set(key(point), (ends.get(key(point)) ?? new Set()).add(index))
  })
  const used = new Set<number>()
  const follow = (line: Point[]) => {
    for (;;) {
      const last = line[line.length - 1] as Point
      const next = [...(ends.get(key(last)) ?? [])].find((index) => !used.has(index))
      if (next === undefined) return
      used.add(next)
      const [a, b] = parts[next] as [Point, Point]
      line.push(key(a) === key(last) ? b : a)
    }
  }
  return parts.flatMap((part, index) => {
    if (used.has(index)) return []
    used.add(index)
    const line: Point[] = [...part]
    follow(line)
    line.reverse()
    follow(line)
    return [line]
  })
}

/** A smooth closed path: quadratic curves through the midpoints of a thinned line. */
function smooth(line: Point[]): string {
  const points = line.slice(1).filter((_, index) => index % 3 === 0)
  const after = (index: number) => points[(index + 1) % points.length] as Point
  const middle = (a: Point, b: Point): Point => [(a[0] + b[0]) / 2, (a[1] + b[1]) / 2]
  const write = (point: Point) => `${Math.round(point[0])} ${Math.round(point[1])}`
  const curves = points.map((_, index) => `Q${write(after(index))} ${write(middle(after(index), after(index + 1)))}`)
  return `M${write(middle(points[0] as Point, after(0)))}${curves.join('')}Z`
}

/** The chart's contours, deepest first. */
export function contours(): Contour[] {
  return levels.map((level) => ({ level, path: join(segments(level)).filter((line) => line.length > 6).map(smooth).join('') }))
}

/** Printed depths on a loose grid, left out on the shoal itself and under the page's head. */
export function soundings(): Sounding[] {
  const found: Sounding[] = []
  for (let row = 0; row < 7; row++) {
    for (let column = 0; column < 10; column++) {
      const x = 70 + column * 146 + (row % 2) * 62 + 17 * Math.sin(row * 5 + column * 3)
      const y = 70 + row * 148 + 23 * Math.sin(column * 4 + row)
      const height = floor(x, y)
      if (height > 0.66 || y < 120) continue
      const depth = Math.max(0.8, 31 * (1 - height) ** 2)
      found.push({ x: Math.round(x), y: Math.round(y), metres: Math.floor(depth), decimetres: Math.floor((depth % 1) * 10) })
    }
  }
  return found
}
