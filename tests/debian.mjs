// Programs that tests need and the system may lack, from Debian's packages.
import { existsSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { run } from '../crates/web/build/process.mjs'

/** Attempts, and milliseconds between them: a mirror may be out of reach for a moment. */
const ATTEMPTS = 3
const PAUSE = 5_000

/** Whether packages may be installed here. */
export const mayInstall = () => process.getuid?.() === 0 && existsSync('/usr/bin/apt-get')

/** Installs packages. Not in a network namespace of its own, from which nothing is reached. */
export async function install(packages) {
  const env = { DEBIAN_FRONTEND: 'noninteractive' }
  for (let attempt = 1; ; attempt += 1) {
    try {
      await run('apt-get', ['update', '-qq'], { env, stdio: ['ignore', 'ignore', 'inherit'] })
      return await run('apt-get', ['install', '-y', '-qq', '--no-install-recommends', ...packages], { env, stdio: ['ignore', 'ignore', 'inherit'] })
    } catch (error) {
      if (attempt === ATTEMPTS) throw error
      await sleep(PAUSE)
    }
  }
}
