// The step that shortens the names of a module's imports leaves module and glue fitting each other.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { shortenImports } from '../names.mjs'

const text = (name) => [name.length, ...Buffer.from(name)]
const HEADER = [0, 0x61, 0x73, 0x6d, 1, 0, 0, 0]
const RETURNS_I32 = [1, 5, 1, 0x60, 0, 1, 0x7f]
const section = (id, ...content) => [id, content.length, ...content]
const LONG = ['__wbg_one_2d59337cc496919d', '__wbg_two_6bc82a4b12f2b0c4']

/** Imports two functions of `outer`, of which it exports the sum. */
const MODULE = Buffer.from([
  ...HEADER,
  ...RETURNS_I32,
  ...section(2, 2, ...LONG.flatMap((name) => [...text('outer'), ...text(name), 0, 0])),
  ...section(3, 1, 0),
  ...section(7, 1, ...text('sum'), 0, 2),
  ...section(10, 1, 7, 0, 0x10, 0, 0x10, 1, 0x6a, 0x0b),
])
const GLUE = `({
        ${LONG[0]}: function() { return 1 },
        ${LONG[1]}: function() { return 2 },
        unasked: function() { return 3 },
})`

test('the module finds in its glue what it found before, by names without hashes', async () => {
  const { module, glue } = shortenImports(MODULE, GLUE)
  const outer = (0, eval)(glue)
  const { instance } = await WebAssembly.instantiate(module, { outer })
  assert.equal(instance.exports.sum(), 3)
  assert.deepEqual(Object.keys(outer), ['i0', 'i1', 'unasked'])
  assert.ok(module.length < MODULE.length)
})

test('an import that the glue does not define is refused by its name', () => {
  assert.throws(() => shortenImports(MODULE, GLUE.replace(LONG[1], 'else')), new RegExp(LONG[1]))
})
