/**
 * The shoal in the drop zone: a few dozen fish that keep together, follow a slow round, and gather where a file is held over the page.
 *
 * Reynolds' three rules (separate, align, stay together) plus a pull towards a target. Thirty steps a second, none while the page is
 * hidden, the shoal is out of sight, or a transfer wants the processor. One still picture where motion is not wanted.
 */

interface Fish {
  x: number
  y: number
  dx: number
  dy: number
  size: number
}

/** Enough to read as a shoal; the rules compare every pair, so twice as many cost four times the work. */
const count = 46
const frame = 1000 / 30
const shape = 'M-8-3.2-4.5-.7C-2.6-2.7-.1-3.6 2.5-3.5 5-3.4 7.1-1.7 8 0 7.1 1.7 5 3.4 2.5 3.5-.1 3.6-2.6 2.7-4.5.7L-8 3.2C-7.1 1.2-7.1-1.2-8-3.2z'

/** The swimming shoal on one canvas. */
export class Swim {
  private readonly canvas: HTMLCanvasElement
  private readonly text: HTMLElement
  private readonly fish: Fish[]
  private readonly outline = new Path2D(shape)
  private readonly still = matchMedia('(prefers-reduced-motion: reduce)')
  private width = 0
  private height = 0
  private time = 0
  private last = 0
  private running = false
  private visible = true
  private busy = false
  private lure: { x: number; y: number } | undefined
  private ink = ''
  private words = { left: 0, right: 0, top: 0, bottom: 0 }

  /** @param text what stands in front of the canvas and has to stay readable */
  constructor(canvas: HTMLCanvasElement, text: HTMLElement) {
    this.canvas = canvas
    this.text = text
    this.fish = Array.from({ length: count }, (_, index) => {
      const angle = index * 2.39996
      const reach = 0.2 + 0.55 * Math.sqrt(index / count)
      return { x: 0.5 + 0.5 * reach * Math.cos(angle), y: 0.5 + 0.45 * reach * Math.sin(angle), dx: 1, dy: 0.1, size: 0.9 + 0.6 * ((index * 7) % 10) / 10 }
    })
    new ResizeObserver(() => this.measure()).observe(canvas)
    new IntersectionObserver((entries) => this.wake((this.visible = entries.some((entry) => entry.isIntersecting)))).observe(canvas)
    document.addEventListener('visibilitychange', () => this.wake(this.visible))
    this.still.addEventListener('change', () => this.measure())
    matchMedia('(prefers-color-scheme: dark)').addEventListener('change', () => this.measure())
  }

  /** Draws the shoal towards a point of the window while a file is held there. */
  gather(point: { x: number; y: number } | undefined): void {
    const box = this.canvas.getBoundingClientRect()
    this.lure = point && { x: point.x - box.left, y: point.y - box.top }
  }

  /** Rests while a transfer runs: the processor is better used there. */
  rest(busy: boolean): void {
    this.busy = busy
    this.wake(this.visible)
  }

  private measure(): void {
    const { clientWidth, clientHeight } = this.canvas
    if (clientWidth === 0 || clientHeight === 0) return
    const scale = Math.min(2, devicePixelRatio)
    const first = this.width === 0
    const [across, down] = first ? [clientWidth, clientHeight] : [clientWidth / this.width, clientHeight / this.height]
    for (const fish of this.fish) {
      fish.x *= across
      fish.y *= down
    }
    this.width = clientWidth
    this.height = clientHeight
    this.canvas.width = clientWidth * scale
    this.canvas.height = clientHeight * scale
    this.canvas.getContext('2d')?.scale(scale, scale)
    this.ink = getComputedStyle(this.canvas).color
    const box = this.canvas.getBoundingClientRect()
    const words = this.text.getBoundingClientRect()
    this.words = { left: words.left - box.left, right: words.right - box.left, top: words.top - box.top, bottom: words.bottom - box.top }
    if (first) for (let turn = 0; turn < 90; turn++) this.step()
    this.draw()
    this.wake(this.visible)
  }

  private wake(visible: boolean): void {
    const run = visible && !this.busy && !document.hidden && !this.still.matches && this.width > 0
    if (run === this.running) return
    this.running = run
    if (run) requestAnimationFrame(this.tick)
  }

  private readonly tick = (now: number): void => {
    if (!this.running) return
    if (now - this.last >= frame - 2) {
      this.last = now
      this.step()
      this.draw()
    }
    requestAnimationFrame(this.tick)
  }

  private step(): void {
    this.time += 1
    const round = this.time / 130
    const target = this.lure ?? {
      x: this.width * (0.5 + 0.36 * Math.cos(round)),
      y: this.height * (0.5 + 0.38 * Math.sin(round) + 0.06 * Math.sin(3.1 * round)),
    }
    for (const fish of this.fish) {
      let [pushX, pushY, alignX, alignY, centreX, centreY, near] = [0, 0, 0, 0, 0, 0, 0]
      for (const other of this.fish) {
        const awayX = fish.x - other.x
        const awayY = fish.y - other.y
        const distance = Math.hypot(awayX, awayY)
        if (other === fish || distance > 70 || distance === 0) continue
        near += 1
        alignX += other.dx
        alignY += other.dy
        centreX += other.x
        centreY += other.y
        if (distance < 24) {
          pushX += awayX / distance
          pushY += awayY / distance
        }
      }
      const pull = this.lure ? 0.0016 : 0.0005
      fish.dx += 0.09 * pushX + pull * (target.x - fish.x)
      fish.dy += 0.09 * pushY + pull * (target.y - fish.y)
      if (near > 0) {
        fish.dx += 0.035 * (alignX / near - fish.dx) + 0.0006 * (centreX / near - fish.x)
        fish.dy += 0.035 * (alignY / near - fish.dy) + 0.0006 * (centreY / near - fish.y)
      }
      const speed = Math.hypot(fish.dx, fish.dy) || 1
      const wanted = Math.min(this.lure ? 3.4 : 1.5, Math.max(0.7, speed))
      fish.dx *= wanted / speed
      fish.dy *= wanted / speed
      fish.x += fish.dx
      fish.y += fish.dy
    }
  }

  /** Whether a fish is behind the words, where it fades so that they stay readable. */
  private under(fish: Fish): boolean {
    const { left, right, top, bottom } = this.words
    return fish.x > left && fish.x < right && fish.y > top && fish.y < bottom
  }

  private draw(): void {
    const pen = this.canvas.getContext('2d')
    if (!pen) return
    pen.clearRect(0, 0, this.width, this.height)
    pen.fillStyle = this.ink
    for (const fish of this.fish) {
      pen.save()
      pen.globalAlpha = this.under(fish) ? 0.16 : 0.6
      pen.translate(fish.x, fish.y)
      pen.rotate(Math.atan2(fish.dy, fish.dx))
      pen.scale(fish.size, fish.size)
      pen.fill(this.outline)
      pen.restore()
    }
  }
}
