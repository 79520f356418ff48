// A reverse proxy as operators put in front of a relay: it says by X-Forwarded-For where a request comes from. Each stands for one public address.
import { createServer, request } from 'node:http'

/**
 * Passes everything on to a relay that was told to trust it.
 * @param {number} port The relay's.
 * @param {string} address Where its clients come from, as it says.
 */
export async function createProxy(port, address) {
  const sockets = new Set()
  const pass = ({ method, url, headers }) => request({ host: '127.0.0.1', port, method, path: url, headers: { ...headers, 'x-forwarded-for': address } })
  const server = createServer((incoming, answer) => {
    const outgoing = pass(incoming)
    outgoing.on('response', (response) => {
      answer.writeHead(response.statusCode, response.headers)
      response.pipe(answer)
    })
    outgoing.on('error', () => answer.destroy())
    incoming.pipe(outgoing)
  })
  server.on('connection', (socket) => {
    sockets.add(socket)
    socket.once('close', () => sockets.delete(socket))
  })
  server.on('upgrade', (incoming, socket, head) => {
    const outgoing = pass(incoming)
    outgoing.on('upgrade', (response, far, begun) => {
      const lines = response.rawHeaders.flatMap((name, index, all) => (index % 2 === 0 ? [`${name}: ${all[index + 1]}`] : []))
      socket.write(`HTTP/1.1 101 Switching Protocols\r\n${lines.join('\r\n')}\r\n\r\n`)
      socket.write(begun)
      far.write(head)
      far.pipe(socket).pipe(far)
      far.on('error', () => socket.destroy()).on('close', () => socket.destroy())
      socket.on('error', () => far.destroy()).on('close', () => far.destroy())
    })
    outgoing.on('response', (response) => socket.end(`HTTP/1.1 ${response.statusCode} ${response.statusMessage}\r\n\r\n`))
    outgoing.on('error', () => socket.destroy())
    outgoing.end()
  })
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve))
  return {
    // A secure context for browsers, as https is.
    url: `http://localhost:${server.address().port}`,
    close: () =>
      new Promise((resolve) => {
        server.close(resolve)
        for (const socket of sockets) socket.destroy()
      }),
  }
}
