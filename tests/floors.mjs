// No dependency below its floor: checks Cargo.lock against the list `deny` of deny.toml. Usage: node tests/floors.mjs
//
// cargo-deny does the same and more, but takes minutes to install; this takes milliseconds, so it runs with every test. Each row of the list must be
// in the form that is understood here: one that is not fails the check rather than being passed over.
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { root } from '../crates/web/build/paths.mjs'

const read = (name) => readFileSync(join(root, name), 'utf8')
const rules = rulesOf(read('deny.toml'))
const locked = packagesOf(read('Cargo.lock'))
const broken = rules.flatMap((rule) =>
  locked
    .filter(({ name, version }) => name === rule.name && rule.forbids(version))
    .map(({ version }) => `${rule.name} ${version} is forbidden (${rule.version ?? 'every version'}): ${rule.reason}`),
)
for (const sentence of broken) console.error(sentence)
console.log(`floors: ${locked.length} packages against ${rules.length} rules, ${broken.length} broken`)
process.exit(broken.length === 0 ? 0 : 1)

/** @returns {{ name: string, version?: string, reason: string, forbids: (version: string) => boolean }[]} */
function rulesOf(text) {
  const list = /^deny = \[\n(.*?)^\]$/ms.exec(text)?.[1]
  if (!list) throw new Error('deny.toml has no list [bans] deny')
  const rules = list
    .split('\n')
    .filter((line) => line.trim() !== '' && !line.trim().startsWith('#'))
    .map((line) => {
      const row = /^ {2}\{ name = "([\w-]+)",(?: version = "([^"]+)",)? reason = "([^"]+)" \},$/.exec(line)
      if (!row) throw new Error(`deny.toml: this row is not understood: ${line.trim()}`)
      const [, name, version, reason] = row
      return { name, version, reason, forbids: version ? within(version) : () => true }
    })
  if (rules.length < 20) throw new Error(`deny.toml: only ${rules.length} rules were found`)
  return rules
}

/** A version requirement of `<` and `>=` comparators, all of which must hold. */
function within(requirement) {
  const comparators = requirement.split(',').map((text) => {
    const found = /^(<|>=)(\d+\.\d+\.\d+)$/.exec(text.trim())
    if (!found) throw new Error(`deny.toml: the requirement ${requirement} is not understood; write <1.2.3 or >=1.2.3, <1.3.0`)
    return found[1] === '<' ? (version) => compare(version, found[2]) < 0 : (version) => compare(version, found[2]) >= 0
  })
  return (version) => comparators.every((holds) => holds(version))
}

/** Semantic version order. A pre-release comes before its release. */
function compare(left, right) {
  const parse = (version) => /^(\d+)\.(\d+)\.(\d+)(-.+)?/.exec(version).slice(1, 4).map(Number)
  const [a, b] = [parse(left), parse(right)]
  for (let index = 0; index < 3; index += 1) if (a[index] !== b[index]) return a[index] - b[index]
  return Number(right.includes('-')) - Number(left.includes('-'))
}

function packagesOf(text) {
  const packages = [...text.matchAll(/^\[\[package\]\]\nname = "([^"]+)"\nversion = "([^"]+)"$/gm)].map(([, name, version]) => ({ name, version }))
  if (packages.length < 50) throw new Error(`Cargo.lock: only ${packages.length} packages were found`)
  return packages
}
