// What breaks in the middle goes on where it was: the sender's tab closed and opened again, the relay killed and started again.
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { beginFetch, connections, fetched, openApp, peerId, progressOf, publishRandom, reachable, until } from '../app.mjs'
import { createProfile, launch } from '../browsers.mjs'
import { createRelay } from '../relay.mjs'

const SIZE = 64_000_000
/** Part of the file that must be there before something is broken, and must not be exceeded for the break to be in the middle. */
const MIDDLE = [0.15, 0.9]
/** Bytes that may be sent twice: what was on its way, or had arrived and was not yet durable, when the tab closed. */
const SENT_TWICE = 8 * 1024 * 1024

let relay
before(async () => (relay = await createRelay()))
after(() => relay?.stop())

/** Two browsers and a file on its way between them. */
async function underWay(t, profile) {
  const [sender, receiver] = await Promise.all([launch('chromium', { profile }), launch('chromium')])
  t.after(() => receiver.close())
  const [sending, receiving] = await Promise.all([openApp(sender, relay.url), openApp(receiver, relay.url)])
  await reachable(sending)
  const content = await publishRandom(sending, SIZE)
  await beginFetch(receiving, content)
  await until(async () => (await progressOf(receiving)).bytes > SIZE * MIDDLE[0], 60_000, async () => `hardly anything arrives: ${JSON.stringify(await progressOf(receiving))}`, 5)
  return { sender, sending, receiving, content }
}

test('the sender closes the tab and opens it again: the rest arrives, nothing is sent again', async (t) => {
  const { sender, sending, receiving, content } = await underWay(t)
  t.after(() => sender.close())
  await sending.close()
  await until(async () => (await progressOf(receiving)).phase === 'waiting', 30_000, async () => `the page does not say that the sender is gone: ${JSON.stringify(await progressOf(receiving))}`)
  const had = (await progressOf(receiving)).bytes
  assert.ok(had < SIZE * MIDDLE[1], `${had} of ${SIZE} bytes had arrived: the tab was not closed in the middle`)

  const again = await openApp(sender, relay.url)
  assert.equal(await peerId(again), content.peer, 'the same profile is the same peer')
  const arrived = await fetched(receiving)
  assert.equal(arrived.sha256, content.sha256)
  const sent = await sentTo(again, await peerId(receiving))
  assert.ok(sent >= SIZE - had - SENT_TWICE, `only ${sent} bytes are counted as sent of the ${SIZE - had} that were missing`)
  assert.ok(sent < (SIZE - had) * 1.02 + SENT_TWICE, `${sent} bytes were sent, though only ${SIZE - had} were missing`)
  t.diagnostic(`${had} bytes had arrived, ${sent} were sent afterwards`)
})

test('the sender’s whole browser is killed and started again: the rest arrives', async (t) => {
  const profile = await createProfile()
  const { sender, receiving, content } = await underWay(t, profile)
  await sender.kill()
  await until(async () => (await progressOf(receiving)).phase === 'waiting', 60_000, async () => `the page does not say that the sender is gone: ${JSON.stringify(await progressOf(receiving))}`)

  const restarted = await launch('chromium', { profile })
  t.after(async () => {
    await restarted.close()
    await profile.remove()
  })
  const again = await openApp(restarted, relay.url)
  assert.equal(await peerId(again), content.peer, 'the same profile is the same peer')
  assert.equal((await fetched(receiving)).sha256, content.sha256)
})

test('the relay is killed and started again: the direct transfer does not notice', async (t) => {
  const { sender, sending, receiving, content } = await underWay(t)
  t.after(() => sender.close())
  await until(async () => (await progressOf(receiving)).path === 'direct', 10_000, 'the transfer is not direct')
  await relay.kill()
  const killedAt = (await progressOf(receiving)).bytes
  assert.ok(killedAt < SIZE * MIDDLE[1], `${killedAt} of ${SIZE} bytes had arrived: the relay was not killed in the middle`)
  await until(async () => (await progressOf(receiving)).bytes > killedAt, 10_000, 'nothing arrives while the relay is down', 5)
  await relay.restart()
  const arrived = await fetched(receiving)
  assert.equal(arrived.sha256, content.sha256)
  assert.ok(!arrived.phases.includes('waiting'), `the transfer noticed: ${arrived.phases.join(', ')}`)
  // Both find their way back to the relay by themselves.
  await Promise.all([reachable(sending, 60_000), reachable(receiving, 60_000)])
})

/** Payload bytes that this page has sent to a peer. */
async function sentTo(page, other) {
  return (await connections(page)).filter(({ peer }) => peer === other).reduce((total, { bytesSent }) => total + bytesSent, 0)
}
