// `npm run bench`: how fast, as shares of what a bare data channel reaches between the same two browsers in the same run.
//
//   npm run bench                 three rounds
//   npm run bench -- --rounds 5
//   npm run bench -- --quick      without js-libp2p and Helia; one round, unless told otherwise
//   npm run bench -- --only CID   only the works whose name contains this
//
// Absolute figures drift by a factor of two on a shared machine. So each piece of work takes turns with the raw channel (A B A B A), the ways to servers with what
// the browser itself reaches by each, and with each other; and only the ratio is compared with the goals. Prints a table; writes tests/results/bench.json with the machine's facts. Exits with 1 when a goal is missed.
import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { buildAll } from '../../crates/web/build/all.mjs'
import { bootstrap } from '../../crates/web/build/bootstrap.mjs'
import { root } from '../../crates/web/build/paths.mjs'
import { recipe } from '../../crates/web/build/recipe.mjs'
import { measure } from '../../crates/web/build/size.mjs'
import { clock } from '../../crates/web/build/steps.mjs'
import { ensureBrowsers, KINDS, launch } from '../browsers.mjs'
import { median, publishSmall, roundTrips } from '../urgent.mjs'
import * as contenders from './contenders.mjs'
import { besideWays } from './beside-ways.mjs'
import { crowd } from './crowd.mjs'
import { machine, processorTime } from './machine.mjs'
import { relayed } from './relayed.mjs'
import { buildStream } from './stream.mjs'
import { buildWays } from './ways.mjs'

const STREAM = 100_000_000
const FILE = 64_000_000
const BLOCKS = { count: 1_000, size: 2_000 }
const DIALS = 20
/** Milliseconds that a dial may take, from the second on. */
const DIAL = { websocket: 50, webtransport: 50, 'webrtc-direct': 100 }
/** Turns of each work with the raw channel in a round. */
const TURNS = 2
/** Milliseconds between publishing and fetching: a disk that still writes what was published would be measured with the transfer. */
const SETTLE = 500
/** Bytes of a first transfer that is not counted. */
const WARM_UP = 10_000_000

const { values } = parseArgs({ options: { rounds: { type: 'string' }, quick: { type: 'boolean', default: false }, only: { type: 'string', default: '' } } })
const rounds = Number(values.rounds ?? (values.quick ? 1 : 3))
if (!Number.isInteger(rounds) || rounds < 1 || rounds > 50) throw new Error(`--rounds ${values.rounds}: give a number from 1 to 50`)

// The relay from what its tests are compiled with, of which one is run.
process.env.SHOAL_WORKSPACE = '1'
await bootstrap()
await ensureBrowsers()
await buildAll()
await buildStream()
await buildWays()

/** Everything measured, by name; each a list with one value a round. */
const measured = {}
const note = (name, value) => {
  if (value === undefined) return
  ;(measured[name] ??= []).push(value)
  console.log(`  ${name}: ${format(value)}`)
}
const facts = await machine()
console.log(`${facts.processor}, ${facts.cores} cores, load ${facts.load.toFixed(1)}, ${facts.browser}`)
for (let round = 1; round <= rounds; round += 1) {
  console.log(`\n━━ round ${round} of ${rounds} ━━ (${clock()})`)
  await workRound()
}
const goals = await judge()
await mkdir(join(root, 'tests', 'results'), { recursive: true })
await writeFile(join(root, 'tests', 'results', 'bench.json'), `${JSON.stringify({ machine: facts, rounds, goals, measured }, null, 2)}\n`)
console.log(`\n${goals.map(({ name, value, goal, met }) => `${met ? '✓' : '✗'} ${name.padEnd(58)} ${format(value).padStart(10)}   goal ${goal}`).join('\n')}`)
process.exit(goals.every(({ met }) => met) ? 0 : 1)

