// A browser whose device has a clock that the test sets, while it runs: for nothing else does the time change.
import { execFile } from 'node:child_process'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { root } from '../crates/web/build/paths.mjs'

/**
 * @returns what to give `launch` as its environment, and `set(seconds)`: from now on the clock is fast by so much.
 */
export async function createClock() {
  const path = await mkdtemp(join(tmpdir(), 'shoal-clock-'))
  const [library, file] = [join(path, 'clock.so'), join(path, 'seconds')]
  await promisify(execFile)('cc', ['-shared', '-fPIC', '-O2', '-Wall', '-Werror', '-o', library, join(root, 'tests', 'clock.c'), '-ldl'])
  const set = (seconds) => {
    const bytes = Buffer.alloc(8)
    bytes.writeBigInt64LE(BigInt(seconds))
    // Written in place: the browser has the file in its memory.
    return writeFile(file, bytes, { flag: 'r+' })
  }
  await writeFile(file, Buffer.alloc(8))
  return { env: { LD_PRELOAD: library, SHOAL_CLOCK: file }, set, remove: () => rm(path, { recursive: true, force: true }) }
}
