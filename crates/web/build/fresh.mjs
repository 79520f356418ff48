// Whether something must be built again: by the contents of what it is made from, not by dates, which a checkout changes.
import { createHash } from 'node:crypto'
import { existsSync } from 'node:fs'
import { mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { join, relative } from 'node:path'
import { root, target } from './paths.mjs'

/** Directories that are made, not written. */
const MADE = new Set(['node_modules', 'dist', 'pkg', 'target', '.astro', 'tests', 'benches', 'examples'])

/**
 * Does the work only when an input or an output changed since it was last done.
 * @param {string} name Under which the last state is remembered.
 * @param {string[]} inputs Files and directories that the result is made from.
 * @param {string[]} outputs Files that must exist afterwards.
 * @param {() => Promise<void>} work
 * @param {string} [also] What else the result depends on, such as a compiler's version.
 * @returns {Promise<boolean>} Whether there was work to do.
 */
export async function unlessFresh(name, inputs, outputs, work, also = '') {
  const mark = join(target, 'shoal', `${name}.sha256`)
  const digest = await digestOf(inputs, also)
  const before = existsSync(mark) ? await readFile(mark, 'utf8') : undefined
  if (before === `${digest} ${root}` && outputs.every((output) => existsSync(output))) return false
  await rm(mark, { force: true })
  await work()
  for (const output of outputs) if (!existsSync(output)) throw new Error(`${name}: ${relative(root, output)} was not made`)
  await mkdir(join(target, 'shoal'), { recursive: true })
  await writeFile(mark, `${digest} ${root}`)
  return true
}

async function digestOf(paths, also) {
  const hash = createHash('sha256').update(also)
  for (const path of paths) {
    for (const file of await filesOf(path)) {
      hash.update(`\n${relative(root, file)}\n`).update(await readFile(file))
    }
  }
  return hash.digest('hex')
}

async function filesOf(path) {
  let entries
  try {
    entries = await readdir(path, { withFileTypes: true })
  } catch (error) {
    if (error.code === 'ENOTDIR') return [path]
    if (error.code === 'ENOENT') return []
    throw error
  }
  const found = []
  for (const entry of entries.sort((a, b) => (a.name < b.name ? -1 : 1))) {
    if (entry.isDirectory() && !MADE.has(entry.name)) found.push(...(await filesOf(join(path, entry.name))))
    else if (entry.isFile()) found.push(join(path, entry.name))
  }
  return found
}
