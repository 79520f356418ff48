// `npm test`: everything, on real parts. Each stage runs to its end even when one before it failed; the last line says how many tests passed and failed.
//
//   npm test                              all stages
//   npm test -- --only browser            one stage (its name, as printed); several times for several
//   npm test -- --only browser transfer   of its suites, those whose file name contains the word (likewise the scenarios of "network")
//   npm run test:long                     also what takes long: cargo-deny, a minute of fuzzing for each target, and the property tests and
//                                         simulations with more cases
import { existsSync } from 'node:fs'
import { readdir } from 'node:fs/promises'
import { createInterface } from 'node:readline'
import { basename, join } from 'node:path'
import { parseArgs } from 'node:util'
import { buildAll } from '../crates/web/build/all.mjs'
import { bootstrap } from '../crates/web/build/bootstrap.mjs'
import { root, target, tools } from '../crates/web/build/paths.mjs'
import { run, start } from '../crates/web/build/process.mjs'
import { recipe } from '../crates/web/build/recipe.mjs'
import { measure, table } from '../crates/web/build/size.mjs'
import { clock } from '../crates/web/build/steps.mjs'
import { ensureRust, ensureWasmBindgen } from '../crates/web/build/toolchain.mjs'
import { ensureBrowsers } from './browsers.mjs'
import { failures } from './failures.mjs'
import { ensurePrograms } from './namespace.mjs'
import { sweepTemporary } from './temporary.mjs'

/** Crates whose code for the page is behind `cfg(target_arch = "wasm32")`, so that a native lint does not see it. */
const WASM_CRATES = ['shoal-webrtc', 'shoal-node', 'shoal-web', 'shoal-bench-stream', 'shoal-bench-ways', 'shoal-interop-streams']
/** Crates with wasm-bindgen tests. */
const WASM_TESTED = ['shoal-webrtc', 'shoal-node']
/** The tests of a full disk, which need one: a few dozen megabytes. */
const WASM_WITH_SMALL_DISK = ['shoal-node', '--test', 'browser_full', '--test', 'browser_full_worker', '--ignored', '--quota', '40000000']
/** Cases of each property test in a long run; the default of proptest is 256. */
const LONG_CASES = '100000'
/** Seeds of the simulations in a long run; a few dozen or hundred by default. */
const LONG_SEEDS = { PIPE_SEEDS: '100000', SESSION_SEEDS: '100000' }
/** Milliseconds for one suite before its file counts as failed. The longest (matrix.test.mjs) takes five minutes on two cores; some build their peers first. */
const SUITE_LIMIT = 1_200_000

const { values, positionals: words } = parseArgs({
  allowPositionals: true,
  options: { only: { type: 'string', multiple: true }, long: { type: 'boolean', default: false } },
})

// The relay from what its tests were compiled with, not a second time with fewer features.
process.env.SHOAL_WORKSPACE = '1'

/** Each stage resolves to its counts; one that throws counts as one failure. */
const STAGES = {
  format: () => check('cargo', ['fmt', '--all', '--check']),
  lint: () => check('cargo', ['clippy', '--locked', '--release', '--workspace', '--all-targets', '--', '-D', 'warnings']),
  'lint-wasm': () =>
    check('cargo', ['clippy', '--locked', '--release', '--target', recipe.toolchain.target, ...packages(WASM_CRATES), '--all-targets', '--', '-D', 'warnings']),
  floors: () => check(process.execPath, [join(root, 'tests', 'floors.mjs')]),
  native: nativeTests,
  typescript,
  wasm: async () => {
    const program = join(root, 'tests', 'wasm.mjs')
    const all = await counted(process.execPath, [program, ...WASM_TESTED], wasmCounts)
    const full = await counted(process.execPath, [program, ...WASM_WITH_SMALL_DISK], wasmCounts)
    return { passed: all.passed + full.passed, failed: all.failed + full.failed }
  },
  build: async () => {
    await buildAll()
    return { passed: 1, failed: 0 }
  },
  size: async () => {
    const { rows, over } = await measure()
    console.log(table(rows))
    if (over.length > 0) complain('size', over)
    return { passed: over.length === 0 ? 1 : 0, failed: over.length }
  },
  interop: () => suites('interop'),
  browser: () => suites('browser'),
  network,
  ...(values.long ? { fuzz, deny: cargoDeny } : {}),
}

