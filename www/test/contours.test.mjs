// The chart is the same on every build, closed, and light.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { contours, soundings } from '../src/chart/contours.ts'

test('every contour is closed, so that it can be filled', () => {
  for (const { level, path } of contours()) {
    const starts = path.match(/M/g)?.length ?? 0
    assert.ok(starts > 0, `level ${level} is drawn`)
    assert.equal(path.match(/Z/g)?.length, starts)
    assert.doesNotMatch(path, /NaN|undefined/)
  }
})

test('two builds draw the same, in less than 20 kB', () => {
  assert.deepEqual(contours(), contours())
  assert.ok(JSON.stringify(contours()).length < 20_000)
  assert.ok(soundings().length > 20)
})
