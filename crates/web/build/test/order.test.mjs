// The step that orders a module's functions changes nothing that can be seen from outside, and does what it is for.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { orderFunctions } from '../order.mjs'

const I32 = 0x7f
const END = 0x0b
const constant = (value) => [0x41, value]
const call = (index) => [0x10, index]
const text = (name) => [name.length, ...Buffer.from(name)]
const vector = (...elements) => [elements.length, ...elements.flat()]
const section = (id, content) => [id, content.length, ...content]
/** Without local variables. */
const code = (...instructions) => {
  const body = [0, ...instructions.flat(), END]
  return [body.length, ...body]
}

/**
 * Function 0 is imported, and each of these is exported by its index. A table holds 1, 2 and 7.
 *
 *     1, 2   9           the same
 *     3      1() + 1     the same as 4, for what they call is the same
 *     4      2() + 1
 *     5      8           of another code
 *     6      table[parameter]()
 *     7      0()
 */
const MODULE = Buffer.from([
  ...[0, 0x61, 0x73, 0x6d, 1, 0, 0, 0],
  ...section(1, vector([0x60, ...vector(), ...vector(I32)], [0x60, ...vector(I32), ...vector(I32)])),
  ...section(2, vector([...text('outer'), ...text('five'), 0, 0])),
  ...section(3, vector(0, 0, 0, 0, 0, 1, 0)),
  ...section(4, vector([0x70, 0, 3])),
  ...section(7, vector(...[1, 2, 3, 4, 5, 6, 7].map((index) => [...text(String(index)), 0, index]))),
  ...section(9, vector([0, ...constant(0), END, ...vector(1, 2, 7)])),
  ...section(
    10,
    vector(
      code(constant(9)),
      code(constant(9)),
      code(call(1), constant(1), 0x6a),
      code(call(2), constant(1), 0x6a),
      code(constant(8)),
      code([0x20, 0], [0x11, 0, 0]),
      code(call(0)),
    ),
  ),
  ...section(0, text('producers')),
])

const exportsOf = async (module) => (await WebAssembly.instantiate(module, { outer: { five: () => 5 } })).instance.exports

test('every export and every entry of the table does what it did', async () => {
  for (const module of [MODULE, orderFunctions(MODULE)]) {
    const { 6: byTable, ...plain } = await exportsOf(module)
    assert.deepEqual(Object.entries(plain).map(([name, run]) => `${name}: ${run()}`), ['1: 9', '2: 9', '3: 10', '4: 10', '5: 8', '7: 5'])
    assert.deepEqual([0, 1, 2].map(byTable), [9, 9, 5])
  }
})

test('what is the same is kept once, also where it only calls what is the same', async () => {
  const functions = await exportsOf(orderFunctions(MODULE)) // one object for each function of the module
  assert.equal(functions[1], functions[2])
  assert.equal(functions[3], functions[4])
  assert.equal(new Set(Object.values(functions)).size, 5)
})

test('what begins alike stands side by side', async () => {
  const index = ({ name }) => Number(name) // of a function that wasm exports, the name is its index
  const [before, after] = [await exportsOf(MODULE), await exportsOf(orderFunctions(MODULE))]
  assert.equal(index(before[5]) - index(before[1]), 4)
  assert.equal(Math.abs(index(after[5]) - index(after[1])), 1)
})

test('done once is done: again it changes nothing', () => {
  const ordered = orderFunctions(MODULE)
  assert.deepEqual(orderFunctions(ordered), ordered)
})

test('an instruction that is not known is refused', () => {
  const vectorInstruction = Buffer.from(MODULE)
  vectorInstruction[vectorInstruction.lastIndexOf(0x6a)] = 0xfd
  assert.throws(() => orderFunctions(vectorInstruction), /instruction 0xfd/)
})