try {
  for (const name of values.only ?? []) if (!STAGES[name]) throw new Error(`--only ${name}: choose from ${Object.keys(STAGES).join(', ')}`)
  await sweepTemporary()
  await bootstrap()
  await ensureRust()
  await ensureBrowsers()
  await ensureWasmBindgen()
} catch (error) {
  console.error(`\n${error.message}`)
  process.exit(1)
}
/** Of each suite that failed its name and what it said of that. */
const complaints = []
const results = []
for (const [name, stage] of Object.entries(STAGES)) {
  if (values.only && !values.only.includes(name)) continue
  results.push(await perform(name, stage))
}
process.exit(summarize(results))

/** Runs one stage under its heading. */
async function perform(name, stage) {
  console.log(`\n━━ ${name} ━━ (${clock()})`)
  const began = Date.now()
  let counts
  try {
    counts = await stage()
  } catch (error) {
    complain(name, [error.message])
    counts = { passed: 0, failed: 1 }
  }
  console.log(`${counts.failed === 0 ? '✓' : '✗'} ${name}: ${counts.passed} passed, ${counts.failed} failed, ${clock(began)}`)
  return { name, ...counts, time: clock(began) }
}

/** Says what failed, and notes it to be said again at the end. */
function complain(where, lines) {
  for (const line of lines) console.error(line)
  complaints.push({ where, lines })
}

/** Prints what came of it and returns the exit code. The last line is plain, for machines. */
function summarize(results) {
  const sum = (field) => results.reduce((total, result) => total + result[field], 0)
  for (const { where, lines } of complaints) console.log(`\n✗ ${where}:\n${lines.map((line) => `  ${line}`).join('\n')}`)
  console.log(`\n━━ summary ━━ (${clock()})`)
  for (const { name, passed, failed, time } of results) console.log(`${failed === 0 ? '✓' : '✗'} ${name.padEnd(10)} ${String(passed).padStart(5)} passed ${String(failed).padStart(4)} failed  ${time}`)
  if (values.only) console.log(`only these stages ran: ${values.only.join(', ')}`)
  console.log(`${sum('passed')} passed, ${sum('failed')} failed`)
  return sum('failed') === 0 && sum('passed') > 0 ? 0 : 1
}

/** A program that either succeeds or not: one test. */
async function check(program, args) {
  await run(program, args, { cwd: root })
  return { passed: 1, failed: 0 }
}

/** A program whose output tells how many tests it ran. Its exit code has the last word. */
async function counted(program, args, count, env = {}) {
  const child = start(program, args, { cwd: root, env, stdio: ['ignore', 'pipe', 'inherit'] })
  const ended = new Promise((resolve, reject) => {
    child.once('error', reject)
    child.once('close', resolve)
  })
  const lines = []
  for await (const line of createInterface({ input: child.stdout })) {
    console.log(line)
    lines.push(line)
  }
  const code = await ended
  const counts = count(lines.join('\n'))
  if (code !== 0 && counts.failed === 0) counts.failed = 1
  if (counts.failed > 0) complaints.push({ where: basename(args.findLast((word) => /\.(mjs|toml)$/.test(word)) ?? `${program} ${args[0]}`), lines: failures(lines) })
  if (counts.passed + counts.failed === 0) throw new Error(`${program} ${args.join(' ')}: not a single test ran`)
  return counts
}

function cargoCounts(output) {
  const counts = { passed: 0, failed: 0, ignored: 0 }
  for (const [, passed, failed, ignored] of output.matchAll(/^test result: \w+\. (\d+) passed; (\d+) failed; (\d+) ignored/gm)) {
    counts.passed += Number(passed)
    counts.failed += Number(failed)
    counts.ignored += Number(ignored)
  }
  return counts
}

function wasmCounts(output) {
  const [, passed, failed] = /^wasm: (\d+) passed, (\d+) failed$/m.exec(output) ?? [0, 0, 0]
  return { passed: Number(passed), failed: Number(failed) }
}

function networkCounts(output) {
  const [, passed, failed] = /^network: (\d+) passed, (\d+) failed$/m.exec(output) ?? [0, 0, 0]
  return { passed: Number(passed), failed: Number(failed) }
}

