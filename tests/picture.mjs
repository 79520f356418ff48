// A picture of noise: a real PNG that no compression makes smaller, so that sending it takes a moment.
import { randomFillSync } from 'node:crypto'
import { crc32, deflateSync } from 'node:zlib'

/** @returns {Buffer} A PNG of this many pixels, with three random bytes each. */
export function noisePng(width, height) {
  const rows = Buffer.alloc(height * (1 + 3 * width))
  randomFillSync(rows)
  // The first byte of a row names its filter: none.
  for (let row = 0; row < height; row += 1) rows[row * (1 + 3 * width)] = 0
  const header = Buffer.alloc(13)
  header.writeUInt32BE(width, 0)
  header.writeUInt32BE(height, 4)
  header.set([8, 2, 0, 0, 0], 8) // 8 bits a channel, RGB, and the only methods that PNG has
  return Buffer.concat([
    Buffer.from('\x89PNG\r\n\x1a\n', 'latin1'),
    chunk('IHDR', header),
    chunk('IDAT', deflateSync(rows, { level: 0 })),
    chunk('IEND', Buffer.alloc(0)),
  ])
}

function chunk(type, data) {
  const named = Buffer.concat([Buffer.from(type, 'latin1'), data])
  const [length, sum] = [Buffer.alloc(4), Buffer.alloc(4)]
  length.writeUInt32BE(data.length)
  sum.writeUInt32BE(crc32(named))
  return Buffer.concat([length, named, sum])
}
