// Reads wasm-pack.toml. Only the part of TOML that it uses: tables, strings, whole numbers and lists of strings on one line. Anything else is refused
// by its line, so that a setting is never quietly ignored.
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { root } from './paths.mjs'

/** Every setting that exists, with the type it must have. */
const SETTINGS = {
  toolchain: { target: 'string', rust: 'string', wasm_bindgen: 'string' },
  build: { package: 'string', profile: 'string', bindgen_flags: 'list' },
  budget: { wasm: 'number', javascript: 'number', total: 'number' },
}

/** The recipe of the wasm build. */
export const recipe = read(readFileSync(join(root, 'wasm-pack.toml'), 'utf8'))

function read(text) {
  const recipe = {}
  let table
  for (const [index, line] of text.split('\n').entries()) {
    const refuse = (reason) => {
      throw new Error(`wasm-pack.toml, line ${index + 1}: ${reason}`)
    }
    const trimmed = line.trim()
    if (trimmed === '' || trimmed.startsWith('#')) continue
    const heading = /^\[(\w+)\]$/.exec(trimmed)
    if (heading) {
      table = heading[1]
      if (!SETTINGS[table]) refuse(`there is no table [${table}]`)
      recipe[table] = {}
      continue
    }
    const setting = /^(\w+)\s*=\s*(.+)$/.exec(trimmed)
    if (!setting || !table) return refuse('expected a setting, name = value')
    const [, name, value] = setting
    const type = SETTINGS[table][name]
    if (!type) refuse(`[${table}] has no setting ${name}`)
    recipe[table][name] = parse(value, type) ?? refuse(`${name} must be a ${type}`)
  }
  for (const [name, settings] of Object.entries(SETTINGS)) {
    for (const setting of Object.keys(settings)) {
      if (recipe[name]?.[setting] === undefined) throw new Error(`wasm-pack.toml: [${name}] lacks ${setting}`)
    }
  }
  return recipe
}

function parse(value, type) {
  if (type === 'number') return /^\d[\d_]*$/.test(value) ? Number(value.replaceAll('_', '')) : undefined
  try {
    const parsed = JSON.parse(value)
    if (type === 'string') return typeof parsed === 'string' ? parsed : undefined
    return Array.isArray(parsed) && parsed.every((item) => typeof item === 'string') ? parsed : undefined
  } catch {
    return undefined
  }
}
