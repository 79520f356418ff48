// Compresses the web app's files once, as small as it goes, where the relay finds them: `node.wasm.br` and `node.wasm.gz` beside `node.wasm`.
import { readdir, readFile, writeFile } from 'node:fs/promises'
import { extname, join } from 'node:path'
import { promisify } from 'node:util'
import { brotliCompress, constants, gzip } from 'node:zlib'

/** What is worth it: pictures and fonts are compressed already. */
const TEXTS = new Set(['.css', '.html', '.js', '.json', '.svg', '.wasm'])
/** Smaller files fit into one packet as they are. */
const LEAST = 1_024
/** Browsers ask for brotli only where the page is secure; others get gzip. */
const WAYS = {
  br: (bytes) => promisify(brotliCompress)(bytes, { params: { [constants.BROTLI_PARAM_QUALITY]: constants.BROTLI_MAX_QUALITY, [constants.BROTLI_PARAM_SIZE_HINT]: bytes.length } }),
  gz: (bytes) => promisify(gzip)(bytes, { level: constants.Z_BEST_COMPRESSION }),
}

/** Compresses each file of a folder and of those within. */
export async function compressAll(directory) {
  const names = (await readdir(directory, { recursive: true })).filter((name) => TEXTS.has(extname(name)))
  await Promise.all(
    names.map(async (name) => {
      const bytes = await readFile(join(directory, name))
      if (bytes.length < LEAST) return
      await Promise.all(Object.entries(WAYS).map(async ([ending, compress]) => writeFile(join(directory, `${name}.${ending}`), await compress(bytes))))
    }),
  )
}
