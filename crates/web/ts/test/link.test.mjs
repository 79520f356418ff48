// Share links: what is made can be read, and what is wrong is named.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createLink, parseLink } from '../link.ts'

const CID = 'bafkreifzjut3te7nhyekklss27nh3k72ysco7y32koao5eei66wof36n5e'
const PEER = '12D3KooWD3eckifWpRn9wQpMG9R9hX3sD158z7EqHWmweQAJU5SA'
const VIA = '/dns4/relay.example/tcp/443/tls/ws/p2p/12D3KooWD3eckifWpRn9wQpMG9R9hX3sD158z7EqHWmweQAJU5SA'

const contents = [
  { cid: CID },
  { cid: 'QmYwAPJzv5CZsnA625s3Xf2nemtYgPpHdWEz79ojWnPbdG' },
  { cid: 'bafybeigdyrzt5sfp7udm7hu76uh7y26nf3efuylqabf3oclgtqy55fbzdi', name: 'a&b=c?d#e %41 +.txt' },
  { cid: CID, name: 'Überraschung 🎉.png', from: PEER },
  { cid: CID, from: PEER, via: [VIA, '/ip4/10.0.0.2/tcp/8080/ws'] },
]
for (const content of contents) {
  test(`round trip: ${JSON.stringify(content)}`, () => {
    const link = createLink('https://app.example/path/?q=1#old', content)
    assert.ok(link.startsWith(`https://app.example/path/?q=1#${content.cid}`))
    assert.deepEqual(parseLink(link), content)
    assert.deepEqual(parseLink(new URL(link)), content)
    assert.deepEqual(parseLink(new URL(link).hash), content)
  })
}

test('an app on a path keeps it, and the fragment holds everything that identifies the content', () => {
  const link = new URL(createLink(new URL('http://localhost:8080/a/b'), { cid: CID, name: 'x', from: PEER }))
  assert.equal(link.pathname + link.search, '/a/b')
  assert.equal(link.hash, `#${CID}?name=x&from=${PEER}`)
})

const wrong = {
  'link has nothing': ['https://app.example/', /^link: has nothing after/],
  'link too long': [`#${CID}?name=${'a'.repeat(5_000)}`, /^link: has 50\d\d characters/],
  'two question marks': [`#${CID}?name=a?b`, /^link: has more than one/],
  'empty fragment': ['#', /^cid: /],
  'cid cut off': [`#${CID.slice(0, -1)}`, /^cid: /],
  'cid of upper case': [`#${CID.toUpperCase()}`, /^cid: /],
  'cid with stray bits': [`#${CID.slice(0, -1)}f`, /^cid: /],
  'cid of another codec': ['#bafyreifzjut3te7nhyekklss27nh3k72ysco7y32koao5eei66wof36n5e', /^cid: /],
  'cid of a script': ['#javascript:alert(1)', /^cid: /],
  'unknown field': [`#${CID}?nmae=x`, /^nmae: is not a field/],
  'cid as a field': [`#${CID}?cid=${CID}`, /^cid: is not a field/],
  'empty query': [`#${CID}?`, /^link: is not a field/],
  'name twice': [`#${CID}?name=a&name=b`, /^name: is given twice/],
  'name without value': [`#${CID}?name`, /^name: has no proper value/],
  'name empty': [`#${CID}?name=`, /^name: must have 1 to 255/],
  'name too long': [`#${CID}?name=${'%C3%A9'.repeat(128)}`, /^name: must have 1 to 255/],
  'name with a path': [`#${CID}?name=..%2Fx`, /^name: holds/],
  'name that hides its ending': [`#${CID}?name=gpj%E2%80%AEexe`, /^name: holds/],
  'name with a line break': [`#${CID}?name=a%0Ab`, /^name: holds/],
  'broken escape': [`#${CID}?name=%E0%A4`, /^name: holds a broken/],
  'not a peer': [`#${CID}?from=alice`, /^from: is not a PeerId/],
  'not an address': [`#${CID}?via=relay.example`, /^via: is not a multiaddr/],
  'too many addresses': [`#${CID}?${Array(5).fill('via=/ip4/1.2.3.4').join('&')}`, /^via: must be at most 4/],
}
for (const [what, [link, message]] of Object.entries(wrong)) {
  test(`refused: ${what}`, () => assert.throws(() => parseLink(link), { name: 'InvalidLink', message }))
}

test('refused when made', () => {
  const make = (content, page = 'https://app.example') => () => createLink(page, content)
  assert.throws(make({ cid: 'x' }), { name: 'InvalidLink', message: /^cid: / })
  assert.throws(make({ cid: CID }, '/relative'), { name: 'InvalidLink', message: /^page: / })
  assert.throws(make({ cid: CID }, 'file:///x'), { name: 'InvalidLink', message: /^page: / })
  assert.throws(make({ cid: CID, name: '\ud800' }), { name: 'InvalidLink', message: /^name: / })
  assert.throws(make({ cid: CID, form: PEER }), { name: 'InvalidLink', message: /^form: there is no such field/ })
  assert.throws(make({ cid: CID }, `https://app.example/${'a'.repeat(4_096)}`), { name: 'InvalidLink', message: /^link: would have/ })
})

test('any text gives a link or an InvalidLink', () => {
  const pieces = ['#', '?', '&', '=', '%', '%41', CID, 'name', 'from', 'via', PEER, VIA, '\u202e', '\ud800', 'b', '/', ' ']
  for (let round = 0; round < 20_000; round += 1) {
    const text = Array.from({ length: 1 + (round % 12) }, (_, index) => pieces[(round * 31 + index * (7 + (round % 5)) * 13) % pieces.length]).join('')
    try {
      const content = parseLink(text)
      assert.deepEqual(parseLink(createLink('https://app.example/', content)), content)
    } catch (error) {
      assert.equal(error.name, 'InvalidLink', `${JSON.stringify(text)} gave ${error.stack}`)
    }
  }
})
