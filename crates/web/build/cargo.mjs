// Cargo, with its progress as a number instead of hundreds of lines.
import { createInterface } from 'node:readline'
import { root } from './paths.mjs'
import { start, tryCapture } from './process.mjs'

/** Lines that only say that Cargo is at work, and advice that is not for whoever builds this. */
const ROUTINE =
  /^\s*(Blocking|Compiling|Checking|Fresh|Downloaded|Downloading|Finished|Installed|Installing|Locking|Replacing|Replaced|Updating|Adding)\b|^warning: be sure to add|^warning: the following packages contain code that will be rejected|^note: to see what the problems were/

/**
 * Runs Cargo. Warnings and errors are printed as they come; the rest becomes progress.
 * @param {string[]} args
 * @param {object} options
 * @param {(progress: string) => void} options.report
 * @param {string[]} [options.tree] Arguments for `cargo tree` that select the same packages, to know how many there are.
 * @param {NodeJS.ProcessEnv} [options.env]
 */
export async function cargo(args, { report, tree, env }) {
  const total = tree ? await packages(tree) : undefined
  const child = start('cargo', args, { cwd: root, env, stdio: ['ignore', 'inherit', 'pipe'] })
  const ended = new Promise((resolve, reject) => {
    child.once('error', reject)
    child.once('close', resolve)
  })
  let compiled = 0
  let downloaded = 0
  for await (const line of createInterface({ input: child.stderr })) {
    if (/^\s*(Compiling|Checking) /.test(line)) compiled += 1
    else if (/^\s*Downloaded /.test(line)) downloaded += 1
    else if (!ROUTINE.test(line) && line.trim() !== '') console.log(line)
    report(compiled > 0 || downloaded === 0 ? `${compiled}${total ? ` of at most ${total}` : ''} crates compiled` : `${downloaded} crates downloaded`)
  }
  const code = await ended
  if (code !== 0) throw new Error(`cargo ${args.join(' ')} failed (exit code ${code})`)
}

/** How many packages a build consists of. */
async function packages(args) {
  const listed = await tryCapture('cargo', ['tree', ...args, '--edges', 'normal,build', '--prefix', 'none', '--no-dedupe', '--format', '{p}'], { cwd: root })
  return listed ? new Set(listed.split('\n').filter(Boolean)).size : undefined
}
