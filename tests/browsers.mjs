// Real browsers, one process and one profile each: two users are two processes, never two tabs.
//
// puppeteer-core drives both (CDP for Chromium, WebDriver BiDi for Firefox). Its own downloads are not used: the browsers are the system's.
import { execFile } from 'node:child_process'
import { existsSync } from 'node:fs'
import { rm, writeFile } from 'node:fs/promises'
import { delimiter, join } from 'node:path'
import { promisify } from 'node:util'
import { install, mayInstall } from './debian.mjs'
import { createTemporary } from './temporary.mjs'

/** @typedef {'chromium' | 'firefox'} Kind */

/** The browsers that everything is shown in. */
export const KINDS = /** @type {Kind[]} */ (['chromium', 'firefox'])

const PROGRAMS = {
  chromium: ['chromium', 'chromium-browser', 'google-chrome', 'google-chrome-stable'],
  firefox: ['firefox-esr', 'firefox'],
}
const DEBIAN_PACKAGES = { chromium: 'chromium', firefox: 'firefox-esr' }
/** An environment variable that names the program, where it is not on the PATH. */
const VARIABLES = { chromium: 'CHROMIUM', firefox: 'FIREFOX' }

const CHROMIUM_FLAGS = [
  '--no-first-run',
  '--disable-gpu',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
  // A tab that is not in front is as awake as one that is: the tests look at two at once.
  '--disable-background-timer-throttling',
  '--disable-backgrounding-occluded-windows',
  '--disable-renderer-backgrounding',
]
const FIREFOX_PREFERENCES = {
  'app.update.enabled': false,
  'browser.shell.checkDefaultBrowser': false,
  'datareporting.policy.dataSubmissionEnabled': false,
  'dom.min_background_timeout_value': 4,
  'extensions.update.enabled': false,
  'network.captive-portal-service.enabled': false,
  'network.connectivity-service.enabled': false,
  'toolkit.telemetry.enabled': false,
}

/** The program of a browser, or `undefined` where it is not installed. @param {Kind} kind */
export function findBrowser(kind) {
  const named = process.env[VARIABLES[kind]]
  if (named) {
    if (!existsSync(named)) throw new Error(`${VARIABLES[kind]}=${named}: there is no such file`)
    return named
  }
  for (const program of PROGRAMS[kind]) {
    for (const directory of (process.env.PATH ?? '').split(delimiter)) {
      if (directory && existsSync(join(directory, program))) return join(directory, program)
    }
  }
  return undefined
}

/** Makes sure that the browsers are there: installs Debian's packages when it may, else says what to install. */
export async function ensureBrowsers(kinds = KINDS) {
  const missing = kinds.filter((kind) => !findBrowser(kind))
  if (missing.length === 0) return
  const packages = missing.map((kind) => DEBIAN_PACKAGES[kind])
  const remedy = `install ${packages.join(' and ')} (on Debian: apt-get install ${packages.join(' ')}), or set ${missing.map((kind) => VARIABLES[kind]).join(' and ')} to the program`
  if (!mayInstall()) throw new Error(`${missing.join(' and ')} not found: ${remedy}`)
  console.log(`▸ browsers: installing ${packages.join(' and ')} with apt-get`)
  try {
    await install(packages)
  } catch (error) {
    throw new Error(`${error.message}; ${remedy}`, { cause: error })
  }
}

/** A directory for a browser's profile. `remove()` deletes it once the browser that used it is closed. */
export async function createProfile() {
  const path = await createTemporary('profile')
  return { path, remove: () => rm(path, { recursive: true, force: true, maxRetries: 10, retryDelay: 100 }) }
}

/**
 * Starts a browser. Close it with `close()` of what is returned, which also deletes the profile unless one was given.
 *
 * @param {Kind} kind
 * @param {object} [options]
 * @param {{ path: string }} [options.profile] A profile to use again, by `createProfile()`. Default: a fresh one.
 * @param {string[]} [options.args] Further command line arguments.
 * @param {Record<string, unknown>} [options.preferences] Further preferences of Firefox.
 * @param {Record<string, string>} [options.env] Further environment variables.
 * @param {Record<string, string>} [options.files] Files to put into the profile, by name.
 */
