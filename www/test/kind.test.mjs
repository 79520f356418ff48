// What a content is follows from its bytes; what it is called decides nothing that runs.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { kindOf, safeName } from '../src/scripts/receive/kind.ts'

const bytes = (text) => Uint8Array.from(text, (character) => character.charCodeAt(0))
const utf8 = (text) => new TextEncoder().encode(text)

test('bytes win over the name', () => {
  for (const [head, name, showing] of [
    [bytes('\x89PNG\r\n\x1a\n....'), 'page.html', 'image'],
    [bytes('\xff\xd8\xff\xe0'), 'photo', 'image'],
    [bytes('RIFF....WEBPVP8 '), 'a.txt', 'image'],
    [bytes('RIFF....WAVEfmt '), 'a', 'sound'],
    [bytes('\0\0\0\x20ftypisom'), 'a.jpg', 'video'],
    [bytes('\x1a\x45\xdf\xa3'), 'clip', 'video'],
    [bytes('%PDF-1.7'), 'a.png', 'none'],
    [bytes('PK\x03\x04'), 'a.png', 'none'],
    [bytes('\x7fELF\0\0'), 'photo.png', 'none'],
    [utf8('Fish soup, 2 onions: Zwiebeln für alle 🐟'), 'soup.png', 'text'],
    [new Uint8Array(), 'empty.txt', 'text'],
  ]) {
    assert.equal(kindOf(head, name).showing, showing, `${name}: ${head}`)
  }
})

test('what a browser would run is a download, whatever it is called', () => {
  for (const [text, name] of [['<!DOCTYPE html><p>', 'a.txt'], ['  <html>', 'a'], ['<script>alert(1)</script>', 'note.txt'], ['hello', 'hello.html'], ['hello', 'HELLO.XHTML'], ['<?xml version="1.0"?>', 'a.txt']]) {
    const kind = kindOf(utf8(text), name)
    assert.deepEqual([kind.showing, kind.type], ['none', 'application/octet-stream'], name)
  }
  for (const head of ['<svg xmlns="http://www.w3.org/2000/svg"/>', '<?xml version="1.0"?><svg/>']) assert.equal(kindOf(utf8(head), 'a.svg').showing, 'drawing')
})

test('a character cut at the end of the head is still text; a broken one is not', () => {
  assert.equal(kindOf(utf8('für').subarray(0, 2), 'a').showing, 'text')
  assert.equal(kindOf(Uint8Array.of(0x66, 0xc3, 0x28), 'a').showing, 'none')
})

test('names are safe to show and to save', () => {
  for (const [name, safe] of [
    [undefined, 'file'],
    ['..', 'file'],
    ['../../etc/passwd', '_.._etc_passwd'],
    ['photo\u202egnp.exe', 'photo_gnp.exe'],
    ['a\0b\n.txt', 'a_b_.txt'],
    ['Überraschung 🎉.png', 'Überraschung 🎉.png'],
    ['\ud800.txt', '\ufffd.txt'],
  ]) {
    assert.equal(safeName(name), safe)
  }
  const long = safeName(`${'🐟'.repeat(300)}.jpeg`)
  assert.ok(utf8(long).length <= 240 && long.endsWith('🐟.jpeg') && long.isWellFormed())
})
