// A page that was loaded from the internet is not sent to inner addresses, whoever names them: a link, a peer, a server that says where relays are.
import assert from 'node:assert/strict'
import { createServer as createWebServer } from 'node:http'
import { createServer } from 'node:net'
import { after, before, test } from 'node:test'
import { reachable } from '../app.mjs'
import { KINDS, launch } from '../browsers.mjs'
import { createPackageRelay, openNode } from '../nodes.mjs'

/** A name of the public internet, to the page; in truth this machine. */
const ELSEWHERE = 'relay.shoal.example'
/** PeerIds that nobody has: of the relays that are named, and of who is said to be behind them. */
const NOBODY = '12D3KooWDpJ7As7BWAwRMfu1VU2WCqNjvq387JEYKDBj4kx6nXTN'
const SENDER = '12D3KooWD3eckifWpRn9wQpMG9R9hX3sD158z7EqHWmweQAJU5SA'

let relay
before(async () => (relay = await createPackageRelay()))
after(() => relay?.stop())

/** A listener of this machine that counts who comes. */
async function door(t, host) {
  const door = { port: 0, knocks: 0 }
  const server = createServer((socket) => {
    door.knocks += 1
    socket.destroy()
  })
  await new Promise((resolve, reject) => server.once('error', reject).listen(0, host, resolve))
  door.port = server.address().port
  t.after(() => server.close())
  return door
}

/** A web server that names these addresses as those of a relay. */
async function liar(t, peerId, addresses) {
  const asked = { port: 0, times: 0 }
  const server = createWebServer((_, response) => {
    asked.times += 1
    response.setHeader('access-control-allow-origin', '*')
    response.end(JSON.stringify({ peerId, addresses }))
  })
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve))
  asked.port = server.address().port
  t.after(() => server.close())
  return asked
}

for (const kind of KINDS) {
  test(`${kind}: inner addresses that others name are knocked at by a page of this machine, and never by one of the internet`, async (t) => {
    const mapped = kind === 'chromium' ? { args: [`--host-resolver-rules=MAP ${ELSEWHERE} 127.0.0.1`] } : { preferences: { 'network.dns.localDomains': ELSEWHERE } }
    const browser = await launch(kind, mapped)
    t.after(() => browser.close())
    const doors = [await door(t, '127.0.0.1'), await door(t, '0.0.0.0')]
    const [loopback, all] = doors.map(({ port }) => port)
    const knocks = () => doors.reduce((sum, { knocks }) => sum + knocks, 0)
    const hosts = [
      `ip4/127.0.0.1/tcp/${loopback}`,
      `ip6/::1/tcp/${all}`,
      `dns4/localhost/tcp/${all}`,
      `ip4/127.1.2.3/tcp/${all}`,
      `ip6/::ffff:127.0.0.1/tcp/${all}`,
      `ip4/0.0.0.0/tcp/${all}`,
      `ip4/192.168.0.1/tcp/${all}`,
      `ip4/169.254.169.254/tcp/${all}`,
    ]
    const named = hosts.map((host) => `/${host}/ws/p2p/${NOBODY}`)
    const server = await liar(t, NOBODY, named)

    /** A page with a node, at this address of the relay. */
    const start = async (url, bootstrap) => {
      const page = await openNode(t, browser, url, { bootstrap })
      await reachable(page)
      return page
    }
    /** Follows links that name each of these as the sender's relay; resolves to what became of the relays. */
    const follow = (page) =>
      page.evaluate(
        async (peer, relay, named) => {
          const cid = 'bafkreifzjut3te7nhyekklss27nh3k72ysco7y32koao5eei66wof36n5e'
          for (const via of named) {
            const signal = AbortSignal.timeout(1_000)
            await window.shoal.fetchContent(cid, { from: [peer], via: [via], signal }).catch(() => undefined)
          }
          return JSON.stringify((await window.shoal.diagnose(relay)).steps)
        },
        SENDER,
        NOBODY,
        named,
      )

    const elsewhere = relay.url.replace('localhost', ELSEWHERE)
    const far = await start(elsewhere, [elsewhere, `http://${ELSEWHERE}:${server.port}`])
    assert.match(await follow(far), /its host is not one that others may send us to/)
    assert.equal(knocks(), 0)
    assert.notEqual(server.times, 0, 'the server was asked for addresses')
    await far.close()

    // The doors do count.
    const near = await start(relay.url, [relay.url])
    await follow(near)
    t.diagnostic(`a page of this machine knocked ${knocks()} times`)
    assert.notEqual(doors[0].knocks, 0)
    assert.notEqual(doors[1].knocks, 0)
  })
}
