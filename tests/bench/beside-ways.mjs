// The ways to servers beside what the browser itself reaches by each, and beside each other.
import { launch } from '../browsers.mjs'
import { median } from '../urgent.mjs'
import { processorTime } from './machine.mjs'
import { openWays } from './ways.mjs'

/** Bytes that go one way over a connection, and how often by each way. */
const SIZE = 32_000_000
const TURNS = 3

/** Each way to a server in turns with what the browser itself reaches by it, and all of them in turns with each other: how long dials take, bytes, and processor time. */
export async function besideWays(kind, dials, note) {
  const browser = await launch(kind)
  const { ways, close } = await openWays(browser, kind)
  const processes = [browser.browser.process().pid, ...ways.flatMap(({ process, bareProcess }) => [process, bareProcess ?? process])]
  try {
    await dialsBeside(kind, ways, dials, note)
    for (const [direction, up, down] of [['up', SIZE, 1], ['down', 0, SIZE]]) await bytesBeside(kind, ways, processes, direction, up, down, note)
  } finally {
    await close()
    await browser.close()
  }
}

async function dialsBeside(kind, ways, dials, note) {
  const times = ways.map(() => ({ bare: [], own: [] }))
  for (let dial = 0; dial <= dials; dial += 1) {
    for (const [index, way] of ways.entries()) {
      const [bare, own] = [await way.bareDial(), await way.dial()]
      // The first one is cold.
      if (dial === 0) continue
      times[index].bare.push(bare)
      times[index].own.push(own)
    }
  }
  for (const [index, { name }] of ways.entries()) {
    note(`${kind}, ${name}, bare dial (ms)`, median(times[index].bare))
    note(`${kind}, ${name}, dial (ms)`, median(times[index].own))
  }
}

async function bytesBeside(kind, ways, processes, direction, up, down, note) {
  const contenders = ways.flatMap((way) => [
    { name: way.name, what: 'bare', move: way.bare, process: way.bareProcess ?? way.process },
    { name: way.name, what: 'own', move: way.own, process: way.process },
    ...(way.packaged ? [{ name: way.name, what: 'packaged', move: way.packaged, process: way.process }] : []),
    ...(way.transport ? [{ name: way.name, what: 'transport', move: way.transport, process: way.process }] : []),
  ])
  for (const contender of contenders) {
    await contender.move(up, down)
    Object.assign(contender, { rates: [], server: [], all: [] })
  }
  for (let turn = 0; turn < TURNS; turn += 1) {
    for (const { move, process, rates, server, all } of contenders) {
      const before = await Promise.all([processorTime([process]), processorTime(processes)])
      rates.push(SIZE / 1_000 / (await move(up, down)))
      const after = await Promise.all([processorTime([process]), processorTime(processes)])
      if (before[0] === undefined) continue
      server.push(((after[0] - before[0]) * 1e9) / SIZE)
      all.push(((after[1] - before[1]) * 1e9) / SIZE)
    }
  }
  const of = (name, what) => contenders.find((contender) => contender.name === name && contender.what === what)
  for (const { name } of ways) {
    const [bare, own, packaged, transport] = ['bare', 'own', 'packaged', 'transport'].map((what) => of(name, what))
    const says = `${kind}, ${name}, ${direction}`
    note(`${says}, bare (MB/s)`, median(bare.rates))
    note(`${says} (MB/s)`, median(own.rates))
    note(`${says} (share of raw)`, median(own.rates) / median(bare.rates))
    if (packaged) note(`${says}, libp2p-webtransport-websys (share of raw)`, median(packaged.rates) / median(bare.rates))
    if (transport) note(`${says}, transport alone (share of raw)`, median(transport.rates) / median(bare.rates))
    if (name !== 'websocket') {
      note(`${says} (share of websocket)`, median(own.rates) / median(of('websocket', 'own').rates))
      note(`${says} (share of raw webtransport)`, median(own.rates) / median(of('webtransport', 'bare').rates))
    }
    if (own.server.length === 0) continue
    note(`${says}, processor time of the server for each MB (ms)`, sum(own.server) / TURNS)
    note(`${says}, bare, processor time of the server for each MB (ms)`, sum(bare.server) / TURNS)
    note(`${says}, processor time of both for each MB (ms)`, sum(own.all) / TURNS)
    note(`${says}, processor time of both (share of raw)`, sum(own.all) / sum(bare.all))
  }
}

const sum = (numbers) => numbers.reduce((sum, number) => sum + number, 0)
