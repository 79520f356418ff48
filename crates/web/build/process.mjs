// Runs other programs. A program that fails becomes an error that names it; none outlives us.
import { spawn } from 'node:child_process'

/** Programs that still run, to be ended when we end. */
const running = new Set()

for (const [signal, number] of [['SIGINT', 2], ['SIGTERM', 15], ['SIGHUP', 1]]) {
  process.on(signal, () => {
    for (const child of running) child.kill('SIGTERM')
    // Whoever handles the signal itself (the relay's stop, a test's cleanup) is given its turn first.
    if (process.listenerCount(signal) === 1) process.exit(128 + number)
  })
}
process.on('exit', () => {
  for (const child of running) child.kill('SIGKILL')
})

/**
 * Starts a program and returns at once.
 * @param {string} program
 * @param {string[]} args
 * @param {import('node:child_process').SpawnOptions} [options]
 */
export function start(program, args, options = {}) {
  const child = spawn(program, args, { stdio: 'inherit', ...options, env: { ...process.env, ...options.env } })
  running.add(child)
  child.once('exit', () => running.delete(child))
  child.once('error', () => running.delete(child))
  return child
}

/** How a program ended: its exit code, or a number above 128 for a signal. */
function ended(child, program) {
  return new Promise((resolve, reject) => {
    child.once('error', (error) => reject(new Error(`${program} could not be started: ${error.message}`, { cause: error })))
    child.once('close', (code, signal) => resolve(signal ? 128 : (code ?? 1)))
  })
}

/** Runs a program to its end, its output on our terminal. Rejects unless it exits with 0. */
export async function run(program, args, options = {}) {
  const code = await ended(start(program, args, options), program)
  if (code !== 0) throw new Error(`${program} ${args.join(' ')} failed (exit code ${code})`)
}

/** Runs a program to its end and returns what it printed. Rejects unless it exits with 0, with the end of its output. */
export async function capture(program, args, options = {}) {
  const child = start(program, args, { ...options, stdio: ['ignore', 'pipe', options.quiet === false ? 'inherit' : 'pipe'] })
  let output = ''
  let errors = ''
  child.stdout.setEncoding('utf8').on('data', (text) => (output += text))
  child.stderr?.setEncoding('utf8').on('data', (text) => (errors += text))
  const code = await ended(child, program)
  if (code !== 0) throw new Error(`${program} ${args.join(' ')} failed (exit code ${code})\n${(errors + output).slice(-4_000)}`)
  return output
}

/** The same, or `undefined` where the program is missing or fails. */
export async function tryCapture(program, args, options) {
  try {
    return await capture(program, args, options)
  } catch {
    return undefined
  }
}