/** What node's runner says at the end. A test that is skipped or left to do counts as failed: everything here must run. */
function nodeCounts(output) {
  const number = (name) => Number(new RegExp(`^ℹ ${name} (\\d+)$`, 'm').exec(output)?.[1] ?? 0)
  return { passed: number('pass'), failed: number('fail') + number('cancelled') + number('skipped') + number('todo') }
}

/** Cargo's tests. Those marked `#[ignore]` measure or take long, and are left to the long run, which is said. */
async function nativeTests() {
  const args = ['test', '--locked', '--release', '--workspace', '--no-fail-fast']
  if (values.long) return counted('cargo', [...args, '--', '--include-ignored'], cargoCounts, { PROPTEST_CASES: LONG_CASES, ...LONG_SEEDS, SHOAL_LONG: '1' })
  const counts = await counted('cargo', args, cargoCounts)
  if (counts.ignored > 0) console.log(`${counts.ignored} tests that are marked as ignored (measurements) are left to "npm run test:long"`)
  return counts
}

/** The package's TypeScript: its types hold. And the tests of package, its build, web app and this program that need no browser. */
async function typescript() {
  await run(process.execPath, [join(root, 'node_modules', 'typescript', 'bin', 'tsc'), '-p', join(root, 'crates', 'web')])
  const files = ['crates/web/build/test', 'crates/web/ts/test', 'www/test', 'tests/test'].map((directory) => join(root, directory, '*.test.mjs'))
  const counts = await counted(process.execPath, ['--test', '--test-reporter=spec', ...files], nodeCounts)
  return { ...counts, passed: counts.passed + 1 }
}

/** The *.test.mjs of a directory of tests/, one after the other: each has the machine for itself. */
async function suites(kind) {
  await buildAll()
  const directory = join(root, 'tests', kind)
  const names = (await readdir(directory)).filter((name) => name.endsWith('.test.mjs') && chosen(name)).sort()
  const total = { passed: 0, failed: 0 }
  for (const name of names) {
    console.log(`\n─ ${name}`)
    try {
      const counts = await counted(
        process.execPath,
        ['--test', '--test-reporter=spec', '--test-concurrency=1', `--test-timeout=${SUITE_LIMIT}`, join(directory, name)],
        nodeCounts,
        { SHOAL_LONG: values.long ? '1' : '' },
      )
      total.passed += counts.passed
      total.failed += counts.failed
    } catch (error) {
      complain(name, [error.message])
      total.failed += 1
    }
  }
  return total
}

/** The scenarios of the laboratory of networks, each in namespaces of its own that end with it. In a long run those that take minutes, too. */
async function network() {
  await ensurePrograms()
  await buildAll()
  // With the features of the whole workspace, as its tests were built.
  await run('cargo', ['build', '--locked', '--release', '--workspace', '--bin', 'shoal-network', '--bin', 'shoal-network-peer'], { cwd: root })
  const total = { passed: 0, failed: 0 }
  for (const folder of values.long ? ['scenarios', 'scenarios/long'] : ['scenarios']) {
    const directory = join(root, 'tests', 'network', folder)
    for (const name of (await readdir(directory)).filter((name) => name.endsWith('.toml') && chosen(name)).sort()) {
      const { passed, failed } = await counted(join(target, 'release', 'shoal-network'), [join(directory, name)], networkCounts, { SHOAL_NODE: process.execPath })
      total.passed += passed
      total.failed += failed
    }
  }
  return total
}

/** Looks for new inputs from the corpus on. What is there already is replayed among the native tests, of which it is one. */
function fuzz() {
  return counted(process.execPath, [join(root, 'tests', 'fuzz', 'run.mjs')], (output) => {
    const [, passed, failed] = /^fuzz: (\d+) passed, (\d+) failed$/m.exec(output) ?? [0, 0, 0]
    return { passed: Number(passed), failed: Number(failed) }
  })
}

/** cargo-deny over deny.toml. Its advisories need a database from outside the package registries, so that part is left to whoever has one. */
async function cargoDeny() {
  const program = join(tools, 'bin', 'cargo-deny')
  if (!existsSync(program)) await run('cargo', ['install', 'cargo-deny', '--locked', '--root', tools], { cwd: root })
  return check(program, ['--offline', 'check', 'bans', 'licenses', 'sources'])
}

/** Whether the words after the stage's name, if there are any, ask for this file. */
function chosen(name) {
  return words.length === 0 || words.some((word) => name.includes(word))
}

function packages(names) {
  return names.flatMap((name) => ['-p', name])
}
