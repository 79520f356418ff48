// The real relay, built for release, with an identity and a port of its own: as the tests use it.
import { rm } from 'node:fs/promises'
import { freePort, startRelay } from '../crates/web/build/relay.mjs'
import { createTemporary } from './temporary.mjs'

/**
 * Starts a relay on a free port. `restart()` brings it back at the same port with the same identity.
 * @param {{ webRoot?: string, host?: string, args?: string[], prefix?: string[], reachedAt?: string }} [options] As of `startRelay`. Listens at loopback
 *   only, unless told otherwise.
 */
export async function createRelay(options = {}) {
  const port = await freePort()
  const dataDirectory = await createTemporary('relay')
  const begin = () => startRelay({ host: '127.0.0.1', ...options, port, dataDirectory, quiet: true })
  let relay = await begin()
  return {
    port,
    /** Its process. */
    get pid() {
      return relay.pid
    },
    // A secure context for browsers, as https is.
    url: `http://${options.reachedAt ?? 'localhost'}:${port}`,
    /** libp2p bytes through this process since it started, both ways. */
    async traffic() {
      const { bytesReceived, bytesSent } = await relay.health()
      return bytesReceived + bytesSent
    },
    health: () => relay.health(),
    output: () => relay.output(),
    /** Ends it as a power cut would; `restart()` brings it back. */
    kill: () => relay.kill(),
    /** Answers nothing for a while, its connections standing. */
    pause: () => relay.pause(),
    resume: () => relay.resume(),
    async restart() {
      await relay.kill()
      relay = await begin()
    },
    /** Ends it for good. */
    async stop() {
      const how = await relay.stop()
      await rm(dataDirectory, { recursive: true, force: true })
      return how
    },
  }
}