export async function launch(kind, { profile, args = [], preferences = {}, env = {}, files = {} } = {}) {
  const { default: puppeteer } = await import('puppeteer-core')
  const executablePath = findBrowser(kind)
  if (!executablePath) throw new Error(`${kind} not found: npm test installs it or says what to install`)
  const own = profile ? undefined : await createProfile()
  const userDataDir = (profile ?? own).path
  for (const [name, text] of Object.entries(files)) await writeFile(join(userDataDir, name), text)
  // Chromium's sandbox refuses to run as root, which is what a container is.
  const unsandboxed = process.getuid?.() === 0 ? ['--no-sandbox'] : []
  const options = {
    browser: kind === 'firefox' ? 'firefox' : 'chrome',
    executablePath,
    userDataDir,
    headless: true,
    env: { ...process.env, ...env },
    // A transfer under load may keep a page busy for long; the tests have their own time limits.
    protocolTimeout: 600_000,
    ...(kind === 'firefox'
      ? { args, extraPrefsFirefox: { ...FIREFOX_PREFERENCES, ...preferences } }
      : { args: [...CHROMIUM_FLAGS, ...unsandboxed, ...args] }),
  }
  const browser = await puppeteer.launch(options).catch((error) => {
    // Seen once in some thousand starts: the process is there and says nothing for half a minute. Puppeteer has ended it by now.
    if (error.name !== 'TimeoutError') throw error
    console.log(`  ${kind} did not start in time: once more`)
    return puppeteer.launch(options)
  })
  return {
    kind,
    browser,
    /** A new tab. */
    newPage: () => browser.newPage(),
    /** Ends the browser as a person would. */
    async close() {
      await browser.close()
      await own?.remove()
    },
    /** Stops every process of it as a device's sleep would: nothing runs, and its connections are the kernel's alone. `resume` wakes them. */
    suspend: () => signal(browser, 'SIGSTOP'),
    resume: () => signal(browser, 'SIGCONT'),
    /** Ends it as a power cut would. */
    async kill() {
      const process = browser.process()
      const gone = new Promise((resolve) => process.once('exit', resolve))
      process.kill('SIGKILL')
      await gone
      await own?.remove()
    },
  }
}

/** Sends a signal to all processes of a browser. */
async function signal(browser, name) {
  for (const pid of await processes(browser)) process.kill(pid, name)
}

/** The numbers of all processes of a browser. @param {import('puppeteer-core').Browser} browser */
export async function processes(browser) {
  const root = browser.process().pid
  return [root, ...(await memory(root)).keys()]
}

/** Bytes by which a tab makes its own process stand out, and how much of that must be seen. */
const BALLAST = 300_000_000
const SEEN = 200_000_000

/**
 * Kills the process of a tab, with its worker, as a fault of the browser or the system would. No protocol tells which process that is: it is the one that
 * grows when the tab takes memory.
 * @param {import('puppeteer-core').Page} page
 */
export async function killProcess(page) {
  const root = page.browser().process().pid
  const before = await memory(root)
  await page.evaluate((size) => {
    window.ballast = new Uint8Array(size).fill(1)
  }, BALLAST)
  const [[pid, grown] = []] = [...(await memory(root))].map(([pid, size]) => [pid, size - (before.get(pid) ?? 0)]).sort(([, a], [, b]) => b - a)
  if (pid === undefined || grown < SEEN) throw new Error(`no process of the browser has grown by ${BALLAST} bytes: ${pid} by ${grown}`)
  process.kill(pid, 'SIGKILL')
}

/** Bytes in memory of each process below this one. @param {number} root */
async function memory(root) {
  const { stdout } = await promisify(execFile)('ps', ['-A', '-o', 'pid=,ppid=,rss='])
  const rows = stdout.trim().split('\n').map((line) => line.trim().split(/\s+/).map(Number))
  const family = new Map([[root, 0]])
  // A child may stand before its parent: look until nobody new is found.
  for (let known = 0; known < family.size; ) {
    known = family.size
    for (const [pid, parent, kilobytes] of rows) if (family.has(parent)) family.set(pid, kilobytes * 1_024)
  }
  family.delete(root)
  return family
}
