// Facts about the machine, and how much of it a browser uses: figures mean little without them.
import { readdir, readFile } from 'node:fs/promises'
import { cpus, loadavg, release, totalmem } from 'node:os'
import { tryCapture } from '../../crates/web/build/process.mjs'
import { findBrowser } from '../browsers.mjs'

/** Clock ticks a second in /proc, which Linux fixes for programs. */
const TICKS = 100

/** What ran this. */
export async function machine() {
  const [{ model } = { model: 'unknown' }] = cpus()
  return {
    processor: model,
    cores: cpus().length,
    memoryGiB: Math.round(totalmem() / 2 ** 30),
    system: `${process.platform} ${release()}`,
    load: loadavg()[0],
    browser: (await tryCapture(findBrowser('chromium'), ['--version']))?.trim(),
    date: new Date().toISOString(),
  }
}

/** Seconds of processor time that a process and all below it have used; `undefined` where the system does not tell. */
export async function processorTime(roots) {
  let names
  try {
    names = (await readdir('/proc')).filter((name) => /^\d+$/.test(name))
  } catch {
    return undefined
  }
  const processes = new Map()
  for (const name of names) {
    try {
      const text = await readFile(`/proc/${name}/stat`, 'utf8')
      const fields = text.slice(text.lastIndexOf(')') + 2).split(' ')
      processes.set(Number(name), { parent: Number(fields[1]), ticks: Number(fields[11]) + Number(fields[12]) })
    } catch {
      // It ended meanwhile.
    }
  }
  const belongs = (id) => id !== undefined && (roots.includes(id) || belongs(processes.get(id)?.parent))
  let ticks = 0
  for (const [id, process] of processes) if (belongs(id)) ticks += process.ticks
  return ticks / TICKS
}
