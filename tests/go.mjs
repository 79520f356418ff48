// Programs in Go that tests run against: built once, from the Go module proxy, at the versions of a go.mod and go.sum beside the test.
import { stat } from 'node:fs/promises'
import { basename, join } from 'node:path'
import { target } from '../crates/web/build/paths.mjs'
import { run, tryCapture } from '../crates/web/build/process.mjs'
import { clock } from '../crates/web/build/steps.mjs'

/**
 * Builds those that are not built yet.
 * @param {string} what their name, for people
 * @param {string} module_ the folder with go.mod
 * @param {string[]} packages the last part of each is its program's name; one that begins with `./` is the test's own
 * @returns {Promise<string[] | undefined>} the programs' paths; nothing where there is no Go, which is said
 */
export async function ensureGoPrograms(what, module_, packages) {
  if ((await tryCapture('go', ['version'])) === undefined) {
    // In CI it would be a mistake that nobody sees.
    if (process.env.CI) throw new Error(`there is no Go here, with which ${what} is built: install it`)
    console.error(`\n!!! NOT TESTED AGAINST ${what.toUpperCase()}: there is no Go here to build it. Install Go (https://go.dev/dl) and run again.\n`)
    return undefined
  }
  const time = async (path) => (await stat(path).catch(() => undefined))?.mtimeMs ?? 0
  const asked = Math.max(await time(join(module_, 'go.mod')), await time(join(module_, 'go.sum')))
  const programs = []
  for (const name of packages) {
    const program = join(target, basename(name))
    programs.push(program)
    const own = name.startsWith('./') ? await time(join(module_, name, 'main.go')) : 0
    if ((await time(program)) > Math.max(asked, own)) continue
    const began = Date.now()
    console.log(`building ${basename(name)} (once) …`)
    await run('go', ['build', '-mod=readonly', '-trimpath', '-ldflags=-s -w', '-o', program, name], { cwd: module_ })
    console.log(`${basename(name)} is built, ${clock(began)}`)
  }
  return programs
}
