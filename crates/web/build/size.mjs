// How much a visitor downloads, against the budgets of wasm-pack.toml: node crates/web/build/size.mjs
import { readdir, readFile } from 'node:fs/promises'
import { extname, join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { brotliCompressSync, constants, gzipSync } from 'node:zlib'
import { packageFiles } from './paths.mjs'
import { recipe } from './recipe.mjs'

/** What counts as which budget. Types, maps and the README are not downloaded by visitors. */
const KINDS = { '.wasm': 'wasm', '.js': 'javascript' }

/**
 * Measures the package's files.
 * @returns {Promise<{ rows: { name: string, raw: number, gzip: number, brotli: number }[], over: string[] }>} `over`: a sentence for each budget exceeded.
 */
export async function measure(directory = packageFiles) {
  const rows = []
  const sums = { wasm: 0, javascript: 0, total: 0 }
  for (const name of (await readdir(directory, { recursive: true })).sort()) {
    const kind = KINDS[extname(name)]
    if (!kind) continue
    const bytes = await readFile(join(directory, name))
    const row = { name, raw: bytes.length, gzip: gzipSync(bytes, { level: 9 }).length, brotli: brotli(bytes) }
    rows.push(row)
    sums[kind] += row.brotli
    sums.total += row.brotli
  }
  if (sums.wasm === 0 || sums.javascript === 0) throw new Error(`${directory} does not hold the built package: run "npm run build"`)
  rows.push({ name: 'total', raw: sum(rows, 'raw'), gzip: sum(rows, 'gzip'), brotli: sums.total })
  const over = Object.entries(recipe.budget)
    .filter(([kind, budget]) => sums[kind] > budget)
    .map(([kind, budget]) => `${kind}: ${sums[kind]} bytes in brotli, ${sums[kind] - budget} above the budget of ${budget} in wasm-pack.toml`)
  return { rows, over }
}

/** The measurement as a table. */
export function table(rows) {
  const cell = (number) => String(number).replace(/\B(?=(\d{3})+$)/g, ' ').padStart(12)
  const width = Math.max(...rows.map(({ name }) => name.length))
  const line = (name, ...cells) => `  ${name.padEnd(width)}${cells.join('')}`
  return [
    line('bytes', ...['raw', 'gzip', 'brotli'].map((heading) => heading.padStart(12))),
    ...rows.map(({ name, raw, gzip, brotli }) => line(name, cell(raw), cell(gzip), cell(brotli))),
  ].join('\n')
}

function brotli(bytes) {
  const params = { [constants.BROTLI_PARAM_QUALITY]: constants.BROTLI_MAX_QUALITY, [constants.BROTLI_PARAM_SIZE_HINT]: bytes.length }
  return brotliCompressSync(bytes, { params }).length
}

function sum(rows, field) {
  return rows.reduce((total, row) => total + row[field], 0)
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  const { rows, over } = await measure()
  console.log(table(rows))
  for (const sentence of over) console.error(sentence)
  process.exitCode = over.length > 0 ? 1 : 0
}
