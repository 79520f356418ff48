// The physical limit: a bare RTCDataChannel between the same two browsers, without any protocol on top. Everything else is a share of this.

/** What a sensible program does: messages of 64 KiB, at most 256 KiB waiting. */
export const RAW_SCRIPT = `
const MESSAGE = 64 * 1024
const WAITING = 256 * 1024
const gathered = (connection) => new Promise((resolve) => {
  const done = () => connection.iceGatheringState === 'complete' && resolve(connection.localDescription.toJSON())
  connection.addEventListener('icegatheringstatechange', done)
  done()
})
window.raw = {
  async offer() {
    this.connection = new RTCPeerConnection()
    this.channel = this.connection.createDataChannel('raw')
    this.channel.binaryType = 'arraybuffer'
    this.urgent = this.connection.createDataChannel('echo')
    this.open = Promise.all([this.channel, this.urgent].map((channel) => new Promise((resolve) => (channel.onopen = resolve))))
    await this.connection.setLocalDescription()
    return gathered(this.connection)
  },
  async answer(offer) {
    this.connection = new RTCPeerConnection()
    this.connection.ondatachannel = ({ channel }) => {
      channel.binaryType = 'arraybuffer'
      channel.onmessage = ({ data }) => (channel.label === 'echo' ? channel.send(data) : this.send(channel, Number(data)))
    }
    await this.connection.setRemoteDescription(offer)
    await this.connection.setLocalDescription()
    return gathered(this.connection)
  },
  async accept(answer) {
    await this.connection.setRemoteDescription(answer)
    await this.open
  },
  async send(channel, total) {
    const message = new Uint8Array(MESSAGE)
    channel.bufferedAmountLowThreshold = WAITING / 2
    for (let sent = 0; sent < total; sent += MESSAGE) {
      if (channel.bufferedAmount > WAITING) await new Promise((resolve) => channel.addEventListener('bufferedamountlow', resolve, { once: true }))
      channel.send(sent + MESSAGE > total ? message.subarray(0, total - sent) : message)
    }
  },
  fetch(total) {
    const began = performance.now()
    let bytes = 0
    let firstByte
    return new Promise((resolve) => {
      this.channel.onmessage = ({ data }) => {
        firstByte ??= performance.now() - began
        bytes += data.byteLength
        if (bytes >= total) resolve({ bytes, firstByte, time: performance.now() - began })
      }
      this.channel.send(String(total))
    })
  },
  async roundTrips(count) {
    this.enough = false
    const times = []
    while (!this.enough && times.length < count) {
      const began = performance.now()
      await new Promise((resolve) => ((this.urgent.onmessage = resolve), this.urgent.send('?')))
      times.push(performance.now() - began)
      await new Promise((resolve) => setTimeout(resolve, 10))
    }
    return times
  },
  stop() {
    this.connection.close()
  },
}`

/** Connects two pages that run the script. The second one receives. */
export async function connectRaw(sending, receiving) {
  const offer = await receiving.evaluate(() => window.raw.offer())
  const answer = await sending.evaluate((offer) => window.raw.answer(offer), offer)
  await receiving.evaluate((answer) => window.raw.accept(answer), answer)
}