/** Everything, each contender in turns with what the browser itself reaches. */
async function workRound() {
  const shoal = (kind) => (browsers) => contenders.shoal(browsers, kind)
  const others = values.quick
    ? {}
    : {
        'js-libp2p, 100 MB on one stream': (name) => besideRaw(name, contenders.jsLibp2p, (pair) => ({ ...oneStream(pair), after: () => dials('js-libp2p', pair) })),
        'helia, 64 MB file': (name) => besideRaw(name, contenders.helia, heliaFile),
      }
  const works = {
    'shoal, 100 MB on one stream': (name) => besideRaw(name, contenders.shoalStream, oneStream),
    'shoal, 100 MB by CID': (name) => besideRaw(name, shoal('memory'), shoalContent),
    'shoal, 64 MB file': (name) => besideRaw(name, shoal('indexeddb'), shoalFile),
    'shoal, urgent': besideBulk,
    ...Object.fromEntries(KINDS.map((kind) => [`${kind}, ways to servers`, () => besideWays(kind, DIALS, note)])),
    'through the relay': throughRelay,
    ...(values.quick ? {} : { relay }),
    ...others,
  }
  const wanted = Object.entries(works).filter(([name]) => name.includes(values.only))
  if (wanted.length === 0) throw new Error(`--only ${values.only}: no work has this in its name; there are ${Object.keys(works).join('; ')}`)
  for (const [name, work] of wanted) await (name in others ? unlessItFails(name, work) : work(name))
}

/** What others' programs do. One that fails keeps nothing else from being measured. */
async function unlessItFails(name, work) {
  try {
    await work(name)
  } catch (error) {
    console.log(`  ${name}: failed: ${error.message}`)
    note(`${name} (times it failed)`, 1)
  }
}

/**
 * Some work in turns with the raw channel, in the same two fresh browsers, with what each needs open all the while: raw, work, raw, work, raw. Notes the
 * work's share of what the raw channel reaches.
 * @param {(pair: object) => { once: (timed: Function) => Promise<object>, after?: () => Promise<void> }} work `once` makes what is to be sent and times the
 *   sending; `after` measures what else is of interest.
 */
async function besideRaw(name, open, work) {
  const browsers = [await launch('chromium'), await launch('chromium')]
  const processes = browsers.map(({ browser }) => browser.process().pid)
  const timed = async (action) => {
    const before = await processorTime(processes)
    const { bytes, time, firstByte } = await action()
    const after = await processorTime(processes)
    return { rate: bytes / 1_000 / time, firstByte, processor: before === undefined ? undefined : (after - before) / bytes }
  }
  const opened = []
  try {
    const raw = await contenders.raw(browsers)
    opened.push(raw)
    const pair = await open(browsers)
    opened.push(pair)
    const { once, after } = work(pair)
    const limits = []
    const results = []
    const bare = async () => {
      await raw.front()
      limits.push(await timed(() => raw.stream(STREAM)))
    }
    await raw.front()
    await raw.stream(WARM_UP)
    for (let turn = 0; turn < TURNS; turn += 1) {
      await bare()
      await pair.front()
      results.push(await once(timed))
    }
    await bare()
    const limit = mean(limits, 'rate')
    note('raw channel (MB/s)', limit)
    note(`${name} (MB/s)`, mean(results, 'rate'))
    note(`${name} (share of raw)`, mean(results, 'rate') / limit)
    note(`${name} (first byte, ms)`, mean(results, 'firstByte'))
    if (results[0].processor !== undefined) note(`${name} (processor time, share of raw)`, mean(results, 'processor') / mean(limits, 'processor'))
    await after?.()
  } finally {
    for (const pair of opened) await pair.close()
    for (const browser of browsers) await browser.close()
  }
}

