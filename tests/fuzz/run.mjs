// Coverage-guided fuzzing of everything that reads bytes of the network, by libFuzzer: a minute for each target, from the committed corpus on.
//
//   node tests/fuzz/run.mjs                          all targets
//   node tests/fuzz/run.mjs --target session-pair    one of them; several times for several
//   node tests/fuzz/run.mjs --seconds 600            longer
//   node tests/fuzz/run.mjs --keep                   afterwards puts what reaches more code into the corpus, and takes out what is not needed
//
// A finding is written to tests/results/fuzz/; once the fault is mended, move it into corpus/<target>/. Rust's stable compiler does it: the
// instrumentation is LLVM's own, and what it reports to is compiled from the crate libfuzzer-sys.
import { cp, mkdir, mkdtemp, readdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { root, target as targetDirectory } from '../../crates/web/build/paths.mjs'
import { capture, run } from '../../crates/web/build/process.mjs'
import { clock } from '../../crates/web/build/steps.mjs'

const CORPUS = join(root, 'tests', 'fuzz', 'corpus')
const FINDINGS = join(root, 'tests', 'results', 'fuzz')
/** Longest input, in bytes: programs of a few hundred steps. */
const LONGEST = 2_048
/** Seconds for one input before it counts as endless. */
const ENDLESS = 20
/** Megabytes of memory before an input counts as one that fills it. */
const MEMORY = 1_024

/** Counts each edge and each comparison of the program; checks arithmetic and assertions, which the release profile leaves out. */
const FLAGS = [
  '-Cpasses=sancov-module',
  ...['level=4', 'inline-8bit-counters', 'pc-table', 'trace-compares'].map((what) => `-Cllvm-args=-sanitizer-coverage-${what}`),
  '-Cdebug-assertions',
  '-Coverflow-checks',
  '-Ccodegen-units=1',
]

const { values } = parseArgs({
  options: { target: { type: 'string', multiple: true }, seconds: { type: 'string', default: '60' }, keep: { type: 'boolean', default: false } },
})
const seconds = Number(values.seconds)
if (!Number.isInteger(seconds) || seconds < 1) throw new Error(`--seconds ${values.seconds}: give a whole number above 0`)

const program = await build()
const known = (await readdir(CORPUS)).sort()
for (const name of values.target ?? []) if (!known.includes(name)) throw new Error(`--target ${name}: choose from ${known.join(', ')}`)
await mkdir(FINDINGS, { recursive: true })
let failed = 0
for (const name of values.target ?? known) {
  console.log(`\n▸ ${name}: ${seconds} s (${clock()})`)
  const folder = await mkdtemp(join(targetDirectory, 'fuzz', `${name}-`))
  try {
    await cp(join(CORPUS, name), folder, { recursive: true })
    await fuzz(name, [`-max_total_time=${seconds}`, `-max_len=${LONGEST}`, '-use_value_profile=1', '-print_final_stats=1', folder])
    if (values.keep) await keep(name, folder)
    console.log(`✓ ${name}`)
  } catch (error) {
    failed += 1
    console.log(`✗ ${name}: ${error.message}; the input is in ${FINDINGS}`)
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}
const all = (values.target ?? known).length
console.log(`\nfuzz: ${all - failed} passed, ${failed} failed`)
process.exit(failed === 0 ? 0 : 1)

/** Compiles for this machine by name, so that build scripts and macros are left as they are; into a folder of its own, for the flags are. */
async function build() {
  const host = /^host: (.+)$/m.exec(await capture('rustc', ['-vV']))[1]
  const directory = join(targetDirectory, 'fuzz')
  await run('cargo', ['build', '--locked', '--release', '-p', 'shoal-fuzz', '--features', 'libfuzzer', '--bin', 'shoal-fuzz', '--target', host], {
    cwd: root,
    env: { CARGO_TARGET_DIR: directory, RUSTFLAGS: FLAGS.join(' ') },
  })
  return join(directory, host, 'release', 'shoal-fuzz')
}

function fuzz(name, args) {
  return run(program, [`-artifact_prefix=${join(FINDINGS, `${name}-`)}`, `-timeout=${ENDLESS}`, `-rss_limit_mb=${MEMORY}`, '-verbosity=0', ...args], {
    cwd: root,
    env: { SHOAL_FUZZ: name },
  })
}

/** The smallest set of inputs that reaches what all of them reach; how often does not matter. */
async function keep(name, folder) {
  const fresh = await mkdtemp(join(targetDirectory, 'fuzz', `${name}-kept-`))
  await fuzz(name, ['-set_cover_merge=1', '-use_counters=0', fresh, folder])
  await rm(join(CORPUS, name), { recursive: true })
  await cp(fresh, join(CORPUS, name), { recursive: true })
  await rm(fresh, { recursive: true })
}
