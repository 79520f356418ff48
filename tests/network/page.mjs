// One browser in one site of the laboratory, with a page that runs a node. Its program is the laboratory's runner, which asks by lines of JSON and is
// answered likewise: { "ok": … } or { "error": "…" }, one after the other. It ends when nobody can ask any more.
//
//   node page.mjs chromium
//   {"call":"open","relay":"http://11.0.0.1:8080","within":60000}     → {"ok":"12D3KooW…"}
//   {"call":"publish","bytes":200000}                                → {"ok":"bafk…"}
//   {"call":"fetch","cid":"bafk…","peer":"12D3KooW…","within":20000}  → {"ok":{"first":412,"all":440,"path":"relayed"}}
//
// The page comes from this program itself, over loopback: a secure context, whatever is between the site and the internet.
import { readFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import { extname, join, normalize } from 'node:path'
import { createInterface } from 'node:readline'
import { packageFiles } from '../../crates/web/build/paths.mjs'
import { until } from '../app.mjs'
import { launch } from '../browsers.mjs'
import { openPackage, relaysOf, status } from '../nodes.mjs'
import { median, publishSmall, roundTrips } from '../urgent.mjs'

const TYPES = { '.html': 'text/html', '.js': 'text/javascript', '.wasm': 'application/wasm' }
const INDEX =
  '<!doctype html><meta charset="utf-8"><title>Shoal test</title><link rel="icon" href="data:,">' +
  `<script type="module">window.shoalPackage = await import('./index.js')</script>`

/** Round trips that are made alone before a transfer begins, and milliseconds between two of them then and beside it. */
const ALONE = 30
const PAUSE = { alone: 5, beside: 20 }

const [kind] = process.argv.slice(2)
const url = await serve()
const browser = await launch(kind)
let page

const CALLS = {
  /** A new page with a new node, in the place of the one before. @returns its PeerId, once others can reach it */
  async open({ relay, within }) {
    await page?.close()
    page = await openPackage(browser, url)
    await page.evaluate(() => {
      window.described = async (raw, remote) => {
        const gathered = new Promise((resolve) => (raw.onicegatheringstatechange = () => raw.iceGatheringState === 'complete' && resolve()))
        if (remote !== undefined) await raw.setRemoteDescription(remote)
        await raw.setLocalDescription()
        await gathered
        return raw.localDescription.sdp
      }
    })
    await page.evaluate(async (config) => {
      window.shoal = await window.shoalPackage.createNode(config)
    }, { store: { kind: 'memory' }, bootstrap: [relay] })
    await until(async () => (await status(page)).reachable, within, async () => `not reachable: ${await relaysOf(page)}`)
    return page.evaluate(() => window.shoal.peerId)
  },
  /** Random bytes as content. @returns its CID */
  publish: ({ bytes }) => page.evaluate(publish, bytes),
  /** So many contents of one small block. @returns their CIDs */
  publishSmall: ({ count }) => publishSmall(page, count),
  /**
   * Asks a peer for small contents, alone and while a large one comes.
   * @returns milliseconds of a round trip in the middle of those alone, and of those beside the transfer; how many the latter are; how long the transfer took
   */
  async urgent({ cid, small, peer, within }) {
    const alone = median(await roundTrips(page, small.splice(0, ALONE), peer, PAUSE.alone))
    const fetching = page.evaluate(fetchFrom, cid, peer, within)
    const beside = await roundTrips(page, small, peer, PAUSE.beside, fetching)
    return { alone, beside: median(beside), count: beside.length, all: (await fetching).all }
  },
  /** Gets a content from a peer. */
  fetch: ({ cid, peer, within }) => page.evaluate(fetchFrom, cid, peer, within),
  /** Waits for a direct connection to the peer of the last fetch. @returns milliseconds since that began, or null */
  direct: ({ within }) => page.evaluate((within) => Promise.race([window.direct, new Promise((resolve) => setTimeout(resolve, within, null))]), within),
  /** How it stands with a peer, and why. */
  way: ({ peer }) => page.evaluate(wayTo, peer),
  /** Data channels without anything of ours, each of its own connection: what the browsers make of the link. Offers, answers, and the bytes. */
  offer: ({ stun, count }) => page.evaluate(offer, stun, count),
  reply: ({ stun, description, bytes }) => page.evaluate(reply, stun, description, bytes),
  send: ({ description, bytes }) => page.evaluate(send, description, bytes),
  /** Waits for all of them. @returns milliseconds since the channel was open */
  received: ({ within }) => page.evaluate((within) => Promise.race([window.received, new Promise((resolve) => setTimeout(resolve, within, null))]), within),
}

const answer = (value) => process.stdout.write(`${JSON.stringify(value)}\n`)
// Nobody asks any more.
process.stdout.on('error', () => process.exit())
answer({ ok: kind })
for await (const line of createInterface({ input: process.stdin })) {
  try {
    const { call, ...question } = JSON.parse(line)
    answer({ ok: await CALLS[call](question) })
  } catch (error) {
    answer({ error: String(error.message) })
  }
}
await browser.kill()
process.exit()

/** Serves the npm package and a page that loads it. @returns {Promise<string>} where */
async function serve() {
  const server = createServer(async ({ url: asked }, response) => {
    const path = normalize(new URL(asked, 'http://localhost').pathname)
    try {
      const body = path === '/' ? INDEX : await readFile(join(packageFiles, path))
      response.writeHead(200, { 'content-type': TYPES[path === '/' ? '.html' : extname(path)] ?? 'application/octet-stream' }).end(body)
    } catch {
      response.writeHead(404).end()
    }
  })
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve))
  return `http://127.0.0.1:${server.address().port}/`
}

