// Runs the wasm-bindgen tests of crates in real browsers, without any webdriver:
//
//   node tests/wasm.mjs shoal-webrtc shoal-node         in Chromium and in Firefox; --browser firefox: in one
//   node tests/wasm.mjs shoal-node --test browser_full --ignored --quota 40000000
//                                                       one file (or several), also the tests marked as ignored, with so many bytes of storage
//
// wasm-bindgen-test-runner only serves the page here (NO_HEADLESS); the browsers are ours. Tests run in a dedicated worker, as the node does,
// unless a file says `wasm_bindgen_test_configure!(run_in_browser)`. Every crate named must have tests: zero is a failure.
import { createInterface } from 'node:readline'
import { basename, dirname } from 'node:path'
import { parseArgs } from 'node:util'
import { bootstrap } from '../crates/web/build/bootstrap.mjs'
import { root } from '../crates/web/build/paths.mjs'
import { capture, start } from '../crates/web/build/process.mjs'
import { ensureRust, ensureWasmBindgen, wasmBindgenTestRunner } from '../crates/web/build/toolchain.mjs'
import { ensureBrowsers, KINDS, launch } from './browsers.mjs'

/** Milliseconds for all tests of one binary in one browser. Storage under load is slow; a test that hangs is named by what is missing. */
const TIME_LIMIT = 300_000

await bootstrap()
const { values, positionals: crates } = parseArgs({
  allowPositionals: true,
  options: {
    browser: { type: 'string', multiple: true },
    filter: { type: 'string' },
    ignored: { type: 'boolean', default: false },
    quota: { type: 'string' },
    test: { type: 'string', multiple: true },
  },
})
const quota = values.quota === undefined ? undefined : Number(values.quota)
if (quota !== undefined && !(quota > 0)) throw new Error(`--quota ${values.quota}: give a number of bytes`)
if (crates.length === 0) throw new Error('name the crates to test: node tests/wasm.mjs shoal-node')
const kinds = values.browser ?? KINDS
for (const kind of kinds) if (!KINDS.includes(kind)) throw new Error(`--browser ${kind}: choose from ${KINDS.join(', ')}`)

await ensureRust()
await ensureWasmBindgen()
await ensureBrowsers(kinds)
const binaries = []
for (const crate of crates) binaries.push(...(await build(crate)))
let passed = 0
let failed = 0
for (const kind of kinds) {
  // Firefox counts in KiB, and only as a whole; Chromium is told for each page.
  const browser = await launch(kind, { preferences: quota ? { 'dom.quotaManager.temporaryStorage.fixedLimit': Math.floor(quota / 1_024) } : {} })
  try {
    for (const crate of crates) {
      let ran = 0
      for (const binary of binaries.filter((binary) => binary.crate === crate)) {
        const result = await test(binary, browser)
        ran += result.passed + result.failed
        passed += result.passed
        failed += result.failed
      }
      if (ran === 0) {
        console.log(`  ${crate} in ${kind}: not a single test ran`)
        failed += 1
      }
    }
  } finally {
    await browser.close()
  }
}
console.log(`wasm: ${passed} passed, ${failed} failed`)
process.exit(failed === 0 ? 0 : 1)

/** Compiles a crate's tests and returns the wasm files. */
async function build(crate) {
  console.log(`▸ ${crate}: compiling its wasm tests`)
  const messages = await capture('cargo', ['test', '--release', '--target', 'wasm32-unknown-unknown', '-p', crate, '--no-run', '--message-format=json-render-diagnostics'], {
    cwd: root,
    quiet: false,
  })
  return messages
    .split('\n')
    .filter((line) => line.startsWith('{'))
    .map((line) => JSON.parse(line))
    .filter((message) => message.reason === 'compiler-artifact' && message.profile.test && message.executable)
    .filter((message) => values.test === undefined || values.test.includes(message.target.name))
    .map((message) => ({ crate, file: message.executable, name: message.target.name, directory: dirname(message.manifest_path) }))
}

/** Runs the tests of one wasm file in a browser and prints a line for each. */
async function test(binary, browser) {
  const began = Date.now()
  const server = start(wasmBindgenTestRunner, [binary.file, ...(values.filter ? [values.filter] : []), ...(values.ignored ? ['--include-ignored'] : [])], {
    cwd: binary.directory,
    stdio: ['ignore', 'pipe', 'inherit'],
    env: { NO_HEADLESS: '1', WASM_BINDGEN_TEST_ADDRESS: '127.0.0.1:0', WASM_BINDGEN_USE_DEDICATED_WORKER: '1' },
  })
  // Listened to from the first moment: what a child writes while nobody listens is lost when it ends soon.
  const serving = served(server)
  const page = await browser.newPage()
  const messages = []
  page.on('console', (message) => messages.push(message.text()))
  page.on('pageerror', (error) => messages.push(String(error.stack ?? error)))
  try {
    const address = await serving
    if (!address) return { passed: 0, failed: 0 }
    if (quota && browser.kind === 'chromium') {
      // Before the first write: Chromium asks how much there is only then.
      await (await page.createCDPSession()).send('Storage.overrideQuotaForOrigin', { origin: address, quotaSize: quota })
    }
    await page.goto(address)
    const output = await outcome(page)
    return report(binary, browser.kind, output, messages, Date.now() - began)
  } finally {
    await page.close()
    server.kill('SIGKILL')
  }
}

/** The address that the runner serves the tests at; `undefined` where the file holds no tests. */
async function served(server) {
  for await (const line of createInterface({ input: server.stdout })) {
    const found = /available at (http:\S+)/.exec(line)
    if (found) {
      server.stdout.resume()
      return found[1]
    }
    if (line.includes('no tests to run')) return undefined
  }
  throw new Error('wasm-bindgen-test-runner ended before it served the tests')
}

/** Waits for the summary and returns everything that the tests wrote. */
async function outcome(page) {
  const read = () => page.evaluate(() => document.getElementById('output')?.textContent ?? '')
  try {
    await page.waitForFunction(() => /^test result: /m.test(document.getElementById('output')?.textContent ?? ''), { timeout: TIME_LIMIT, polling: 100 })
  } catch (error) {
    return `${await read()}\n(no result within ${TIME_LIMIT / 1_000} s: ${error.message})`
  }
  return read()
}

function report({ crate, name }, kind, output, messages, elapsed) {
  const summary = /^test result: (\w+)\. (\d+) passed; (\d+) failed; (\d+) ignored/m.exec(output)
  const where = `${crate} (${basename(name)}) in ${kind}`
  for (const line of output.split('\n')) if (/^test .* \.\.\. /.test(line)) console.log(`  ${kind}: ${line}`)
  if (!summary) {
    console.log(`  ${where}: no result\n${output}\n${messages.join('\n')}`)
    return { passed: 0, failed: 1 }
  }
  const failed = Number(summary[3])
  const passed = Number(summary[2])
  if (failed > 0 || summary[1] !== 'ok') console.log(output)
  console.log(`  ${where}: ${passed} passed, ${failed} failed, ${summary[4]} ignored, ${(elapsed / 1_000).toFixed(1)} s`)
  return { passed, failed: Math.max(failed, summary[1] === 'ok' ? 0 : 1) }
}
