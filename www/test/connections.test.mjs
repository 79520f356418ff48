// Several connections to one browser are one way to a person.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { together } from '../src/scripts/node/connection-row.ts'

const connection = (facts) => ({ peer: 'ann', path: 'direct', transport: 'webrtc', address: '/a', bytesReceived: 0, bytesSent: 0, ...facts })

test('direct ones to one peer are added up, whatever relay they were agreed upon over', () => {
  const ways = together([
    connection({ bytesReceived: 5, roundTripTime: 30 }),
    connection({ address: '/b', bytesReceived: 7, bytesSent: 1 }),
    connection({ bytesSent: 2, roundTripTime: 20 }),
    connection({ peer: 'bob' }),
  ])
  assert.deepEqual(ways.map(({ peer, count, bytesReceived, bytesSent, roundTripTime }) => [peer, count, bytesReceived, bytesSent, roundTripTime]), [
    ['ann', 3, 12, 3, 20],
    ['bob', 1, 0, 0, undefined],
  ])
})

test('relays and relayed connections stay apart', () => {
  const ways = together([connection({}), connection({ path: 'relayed', transport: 'circuit' }), connection({ path: 'relayed', transport: 'circuit', address: '/b' }), connection({ transport: 'websocket' })])
  assert.equal(ways.length, 4)
})
