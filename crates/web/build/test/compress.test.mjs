// What lies beside the web app's files.
import assert from 'node:assert/strict'
import { mkdir, mkdtemp, readFile, readdir, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { brotliDecompressSync, gunzipSync } from 'node:zlib'
import { compressAll } from '../compress.mjs'

test('texts and wasm are there compressed as well, and the same; fonts and what is tiny are not', async (t) => {
  const directory = await mkdtemp(join(tmpdir(), 'shoal-compress-'))
  t.after(() => rm(directory, { recursive: true }))
  const text = 'a page that repeats itself; '.repeat(1_000)
  await mkdir(join(directory, 'deep'))
  await Promise.all(['index.html', 'deep/node.wasm', 'font.woff2'].map((name) => writeFile(join(directory, name), text)))
  await writeFile(join(directory, 'tiny.js'), 'export {}')

  await compressAll(directory)

  assert.deepEqual((await readdir(directory, { recursive: true })).sort(), ['deep', 'deep/node.wasm', 'deep/node.wasm.br', 'deep/node.wasm.gz', 'font.woff2', 'index.html', 'index.html.br', 'index.html.gz', 'tiny.js'])
  const brotli = await readFile(join(directory, 'deep/node.wasm.br'))
  assert.ok(brotli.length < 200, `${brotli.length} bytes`)
  assert.equal(brotliDecompressSync(brotli).toString(), text)
  assert.equal(gunzipSync(await readFile(join(directory, 'index.html.gz'))).toString(), text)
})
