// What a run says again at its end.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { failures } from '../failures.mjs'

const lines = (text) => text.split('\n')

test('nothing is said of what passed', () => {
  assert.deepEqual(failures(lines('✔ one (12ms)\nℹ fail 0\ntest two ... ok\n\ntest result: ok. 1 passed; 0 failed\n  ✓ 95 % are usable')), [])
})

test("node's reporter: from its list of failures to the end", () => {
  const output = '✖ one (3ms)\n✔ two (1ms)\nℹ fail 1\n\n✖ failing tests:\n\ntest at one.test.mjs:3:1\n✖ one (3ms)\n  AssertionError: 3 bytes went through the relay'
  assert.deepEqual(failures(lines(output)), ['✖ failing tests:', 'test at one.test.mjs:3:1', '✖ one (3ms)', '  AssertionError: 3 bytes went through the relay'])
})

test('cargo: each list of failures, and nothing of the crates that passed', () => {
  const list = (name) => `failures:\n\n---- ${name} stdout ----\nthread '${name}' panicked\n\nfailures:\n    ${name}\n\ntest result: FAILED. 0 passed; 1 failed`
  const said = failures(lines(`test a ... FAILED\n\n${list('a')}\n\nrunning 1 test\ntest result: ok. 1 passed\n${list('b')}`))
  assert.deepEqual(said.filter((line) => line.includes('panicked')), ["thread 'a' panicked", "thread 'b' panicked"])
  assert.ok(!said.some((line) => line.includes('running') || line.includes('ok.')))
})

test('the laboratory: the lines with a cross', () => {
  assert.deepEqual(failures(lines('  ✓ asymmetric: arrived\n  ✗ asymmetric: 31 % of TCP\n  6 s in all')), ['  ✗ asymmetric: 31 % of TCP'])
})

test('a flood is cut, and that is said', () => {
  const said = failures(['✖ failing tests:', ...Array.from({ length: 200 }, (_, number) => `line ${number}`)])
  assert.equal(said.length, 81)
  assert.equal(said.at(-1), '(121 lines more, above)')
})
