// Runs the relay that was built, and knows when it is ready.
import { createServer } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { relayServer, site } from './paths.mjs'
import { start } from './process.mjs'

/** Milliseconds until a relay must answer. It needs some tens; a machine that is busy building, more. */
const READY_WITHIN = 20_000
/** Milliseconds for its clean shutdown before it is killed. */
const STOP_WITHIN = 10_000
/** Characters of its output that are kept for an error message. */
const KEEP = 8_000

/** Whether a TCP port of this machine is free. */
export function isFree(port, host = '0.0.0.0') {
  return new Promise((resolve) => {
    const server = createServer()
    server.once('error', () => resolve(false))
    server.listen({ port, host, exclusive: true }, () => server.close(() => resolve(true)))
  })
}

/** A free TCP port of the system's choice. */
export function freePort(host = '127.0.0.1') {
  return new Promise((resolve, reject) => {
    const server = createServer()
    server.once('error', reject)
    server.listen({ port: 0, host }, () => {
      const { port } = server.address()
      server.close(() => resolve(port))
    })
  })
}

/**
 * Starts a relay and waits until it answers.
 * @param {object} options
 * @param {number} options.port
 * @param {string} options.dataDirectory Where it keeps its identity.
 * @param {string} [options.host] The address it listens at. Default: every address of this machine.
 * @param {string} [options.webRoot] The files it serves. Default: the built web app.
 * @param {string[]} [options.args] Further arguments.
 * @param {boolean} [options.quiet] Whether its log is only kept for an error message. Default: shown.
 * @param {string[]} [options.prefix] What runs it, if not this process alone: a program and its arguments, before the relay's own.
 * @param {string} [options.reachedAt] The address by which it is reached from here. Default: loopback.
 */
export async function startRelay({ port, dataDirectory, host = '0.0.0.0', webRoot = site, args = [], quiet = false, prefix = [], reachedAt = '127.0.0.1' }) {
  const [program, ...words] = [...prefix, relayServer, '--listen', `${host}:${port}`, '--web-root', webRoot, '--data-dir', dataDirectory, ...args]
  const child = start(program, words, {
    stdio: ['ignore', 'pipe', 'pipe'],
    // Its own "ready" is left out: the line that names the URL is ours.
    env: { SHOAL_LOG: process.env.SHOAL_LOG ?? 'warn,libp2p_kad=error' },
  })
  let output = ''
  const keep = (text) => (output = (output + text).slice(-KEEP))
  child.stdout.setEncoding('utf8').on('data', keep)
  child.stderr.setEncoding('utf8').on('data', (text) => {
    keep(text)
    if (!quiet) process.stderr.write(text)
  })
  const exited = new Promise((resolve) => {
    child.once('error', (error) => resolve(`it could not be started: ${error.message}`))
    child.once('exit', (code, signal) => resolve(`it ended with ${signal ?? `exit code ${code}`}`))
  })
  const url = `http://${reachedAt}:${port}`
  const waiting = new AbortController()
  const ready = await Promise.race([answers(url, waiting.signal), exited])
  waiting.abort()
  if (ready !== true) {
    child.kill('SIGKILL')
    throw new Error(`the relay at ${host}:${port} is not ready: ${ready}\n${output}`)
  }
  return {
    url,
    pid: child.pid,
    /** Resolves, with how, when the relay has ended. */
    exited,
    /** Ends it cleanly. */
    async stop() {
      child.kill('SIGTERM')
      const timer = setTimeout(() => child.kill('SIGKILL'), STOP_WITHIN)
      const how = await exited
      clearTimeout(timer)
      return how
    },
    /** Ends it as a power cut would. */
    async kill() {
      child.kill('SIGKILL')
      await exited
    },
    /** Makes it answer nothing while its connections stand, as behind a network that was cut; `resume` ends that. */
    pause: () => child.kill('SIGSTOP'),
    resume: () => child.kill('SIGCONT'),
    /** What it says of itself: traffic, reservations, circuits. */
    async health() {
      const response = await fetch(`${url}/healthz`, { signal: AbortSignal.timeout(5_000) })
      if (!response.ok) throw new Error(`${url}/healthz answered ${response.status}`)
      return response.json()
    },
    /** What it has printed lately. */
    output: () => output,
  }
}

async function answers(url, signal) {
  const deadline = Date.now() + READY_WITHIN
  let reason = 'no answer'
  while (Date.now() < deadline && !signal.aborted) {
    try {
      const response = await fetch(`${url}/healthz`, { signal: AbortSignal.timeout(2_000) })
      if (response.ok) return true
      reason = `/healthz answered ${response.status}`
    } catch (error) {
      reason = String(error.cause?.message ?? error.message)
    }
    await sleep(50)
  }
  return `${reason} within ${READY_WITHIN / 1_000} s`
}
