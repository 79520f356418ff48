// Shortens the names by which the wasm module asks for the JavaScript around it. wasm-bindgen ends each with a hash, so that crates cannot meet by
// accident; in one module and its own glue that is settled, and no compression makes a hash smaller. It is 1 % of the download.
import { IMPORT, importsIn, rewritten, sectionsOf, sized, vector } from './binary.mjs'

/**
 * @param {Uint8Array} module
 * @param {string} glue The module's JavaScript, as wasm-bindgen writes it.
 * @returns {{ module: Buffer, glue: string }} The same, with other names between them.
 */
export function shortenImports(module, glue) {
  const sections = sectionsOf(module)
  const names = new Map()
  const rename = (body) =>
    vector(
      importsIn(body).map(({ module, name, kind, rest }) => {
        const long = name.toString()
        if (!names.has(long)) names.set(long, `i${names.size.toString(36)}`)
        return Buffer.concat([sized(module), sized(Buffer.from(names.get(long))), Buffer.of(kind), rest])
      }),
    )
  const renamed = rewritten(sections, { [IMPORT]: rename })
  const met = new Set()
  const shortened = glue.replace(/^(\s+)(\w+): function\(/gm, (definition, indent, long) => {
    if (!names.has(long)) return definition
    met.add(long)
    return `${indent}${names.get(long)}: function(`
  })
  const missed = [...names.keys()].filter((name) => !met.has(name))
  if (missed.length > 0) throw new Error(`the glue of the wasm module does not define what it imports: ${missed.join(', ')}`)
  return { module: renamed, glue: shortened }
}
