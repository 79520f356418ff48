// Every exported symbol has an example in its documentation, and every example, the README's too, compiles against the public types.
import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'

const root = fileURLToPath(new URL('../..', import.meta.url))
const PUBLIC = ['create-node', 'errors', 'link', 'types']

/** What an example may use without saying where it comes from. */
const GIVEN = `
import { createLink, createNode, describeDiagnosis, parseLink, ShoalError } from '${root}ts/index.ts'
import type * as types from '${root}ts/index.ts'
declare const node: types.ShoalNode
declare const cid: string
declare const peerId: string
declare const file: File
declare function use(chunk: Uint8Array): void
`

/** The documented declarations of a file: the comment and the line that follows it. */
function documented(text) {
  return [...text.matchAll(/\/\*\*((?:(?!\*\/)[^])*)\*\/\n( *)(.*)/g)].map(([, comment, indent, line]) => ({ comment, member: indent !== '', line }))
}

function examples(comment) {
  return comment
    .split(/^ *\* ?@(?=\w)/m)
    .filter((part) => part.startsWith('example'))
    .map((part) => part.slice('example'.length).replace(/^ *\* ?/gm, '').trim())
}

test('every exported symbol and every method of a node is documented with an example', async () => {
  for (const name of PUBLIC) {
    const text = await readFile(join(root, 'ts', `${name}.ts`), 'utf8')
    const all = documented(text)
    for (const [line] of text.matchAll(/^export .*/gm)) {
      const found = all.find((each) => each.line === line)
      assert.ok(found, `${name}.ts: ${line} has no documentation`)
      if (!found.comment.includes('@internal')) assert.ok(examples(found.comment).length > 0, `${name}.ts: ${line} has no example`)
    }
    for (const { comment, line, member } of all) if (member && /^(?!constructor)\w+\(/.test(line)) assert.ok(examples(comment).length > 0, `${name}.ts: ${line} has no example`)
  }
})

test('every example compiles', { timeout: 60_000 }, async () => {
  const sources = []
  for (const name of PUBLIC) {
    for (const { comment, line } of documented(await readFile(join(root, 'ts', `${name}.ts`), 'utf8'))) {
      for (const example of examples(comment)) sources.push({ of: `${name}.ts: ${line}`, example })
    }
  }
  const readme = await readFile(join(root, 'README.md'), 'utf8')
  for (const [, example] of readme.matchAll(/```ts\n([^]*?)```/g)) sources.push({ of: 'README.md', example })
  assert.ok(sources.length > 30, `only ${sources.length} examples were found`)

  const types = [...(await readFile(join(root, 'ts/types.ts'), 'utf8')).matchAll(/^export (?:interface|type) (\w+)/gm)].map(([, name]) => name)
  const aliases = [...types, 'ShareLink'].map((name) => `type ${name} = types.${name}`).join('\n')
  const folder = await mkdtemp(join(tmpdir(), 'shoal-examples-'))
  try {
    for (const [index, { of, example }] of sources.entries()) {
      const body = example.replace(/^import .*$/gm, '')
      await writeFile(join(folder, `${index}.ts`), `// ${of}${GIVEN}${aliases}\nexport async function example() {\n${body}\n}\n`)
    }
    const tsconfig = { extends: join(root, 'tsconfig.json'), compilerOptions: { rootDir: '/', noUnusedLocals: false }, include: ['*.ts'] }
    await writeFile(join(folder, 'tsconfig.json'), JSON.stringify(tsconfig))
    const tsc = join(dirname(createRequire(import.meta.url).resolve('typescript/package.json')), 'bin/tsc')
    const problem = await promisify(execFile)(process.execPath, [tsc, '-p', folder]).then(() => '', (error) => error.stdout || error.message)
    const index = /examples-\w+\/(\d+)\.ts/.exec(problem)?.[1]
    assert.equal(problem, '', `${sources[index]?.of}\n${sources[index]?.example}\n`)
  } finally {
    await rm(folder, { recursive: true })
  }
})
