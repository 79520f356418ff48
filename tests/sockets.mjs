// What the system says of a browser's UDP sockets. Linux tells it, other systems do not.
import { readdir, readFile, readlink } from 'node:fs/promises'
import { processes } from './browsers.mjs'

/**
 * How many datagrams came for a browser's sockets and were thrown away, because nobody had emptied the socket in time; `undefined` where the system does not tell.
 * @param {{ browser: import('puppeteer-core').Browser }} browser
 */
export async function overflowed({ browser }) {
  const rows = []
  for (const table of ['/proc/net/udp', '/proc/net/udp6']) {
    const text = await readFile(table, 'utf8').catch(() => '')
    rows.push(...text.trim().split('\n').slice(1).map((line) => line.trim().split(/\s+/)))
  }
  if (rows.length === 0) return undefined
  const own = new Set()
  for (const pid of await processes(browser)) {
    const folder = `/proc/${pid}/fd`
    for (const name of await readdir(folder).catch(() => [])) {
      const socket = /^socket:\[(\d+)\]$/.exec(await readlink(`${folder}/${name}`).catch(() => ''))
      if (socket) own.add(socket[1])
    }
  }
  const [INODE, DROPS] = [9, 12]
  return rows.filter((row) => own.has(row[INODE])).reduce((sum, row) => sum + Number(row[DROPS]), 0)
}
