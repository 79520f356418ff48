// Directories for one test, named after the process that made them: a run that was killed cannot remove its own, so the next one does.
import { mkdtemp, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

const OURS = /^shoal-[a-z]+-(\d+)-[^-]+$/

/** Makes one. @param {string} kind what it is for, as a word of small letters */
export function createTemporary(kind) {
  return mkdtemp(join(tmpdir(), `shoal-${kind}-${process.pid}-`))
}

/** Removes those of processes that are gone. */
export async function sweepTemporary() {
  const left = (await readdir(tmpdir())).filter((name) => {
    const pid = Number(OURS.exec(name)?.[1])
    return pid > 0 && !isAlive(pid)
  })
  await Promise.all(left.map((name) => rm(join(tmpdir(), name), { recursive: true, force: true, maxRetries: 3 })))
  return left.length
}

function isAlive(pid) {
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    // It runs, as somebody else's.
    return error.code === 'EPERM'
  }
}