/** How long what is urgent takes there and back, alone and beside a transfer; and a message on a bare channel of its own, beside a bare one. */
async function besideBulk() {
  const browsers = [await launch('chromium'), await launch('chromium')]
  try {
    const raw = await contenders.raw(browsers)
    await raw.stream(WARM_UP)
    const bare = { alone: median(await raw.roundTrips()), beside: median(await raw.roundTrips(raw.stream(STREAM))) }
    await raw.close()
    const pair = await contenders.shoal(browsers, 'memory')
    const from = await pair.sending.evaluate(() => window.shoal.peerId)
    await pair.fetch((await pair.publish(WARM_UP)).cid)
    const small = await publishSmall(pair.sending, 2_000)
    const { cid } = await pair.publish(STREAM)
    await roundTrips(pair.receiving, small.splice(0, 50), from, 1)
    const alone = median(await roundTrips(pair.receiving, small.splice(0, 200), from, 5))
    const beside = median(await roundTrips(pair.receiving, small, from, 20, pair.fetch(cid)))
    await pair.close()
    note('raw channel, round trip (ms)', bare.alone)
    note('raw channel, round trip beside 100 MB (ms)', bare.beside)
    note('raw channel, round trip beside 100 MB (times alone)', bare.beside / bare.alone)
    note('shoal, urgent round trip (ms)', alone)
    note('shoal, urgent round trip beside 100 MB (ms)', beside)
    note('shoal, urgent round trip beside 100 MB (times alone)', beside / alone)
  } finally {
    for (const browser of browsers) await browser.close()
  }
}

/** What a full relay holds, and what that costs. */
async function relay() {
  const { reservations, circuits, reservationKib, circuitKib, reservationsPerSecond, circuitsPerSecond, relayedBytesPerSecond, processorMillisecondsPerMegabyte } = await crowd()
  note('relay, reservations held', reservations)
  note('relay, memory of each (KiB)', reservationKib)
  note('relay, circuits held', circuits)
  note('relay, memory of each circuit (KiB)', circuitKib)
  note('relay, reservations a second', reservationsPerSecond)
  note('relay, circuits a second', circuitsPerSecond)
  note('relay, relayed (Mbit/s)', (relayedBytesPerSecond * 8) / 1e6)
  note('relay, processor time for each relayed MB (ms)', processorMillisecondsPerMegabyte)
}

/** Each way to the relay, from page to page, in turns. In Chromium: Firefox makes no WebRTC connection to loopback, and what the relay pays is the same. */
async function throughRelay() {
  const browser = await launch('chromium')
  try {
    for (const { way, rates, processor } of await relayed(browser)) {
      note(`relayed by ${way} (MB/s)`, median(rates))
      note(`relayed by ${way}, processor time of the relay for each MB (ms)`, processor)
    }
  } finally {
    await browser.close()
  }
}

function shoalContent(pair) {
  return {
    async once(timed) {
      await warmUp(pair)
      const { cid } = await pair.publish(STREAM)
      await sleep(SETTLE)
      return timed(() => pair.fetch(cid))
    },
    async after() {
      note('shoal, longest task of the main thread (ms)', await pair.longestTask())
      await dials('shoal', pair)
    },
  }
}

function oneStream(pair) {
  return {
    async once(timed) {
      await pair.stream(WARM_UP)
      return timed(() => pair.stream(STREAM))
    },
  }
}

/** A first transfer that is not counted: code is compiled, windows grow. */
async function warmUp(pair) {
  await pair.fetch((await pair.publish(WARM_UP)).cid)
}

/** How long dials take, each by a new node, and how many come to nothing. */
async function dials(name, pair) {
  const times = []
  for (let dial = 0; dial < DIALS; dial += 1) {
    try {
      times.push(await pair.dial())
    } catch (error) {
      console.log(`  ${name}, a dial failed: ${error.message.split('\n', 1)[0]}`)
    }
  }
  note(`${name}, dials that failed (of ${DIALS})`, DIALS - times.length)
  for (const [what, goal] of [['usable', 'through the relay'], ['direct', 'direct']]) {
    const sorted = times.map((time) => time[what]).filter((time) => time !== undefined).sort((a, b) => a - b)
    if (sorted.length === 0) continue
    note(`${name}, dial until ${goal}, warm (ms)`, median(sorted))
    note(`${name}, dial until ${goal}, warm (ms, 95th percentile)`, sorted[Math.ceil(sorted.length * 0.95) - 1])
    note(`${name}, dial until ${goal}, warm (ms, longest)`, sorted.at(-1))
  }
}

