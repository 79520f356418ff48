// Connects the page to itself, sends 100 messages the moment a channel opens, and transfers both ends of the channel to workers.
// Resolves to how many messages the receiving worker heard, which attaches its handlers `milliseconds` after the channel came.

const RECEIVER = `onmessage = async ({ data: { channel, milliseconds } }) => {
  channel.binaryType = 'arraybuffer'
  if (milliseconds > 0) await new Promise(resolve => setTimeout(resolve, milliseconds))
  let heard = 0
  channel.onmessage = () => { if (++heard === 100) postMessage(heard) }
  setTimeout(() => postMessage(heard), 3000)
}`

const SENDER = `onmessage = ({ data: { channel } }) => {
  const send = () => { for (let number = 0; number < 100; number++) channel.send(new Uint8Array(1000)) }
  if (channel.readyState === 'open') send()
  else channel.onopen = send
}`

export async function transferAndListenLate (milliseconds) {
  const workers = [SENDER, RECEIVER].map(source => new Worker(URL.createObjectURL(new Blob([source]))))
  const [here, there] = [new RTCPeerConnection(), new RTCPeerConnection()]
  const heard = new Promise((resolve, reject) => {
    for (const worker of workers) worker.onerror = ({ message }) => reject(new Error(message))
    workers[1].onmessage = ({ data }) => resolve(data)
  })
  here.onicecandidate = ({ candidate }) => there.addIceCandidate(candidate)
  there.onicecandidate = ({ candidate }) => here.addIceCandidate(candidate)
  there.ondatachannel = ({ channel }) => workers[1].postMessage({ channel, milliseconds }, [channel])
  const channel = here.createDataChannel('')
  workers[0].postMessage({ channel }, [channel])
  await here.setLocalDescription()
  await there.setRemoteDescription(here.localDescription)
  await there.setLocalDescription()
  await here.setRemoteDescription(there.localDescription)
  try {
    return await heard
  } finally {
    for (const worker of workers) worker.terminate()
    here.close()
    there.close()
  }
}
