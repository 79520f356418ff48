// The node's WebRTC-direct beside a bare data channel of the same browser: crates/webrtc/examples/direct.rs, and bare_channel.rs beside it, both made of the same
// DTLS and SCTP. What SCTP in the browser reaches is the limit of both.
import { networkInterfaces } from 'node:os'
import { join } from 'node:path'
import { root, target } from '../../crates/web/build/paths.mjs'
import { run, start } from '../../crates/web/build/process.mjs'
import { linesOf } from './lines.mjs'

/** Firefox makes no WebRTC connection to this machine by its loopback address. */
export const HERE = Object.values(networkInterfaces()).flat().find(({ family, internal }) => family === 'IPv4' && !internal)?.address

/** Compiles the far sides. */
export const buildWebRtcDirect = () => run('cargo', ['build', '--locked', '--release', '--workspace', '--example', 'direct', '--example', 'bare_channel'], { cwd: root })

/** Whether it can be measured here; else it is said why not. */
export function isMeasurable(kind) {
  const can = kind === 'chromium' || HERE !== undefined
  if (!can) console.log(`  ${kind}, webrtc-direct: not measured, this machine has no address but loopback`)
  return can
}

/** Starts the far sides. @param {(method: string, ...args: unknown[]) => Promise<number>} call what the page's worker does */
export async function webrtcDirect(call, page) {
  const host = HERE ?? '127.0.0.1'
  const program = (name, argument) => start(join(target, 'release', 'examples', name), [argument], { stdio: ['pipe', 'pipe', 'inherit'] })
  const far = program('direct', `/ip4/${host}/udp/0/webrtc-direct`)
  const bare = program('bare_channel', host)
  const address = await linesOf(far)()
  const answer = linesOf(bare)
  /** Opens a bare channel. @returns milliseconds since the answer, and what moves bytes over it */
  async function open() {
    const channel = await page.evaluateHandle(() => new window.BareChannel())
    const offer = await channel.evaluate((channel) => channel.offer())
    bare.stdin.write(`${offer.replaceAll('\r\n', '\t')}\n`)
    const time = await channel.evaluate((channel, answer) => channel.open(answer), (await answer()).replaceAll('\t', '\r\n'))
    const move = async (up, down) => {
      const time = await channel.evaluate((channel, up, down) => channel.move(up, down), up, down)
      await channel.dispose()
      return time
    }
    return { time, move }
  }
  return {
    name: 'webrtc-direct',
    process: far.pid,
    bareProcess: bare.pid,
    /** Milliseconds until a connection with Noise stands. */
    dial: () => call('dial', address),
    /** Milliseconds from the answer to a bare channel: without the way of offer and answer. */
    async bareDial() {
      const { time, move } = await open()
      await move(0, 1)
      return time
    },
    /** Milliseconds for so many bytes there and then so many back, over a channel of the browser's own. */
    bare: async (up, down) => (await open()).move(up, down),
    /** The same over a libp2p stream. */
    own: (up, down) => call('secured', address, up, down),
    close() {
      bare.stdin.end()
      far.kill()
    },
  }
}