function publish(size) {
  const bytes = new Uint8Array(size)
  for (let start = 0; start < size; start += 65_536) crypto.getRandomValues(bytes.subarray(start, start + 65_536))
  return window.shoal.publishContent(new Blob([bytes]))
}

async function fetchFrom(cid, peer, within) {
  const began = performance.now()
  const since = () => performance.now() - began
  let first
  let path
  let direct
  const ready = await lanes(peer)
  // For how long no bytes came from the peer, by any connection. Progress is told by whole blocks, which take seconds over a slow link.
  let [bytes, last, silence] = [0, 0, 0]
  const listening = setInterval(async () => {
    const sum = (await window.shoal.connections()).filter((connection) => connection.peer === peer).reduce((sum, { bytesReceived }) => sum + bytesReceived, 0)
    if (sum > bytes) last = since()
    else silence = Math.max(silence, since() - last)
    // Less: a connection has ended.
    bytes = sum
  }, 100)
  window.direct = (async () => {
    while (since() < within) {
      if ((await window.shoal.connections()).some((connection) => connection.peer === peer && connection.path === 'direct')) return (direct = since())
      await new Promise((resolve) => setTimeout(resolve, 50))
    }
    return null
  })()
  const onProgress = (progress) => {
    if (progress.bytes > 0) first ??= since()
    path = progress.path ?? path
  }
  const { length } = await window.shoal.fetchContent(cid, { from: [peer], signal: AbortSignal.timeout(within), onProgress }).finally(() => clearInterval(listening))
  const all = since()
  return { length, first: first ?? all, all, path, ready, lanes: await lanes(peer), direct, silence }

  async function lanes(peer) {
    return (await window.shoal.connections()).filter((connection) => connection.peer === peer && connection.path === 'direct').length
  }
}

/** Both keep what they talk over in the page's globals, until the next page. Several connections share the bytes. */
async function offer(stun, count) {
  window.raw = Array.from({ length: count }, () => new RTCPeerConnection({ iceServers: [{ urls: stun }] }))
  window.channels = window.raw.map((raw) => raw.createDataChannel('raw'))
  return JSON.stringify(await Promise.all(window.raw.map((raw) => window.described(raw))))
}

async function reply(stun, offers, size) {
  const descriptions = JSON.parse(offers)
  window.raw = descriptions.map(() => new RTCPeerConnection({ iceServers: [{ urls: stun }] }))
  let [began, bytes] = [undefined, 0]
  window.received = new Promise((resolve) => {
    for (const raw of window.raw) {
      raw.ondatachannel = ({ channel }) => {
        began ??= performance.now()
        channel.binaryType = 'arraybuffer'
        channel.onmessage = ({ data }) => (bytes += data.byteLength) >= size && resolve(performance.now() - began)
      }
    }
  })
  return JSON.stringify(await Promise.all(window.raw.map((raw, at) => window.described(raw, { type: 'offer', sdp: descriptions[at] }))))
}

/** Each takes the next message when it has room for one. */
async function send(answers, size) {
  const { raw, channels } = window
  const most = 1_048_576 / channels.length
  let left = size
  for (const channel of channels) {
    channel.bufferedAmountLowThreshold = most / 4
    channel.onopen = async () => {
      while (left > 0) {
        const length = Math.min(16_384, left)
        left -= length
        channel.send(new Uint8Array(length))
        if (channel.bufferedAmount > most) await new Promise((resolve) => (channel.onbufferedamountlow = resolve))
      }
    }
  }
  JSON.parse(answers).forEach((sdp, at) => raw[at].setRemoteDescription({ type: 'answer', sdp }))
  return size
}

async function wayTo(peer) {
  const { summary, reasons, attempts, connections } = await window.shoal.diagnose(peer)
  const lanes = connections.filter(({ path }) => path === 'direct').length
  const direct = lanes > 0 || attempts.some(({ steps }) => steps.ready !== undefined)
  const running = !direct && attempts.some(({ ended }) => ended === undefined)
  return { direct, running, lanes, text: JSON.stringify({ summary, reasons, attempts }) }
}
