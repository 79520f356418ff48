// Numbers as people say them.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { percent, seconds, size, sizeOf, Speed, timeLeft } from '../src/scripts/view/numbers.ts'

test('sizes have three digits at most and the unit that fits', () => {
  const cases = [[0, '0 bytes'], [1, '1 byte'], [999, '999 bytes'], [1_000, '1.0 kB'], [99_940, '99.9 kB'], [99_960, '100 kB'], [999_600, '1.0 MB'], [14_400_000, '14.4 MB'], [2e12, '2.0 TB'], [2e15, '2000 TB']]
  for (const [bytes, words] of cases) assert.equal(size(bytes), words)
})

test('a part of a whole names the unit once where it is the same', () => {
  assert.equal(sizeOf(1_400_000, 23_000_000), '1.4 of 23.0 MB')
  assert.equal(sizeOf(900_000, 23_000_000), '900 kB of 23.0 MB')
  assert.equal(sizeOf(5, undefined), '5 bytes')
})

test('percent is 100 only when all is there, and an empty file is', () => {
  assert.equal(percent(999_999, 1_000_000), 99)
  assert.equal(percent(1_000_000, 1_000_000), 100)
  assert.equal(percent(0, 0), 100)
  assert.equal(percent(5, undefined), 0)
})

test('time left gets coarser the longer it is', () => {
  for (const [time, words] of [[0.5, 'almost there'], [3.2, '4 s left'], [31, '35 s left'], [125, 'about 2 min left'], [5_400, 'about 1.5 h left']]) assert.equal(timeLeft(time), words)
  assert.deepEqual([seconds(0.42), seconds(42.4), seconds(200)], ['0.4 s', '42 s', '3 min'])
})

test('speed looks back a few seconds only, and a reset forgets', () => {
  const speed = new Speed(3_000)
  assert.equal(speed.add(0, 0), undefined)
  assert.equal(speed.add(1_000, 1_000), 1_000)
  for (let at = 2_000; at <= 10_000; at += 1_000) speed.add(at, 1_000 + (at - 1_000) * 5)
  assert.equal(speed.add(11_000, 1_000 + 10_000 * 5), 5_000)
  speed.reset()
  assert.equal(speed.add(12_000, 0), undefined)
})
