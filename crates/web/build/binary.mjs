// The binary format of wasm modules, as far as the steps after the compiler need it: https://webassembly.github.io/spec/core/binary/index.html.

/** Sections by number. */
export const IMPORT = 2
export const FUNCTION = 3
export const EXPORT = 7
export const START = 8
export const ELEMENT = 9
export const CODE = 10
/** Kind of an import or export that is a function. */
export const FUNC = 0
const MAGIC_AND_VERSION = Buffer.from('\0asm\x01\0\0\0', 'latin1')

/**
 * What is after the module's header, without custom sections: names would be wrong, and the others are for tools.
 * @param {Uint8Array} module
 * @returns {{ id: number, body: Buffer }[]}
 */
export function sectionsOf(module) {
  const sections = []
  const at = reader(Buffer.from(module), MAGIC_AND_VERSION.length)
  while (!at.ended()) {
    const id = at.byte()
    const body = at.bytes(at.number())
    if (id !== 0) sections.push({ id, body })
  }
  return sections
}

/**
 * A module of these sections.
 * @param {{ id: number, body: Buffer }[]} sections
 * @param {Record<number, (body: Buffer) => Buffer>} rewrite By section, what shall stand in its place.
 */
export function rewritten(sections, rewrite) {
  const written = sections.map(({ id, body }) => Buffer.concat([Buffer.of(id), sized(rewrite[id]?.(body) ?? body)]))
  return Buffer.concat([MAGIC_AND_VERSION, ...written])
}

/** The imports: of which module, by which name, of which kind; `rest` is their type. */
export function importsIn(body) {
  const found = []
  if (!body) return found
  const at = reader(body)
  at.times(() => {
    const [module, name] = [at.bytes(at.number()), at.bytes(at.number())]
    const kind = at.byte()
    const start = at.position()
    if (kind === FUNC) at.number()
    else if (kind === 1) at.byte()
    else if (kind !== 2 && kind !== 3) throw new Error(`wasm: an import of kind ${kind}`)
    if (kind === 1 || kind === 2) at.numbers(at.byte() & 1 ? 2 : 1)
    if (kind === 3) at.bytes(2)
    found.push({ module, name, kind, rest: body.subarray(start, at.position()) })
  })
  return found
}

/** Reads numbers, vectors and instructions, from a position on. */
export function reader(bytes, position = 0) {
  const at = {
    ended: () => position >= bytes.length,
    position: () => position,
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
export function patched(body, references, target) {
  const pieces = []
  let position = 0
  for (const reference of references) {
    pieces.push(body.subarray(position, reference.start), leb(target(reference.target)))
    position = reference.end
  }
  return Buffer.concat([...pieces, body.subarray(position)])
}

export function vector(elements) {
  return Buffer.concat([leb(elements.length), ...elements])
}

export function sized(body) {
  return Buffer.concat([leb(body.length), body])
}

export function leb(value) {
  const bytes = []
  for (; value > 0x7f; value = Math.floor(value / 128)) bytes.push((value & 0x7f) | 0x80)
  return Buffer.from([...bytes, value])
}
