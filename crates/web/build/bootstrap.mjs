// From whatever Node is found to the one this project runs on. Needs nothing installed: only Node 18's own modules.
//
// The npm package `node` brings a current Node into node_modules, so a machine with an old one needs no other step. Await `bootstrap()` first;
// it returns only in a process that has every npm package installed and runs on a Node that is new enough.
import { spawn, spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync, lstatSync, readFileSync, writeFileSync } from 'node:fs'
import { delimiter, join } from 'node:path'
import { npmPrograms, root } from './paths.mjs'

/** Astro 7 and puppeteer-core 25 refuse anything older. */
const OLDEST_NODE = [22, 12]
/** Set in the process that was started on the project's own Node, so that it never starts itself twice. */
const RESTARTED = 'SHOAL_OWN_NODE'

/** Installs what is missing from npm and goes on under a Node that is new enough. */
export async function bootstrap() {
  installPackages()
  process.env.PATH = `${npmPrograms}${delimiter}${process.env.PATH}`
  if (newEnough(process.versions.node)) return
  if (process.env[RESTARTED]) {
    throw new Error(`the npm package "node" gave Node ${process.versions.node}, which is too old; delete node_modules and try again`)
  }
  process.exit(await restart(join(npmPrograms, 'node')))
}

/** Runs this very command under another Node, to its end. Signals reach it: from a terminal by themselves, else through us. */
function restart(program) {
  const child = spawn(program, process.argv.slice(1), { stdio: 'inherit', env: { ...process.env, [RESTARTED]: '1' } })
  process.on('SIGINT', () => process.stdin.isTTY || child.kill('SIGINT'))
  for (const signal of ['SIGTERM', 'SIGHUP']) process.on(signal, () => child.kill(signal))
  return new Promise((resolve, reject) => {
    child.once('error', (error) => reject(new Error(`cannot start ${program} (${error.message}); delete node_modules and try again`)))
    child.once('exit', (code, signal) => resolve(signal ? 130 : (code ?? 1)))
  })
}

/** `npm ci` when what lies in node_modules is not what the lock file names. */
function installPackages() {
  const directory = join(root, 'node_modules')
  const lockFile = readFileSync(join(root, 'package-lock.json'), 'utf8')
  const lock = createHash('sha256').update(lockFile).digest('hex')
  // Inside node_modules, so that deleting that installs again.
  const mark = join(directory, '.shoal-installed')
  if (existsSync(mark) && readFileSync(mark, 'utf8') === lock) return
  if (!holds(directory, JSON.parse(lockFile))) {
    if (existsSync(directory) && lstatSync(directory).isSymbolicLink()) {
      throw new Error('node_modules is a link to a directory that does not hold what package-lock.json names: delete the link and try again')
    }
    console.log('▸ npm packages: installing those of package-lock.json (about half a minute)')
    const began = Date.now()
    // Scripts of packages do not run, but for the one that brings Node itself.
    npm('ci', '--ignore-scripts', '--no-audit', '--no-fund')
    npm('rebuild', 'node')
    console.log(`  done in ${((Date.now() - began) / 1_000).toFixed(1)} s`)
  }
  if (!lstatSync(directory).isSymbolicLink()) writeFileSync(mark, lock)
}

/** Whether every package that the lock file asks for on this machine is installed at its version. */
function holds(directory, lock) {
  const record = join(directory, '.package-lock.json')
  if (!existsSync(record) || !existsSync(join(directory, 'node', 'bin', 'node'))) return false
  const installed = JSON.parse(readFileSync(record, 'utf8')).packages
  return Object.entries(lock.packages).every(
    ([path, { version, link, optional }]) => !path.startsWith('node_modules/') || link || installed[path]?.version === version || (optional && !installed[path]),
  )
}

function npm(...args) {
  const { status, error } = spawnSync('npm', [...args, '--loglevel=error'], { cwd: root, stdio: 'inherit', shell: process.platform === 'win32' })
  if (error || status !== 0) throw new Error(`npm ${args.join(' ')} failed${error ? `: ${error.message}` : ''}. Is the npm registry reachable?`)
}

function newEnough(version) {
  const [major, minor] = version.split('.').map(Number)
  return major > OLDEST_NODE[0] || (major === OLDEST_NODE[0] && minor >= OLDEST_NODE[1])
}
