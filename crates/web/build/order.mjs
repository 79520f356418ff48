// Makes a wasm module smaller to download without changing what it does: functions that are the same are kept once, and those that begin alike
// stand side by side, where brotli finds that they do. The compiler leaves the instances of a generic function scattered over the module, and keeps
// those apart that differ in their types but not in their code. It is 4 % of the download.
//
// Only indices of functions change. A module with something that is not understood here is refused.

/** Sections by number. */
const IMPORT = 2
const FUNCTION = 3
const EXPORT = 7
const START = 8
const ELEMENT = 9
const CODE = 10
/** Kind of an import or export that is a function. */
const FUNC = 0

/**
 * @param {Uint8Array} module
 * @returns {Buffer} An equivalent module.
 */
export function orderFunctions(module) {
  const sections = sectionsOf(Buffer.from(module))
  const imported = functionsImported(sections.find(({ id }) => id === IMPORT)?.body)
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
  const written = sections.map(({ id, body }) => Buffer.concat([Buffer.of(id), sized(rewrite[id]?.(body) ?? body)]))
  return Buffer.concat([Buffer.from(module.subarray(0, 8)), ...written])
}

/** What is after the module's header, without custom sections: names would be wrong, and the others are for tools. */
function sectionsOf(module) {
  const sections = []
  const at = reader(module, 8)
  while (!at.ended()) {
    const id = at.byte()
    const body = at.bytes(at.number())
    if (id !== 0) sections.push({ id, body })
  }
  return sections
}

function functionsImported(body) {
  if (!body) return 0
  const at = reader(body)
  let functions = 0
  at.times(() => {
    at.bytes(at.number())
    at.bytes(at.number())
    const kind = at.byte()
    if (kind === FUNC) functions += 1
    else if (kind === 1) at.byte()
    else if (kind !== 2 && kind !== 3) throw new Error(`wasm: an import of kind ${kind}`)
    if (kind === FUNC) at.number()
    if (kind === 1 || kind === 2) at.numbers(at.byte() & 1 ? 2 : 1)
    if (kind === 3) at.bytes(2)
  })
  return functions
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

/** Reads the binary format: https://webassembly.github.io/spec/core/binary/index.html. */
function reader(bytes, position = 0) {
  const at = {
    ended: () => position >= bytes.length,
    byte: () => {
      if (position >= bytes.length) throw new Error('wasm: ends too early')
      return bytes[position++]
    },
    bytes: (length) => bytes.subarray(position, (position += length)),
    /** An unsigned number; of signed ones and longer ones only the end is right. */
    number: () => {
      let [value, scale] = [0, 1]
      for (;;) {
        const byte = at.byte()
        value += (byte & 0x7f) * scale
        if (byte < 0x80) return value
        scale *= 128
      }
    },
    numbers: (count) => {
      for (; count > 0; count -= 1) at.number()
    },
    /** A vector, whose elements `read` reads. */
    times: (read) => {
      const count = at.number()
      for (let index = 0; index < count; index += 1) read(index)
    },
    /** The index of a function, and where it stands. */
    reference: () => {
      const start = position
      const target = at.number()
      return { start, end: position, target }
    },
    /** Instructions until the end of their block; returns the references to functions among them. */
    expression: () => {
      const found = []
      for (let depth = 1; depth > 0; ) {
        const code = at.byte()
        if (code >= 0x02 && code <= 0x04) depth += 1
        if (code === 0x0b) depth -= 1
        if (code === 0x10 || code === 0x12 || code === 0xd2) found.push(at.reference())
        else operands(code, at)
      }
      return found
    },
  }
  return at
}

/** How many numbers follow an instruction, where that is all: by its code, or the first and last of several. */
const NUMBERS = [
  { count: 0, codes: [[0x00, 0x01], [0x05], [0x0b], [0x0f], [0x1a, 0x1b], [0x45, 0xc4], [0xd1]] }, // drop, arithmetic…
  { count: 1, codes: [[0x02, 0x04], [0x0c, 0x0d], [0x20, 0x26], [0x3f, 0x42], [0xd0]] }, // blocks, branches, variables, i32 and i64.const…
  { count: 2, codes: [[0x11], [0x13], [0x28, 0x3e]] }, // call_indirect, loads and stores
]
/** The same for those behind 0xfc: conversions that saturate, and bulk operations on memories and tables. */
const EXTENDED = [
  { count: 0, codes: [[0, 7]] },
  { count: 1, codes: [[9], [11], [13], [15, 17]] },
  { count: 2, codes: [[8], [10], [12], [14]] },
]

function count(table, code, name = `0x${code.toString(16)}`) {
  const row = table.find(({ codes }) => codes.some(([first, last = first]) => code >= first && code <= last))
  if (!row) throw new Error(`wasm: the instruction ${name} is not known here`)
  return row.count
}

/** Passes what follows an instruction other than a reference to a function. */
function operands(code, at) {
  switch (code) {
    case 0x0e: // br_table
      at.times(at.number)
      return at.number()
    case 0x1c: // select, with types
      return at.times(at.number)
    case 0x43: // f32.const
      return at.bytes(4)
    case 0x44: // f64.const
      return at.bytes(8)
    case 0xfc: {
      const extended = at.number()
      return at.numbers(count(EXTENDED, extended, `0xfc ${extended}`))
    }
    default:
      return at.numbers(count(NUMBERS, code))
  }
}

/** `body` with other targets at its references. */
function patched(body, references, target) {
  const pieces = []
  let position = 0
  for (const reference of references) {
    pieces.push(body.subarray(position, reference.start), leb(target(reference.target)))
    position = reference.end
  }
  return Buffer.concat([...pieces, body.subarray(position)])
}

function vector(elements) {
  return Buffer.concat([leb(elements.length), ...elements])
}

function sized(body) {
  return Buffer.concat([leb(body.length), body])
}

function leb(value) {
  const bytes = []
  for (; value > 0x7f; value = Math.floor(value / 128)) bytes.push((value & 0x7f) | 0x80)
  return Buffer.from([...bytes, value])
}
