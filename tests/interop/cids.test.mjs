// The CIDs of files are those that Helia's importer gives, at every size where the shape of the DAG changes, in both profiles.
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { before, test } from 'node:test'
import { fixedSize } from 'ipfs-unixfs-importer/chunker'
import { balanced } from 'ipfs-unixfs-importer/layout'
import { importer } from 'ipfs-unixfs-importer'
import { root, target } from '../../crates/web/build/paths.mjs'
import { run } from '../../crates/web/build/process.mjs'

/** Nothing; one leaf; one byte more, for leaves of 256 KiB and of 1 MiB; and enough for a second level of nodes at 174 links. */
const SIZES = [0, 1, 262_144, 262_145, 1_048_576, 1_048_577, 300_000_000]
const PROFILES = {
  'unixfs-v1-2025': { profile: 'unixfs-v1-2025' },
  // What `ipfs add --cid-version=1` does.
  'kubo-cid-v1': { cidVersion: 1, rawLeaves: true, reduceSingleLeafToSelf: true, chunker: fixedSize({ chunkSize: 262_144 }), layout: balanced({ maxChildrenPerNode: 174 }) },
}
/** Bytes that are made at once. */
const PIECE = 1_000_000

before(() => run('cargo', ['build', '--quiet', '--locked', '--release', '--workspace', '--example', 'cid'], { cwd: root }))

for (const [profile, options] of Object.entries(PROFILES)) {
  for (const size of SIZES) {
    test(`${profile}, ${size} bytes`, async () => {
      assert.equal(await ours(size, profile), await helias(size, options))
    })
  }
}

/** A file whose leaves all differ: numbers of 32 bits that count up, scrambled. */
function* file(size) {
  let number = 0
  for (let start = 0; start < size; start += PIECE) {
    const length = Math.min(PIECE, size - start)
    const words = new Uint32Array(Math.ceil(length / 4))
    for (let index = 0; index < words.length; index += 1) words[index] = Math.imul((number += 1), 0x9e3779b1)
    yield new Uint8Array(words.buffer, 0, length)
  }
}

async function ours(size, profile) {
  const child = spawn(join(target, 'release', 'examples', 'cid'), [profile], { stdio: ['pipe', 'pipe', 'inherit'] })
  let output = ''
  child.stdout.setEncoding('utf8').on('data', (text) => (output += text))
  const closed = once(child, 'close')
  for (const piece of file(size)) if (!child.stdin.write(piece)) await once(child.stdin, 'drain')
  child.stdin.end()
  const [code] = await closed
  assert.equal(code, 0, 'the example "cid" failed')
  return output.trim()
}

async function helias(size, options) {
  // Only the root is looked at, so blocks are dropped.
  const blockstore = { put: (cid) => cid, get: () => assert.fail('nothing is read back') }
  let last
  for await (const entry of importer([{ content: file(size) }], blockstore, { ...options, wrapWithDirectory: false })) last = entry
  return last.cid.toString()
}
