// Makes a wasm module smaller to download without changing what it does: functions that are the same are kept once, and those that begin alike
// stand side by side, where brotli finds that they do. The compiler leaves the instances of a generic function scattered over the module, and keeps
// those apart that differ in their types but not in their code. It is 4 % of the download.
//
// Only indices of functions change. A module with something that is not understood here is refused.
import { CODE, ELEMENT, EXPORT, FUNC, FUNCTION, IMPORT, START, importsIn, leb, patched, reader, rewritten, sectionsOf, sized, vector } from './binary.mjs'

/**
 * @param {Uint8Array} module
 * @returns {Buffer} An equivalent module.
 */
export function orderFunctions(module) {
  const sections = sectionsOf(Buffer.from(module))
  const imported = importsIn(sections.find(({ id }) => id === IMPORT)?.body).filter(({ kind }) => kind === FUNC).length
  const functions = functionsOf(sections, imported)
  const kept = mergeEqual(functions, imported)
  const order = functions.filter((entry) => kept.get(entry.index) === entry.index).sort((a, b) => Buffer.compare(a.masked, b.masked))
  const place = new Map(order.map(({ index }, position) => [index, imported + position]))
  const moved = (index) => (index < imported ? index : place.get(kept.get(index)))
  const rewrite = {
    [FUNCTION]: () => vector(order.map(({ type }) => leb(type))),
    [EXPORT]: (body) => patched(body, exportsIn(body), moved),
    [START]: (body) => patched(body, [reader(body).reference()], moved),
    [ELEMENT]: (body) => patched(body, elementsIn(body), moved),
    [CODE]: () => vector(order.map(({ body, references }) => sized(patched(body, references, moved)))),
  }
  return rewritten(sections, rewrite)
}

/** The module's own functions. `masked`: the code, without saying which functions it calls. */
function functionsOf(sections, imported) {
  const section = (id) => reader(sections.find((section) => section.id === id)?.body ?? Buffer.of(0))
  const [declared, code] = [section(FUNCTION), section(CODE)]
  const types = []
  declared.times(() => types.push(declared.number()))
  const functions = []
  code.times((position) => {
    const body = code.bytes(code.number())
    const references = referencesIn(body)
    functions.push({ index: imported + position, type: types[position], body, references, masked: patched(body, references, () => 0) })
  })
  return functions
}

/**
 * For each function, by index, the first one that is the same: of one type and one code, where calls of functions that are the same count as the
 * same. So it is repeated until nothing new is found.
 */
function mergeEqual(functions, imported) {
  const kept = new Map(functions.map(({ index }) => [index, index]))
  for (let before = Infinity, now = functions.length; now < before; ) {
    const first = new Map()
    for (const { index, type, body, references } of functions) {
      const code = patched(body, references, (target) => (target < imported ? target : kept.get(target)))
      const key = `${type} ${code.toString('latin1')}`
      if (!first.has(key)) first.set(key, index)
      kept.set(index, first.get(key))
    }
    ;[before, now] = [now, first.size]
  }
  return kept
}

function exportsIn(body) {
  const at = reader(body)
  const found = []
  at.times(() => {
    at.bytes(at.number())
    if (at.byte() === FUNC) found.push(at.reference())
    else at.number()
  })
  return found
}

function elementsIn(body) {
  const at = reader(body)
  const found = []
  at.times(() => {
    const flags = at.number()
    if (flags > 3) throw new Error(`wasm: a table's elements of kind ${flags}`)
    if (flags === 2) at.number()
    if (flags === 0 || flags === 2) found.push(...at.expression())
    if (flags !== 0) at.byte()
    at.times(() => found.push(at.reference()))
  })
  return found
}

/** Where a function's code names functions. */
function referencesIn(body) {
  const at = reader(body)
  at.times(() => at.numbers(2)) // local variables: how many, of which type
  const found = at.expression()
  if (!at.ended()) throw new Error('wasm: a function goes on after its end')
  return found
}