function shoalFile(pair) {
  return {
    once: (timed) => file('shoal', pair, timed),
    async after() {
      note('shoal, 2 KB blocks (blocks/s)', (BLOCKS.count * 1_000) / (await pair.blocks(BLOCKS.count, BLOCKS.size)))
      note('shoal, longest task of the main thread (ms)', await pair.longestTask())
    },
  }
}

function heliaFile(pair) {
  return { once: (timed) => file('helia', pair, timed) }
}

/** A file from one store to the other. */
async function file(name, pair, timed) {
  await warmUp(pair)
  const { cid, time } = await pair.publish(FILE)
  note(`${name}, adding a 64 MB file (MB/s)`, FILE / 1_000 / time)
  await sleep(SETTLE)
  const before = await pair.stored()
  const result = await timed(() => pair.fetch(cid))
  note(`${name}, bytes stored per byte fetched`, ((await pair.stored()) - before) / FILE)
  return result
}

/** The goals of this stage, and whether they were met: by the median of the rounds. */
async function judge() {
  const { rows } = await measure()
  note('size, wasm and JavaScript (bytes in brotli)', rows.at(-1).brotli)
  const least = (name, goal) => {
    const value = measured[name] && median(measured[name])
    return { name, value, goal: `≥ ${goal}`, met: value >= goal }
  }
  const most = (name, goal) => {
    const value = measured[name] && median(measured[name])
    return { name, value, goal: `≤ ${goal}`, met: value <= goal }
  }
  const goals = [
    least('shoal, 100 MB on one stream (share of raw)', 0.9),
    least('shoal, 64 MB file (share of raw)', 0.85),
    most('shoal, 64 MB file (first byte, ms)', 100),
    most('shoal, bytes stored per byte fetched', 1.05),
    least('shoal, 2 KB blocks (blocks/s)', 1_000),
    most('shoal, longest task of the main thread (ms)', 50),
    most(`shoal, dials that failed (of ${DIALS})`, 0),
    most('shoal, dial until through the relay, warm (ms)', 20),
    most('shoal, dial until direct, warm (ms)', 100),
    most('shoal, urgent round trip beside 100 MB (ms)', 45),
    ...(values.quick
      ? []
      : [
          least('relay, reservations held', 9_900),
          least('relay, circuits held', 1_980),
          most('relay, memory of each (KiB)', 48),
          most('relay, memory of each circuit (KiB)', 48),
          least('relay, relayed (Mbit/s)', 400),
        ]),
    ...KINDS.flatMap((kind) => [
      ...['websocket', 'webtransport', 'webrtc-direct'].map((name) => most(`${kind}, ${name}, dial (ms)`, DIAL[name])),
      ...['up', 'down'].flatMap((direction) => [
        ...(kind === 'chromium' ? [least(`${kind}, websocket, ${direction}, transport alone (share of raw)`, 0.9)] : []),
        least(`${kind}, webtransport, ${direction} (share of raw)`, 0.9),
        least(`${kind}, webtransport, ${direction} (share of websocket)`, 0.9),
        // A browser's SCTP is the limit of this way, far below the other two: see crates/webrtc/README.md.
        least(`${kind}, webrtc-direct, ${direction} (share of raw)`, 0.9),
      ]),
    ]),
    most('size, wasm and JavaScript (bytes in brotli)', recipe.budget.total),
  ]
  return values.only ? goals.filter(({ value }) => value !== undefined) : goals
}

function mean(results, what) {
  const numbers = results.map((result) => result[what]).filter((number) => number !== undefined)
  return numbers.length === 0 ? undefined : numbers.reduce((sum, number) => sum + number, 0) / numbers.length
}

function format(value) {
  if (value === undefined) return 'not measured'
  return value >= 1_000 ? Math.round(value).toLocaleString('en') : String(Number(value.toPrecision(3)))
}
