/**
 * The page's start: first everything that works without the node (choosing, dropping, writing, reading the link), then the node behind it.
 * What was shared or opened meanwhile waits for it.
 */

import type { Nearby, ShoalNode } from 'shoal'
import { NearbyPanel } from './nearby/panel.ts'
import { elsewhere } from './node/elsewhere.ts'
import { Feed } from './node/feed.ts'
import { explain } from './node/problems.ts'
import { loadPackage, type Package, startNode } from './node/start.ts'
import { StatusBar } from './node/status-bar.ts'
import { Inbox } from './receive/inbox.ts'
import { Offers } from './receive/offers.ts'
import { listen } from './share/intake.ts'
import { Outbox } from './share/outbox.ts'
import { byId, element } from './view/part.ts'
import { Swim } from './view/swim.ts'

const page = document.documentElement
const statusBar = new StatusBar()
const feed = new Feed()
const swim = new Swim(byId<HTMLCanvasElement>('swim'), byId('drop-words'))
const busy = { receiving: false, serving: false }

let nodeStarted: (node: ShoalNode | Promise<ShoalNode>) => void
const node = new Promise<ShoalNode>((resolve) => (nodeStarted = resolve))
const shoal = loadPackage()

const inbox = new Inbox(byId('received'), node, (receiving) => swim.rest((busy.receiving = receiving) || busy.serving))
const outbox = new Outbox(byId('shared'), shoal, node, elsewhere(), (serving) => swim.rest((busy.serving = serving) || busy.receiving))

const nearbyPanel = new NearbyPanel((files, peer) => outbox.send(files.map((file) => ({ name: file.name, content: file })), peer))
const offers = new Offers(byId('offers'), (offer) => void shoal.then((loaded) => inbox.open(loaded, loaded.createLink(location.href, offer))))

/** Whether the page shows anything but the invitation to share. */
const settle = () => {
  page.dataset['mode'] = byId('received').childElementCount + byId('shared').childElementCount > 0 ? 'busy' : 'empty'
}
new MutationObserver(settle).observe(byId('received'), { childList: true })
new MutationObserver(settle).observe(byId('shared'), { childList: true })

/** The part of the URL that no server sees; `#work` is the skip link's target. */
const hasLink = (url: string) => /#(?!work$)./s.test(url)

function openLink(loaded: Package): void {
  if (!hasLink(location.href)) return
  const link = inbox.open(loaded, location.href)
  if (link?.from !== undefined) statusBar.wants(link.from)
}

function refuse(sentence: string): void {
  byId('refusals').replaceChildren(element('p', { class: 'notice' }, sentence))
}

listen(
  {
    offer: (offers) => {
      byId('refusals').replaceChildren()
      outbox.offer(offers)
    },
    refuse,
    openLink: (text) => {
      if (!URL.canParse(text) || !hasLink(text) || new URL(text).pathname !== location.pathname) return false
      location.hash = new URL(text).hash
      return true
    },
  },
  swim,
)

byId('skip').addEventListener('click', (event) => {
  // Following it as a link would replace the fragment, which names what is received.
  event.preventDefault()
  byId('work').focus()
})

addEventListener('beforeunload', (event) => {
  if (busy.serving) event.preventDefault()
})

feed.on('status', ({ status }) => statusBar.show(status))
const near = (nearby: Nearby) => {
  nearbyPanel.show(nearby)
  outbox.near(nearby.on ? nearby.peers : [])
  offers.near(nearby.peers)
}
feed.on('nearby', ({ nearby }) => near(nearby))
feed.on('offered', (offer) => offers.show(offer))
for (const change of ['connectionOpened', 'connectionClosed'] as const) {
  feed.on(change, () => {
    void statusBar.look()
    void nearbyPanel.look()
  })
}
feed.on('serving', (event) => void outbox.serving(event))
feed.on('restarted', () => statusBar.mention('The node was started again; everything stored is still here.'))

const starting = { loading: 'Loading the node…', starting: 'Starting the node…', joining: 'Joining the node of another tab…' }

/** Loads and starts the node; a failure is said, and everything that waits for the node says it too. */
async function start(): Promise<void> {
  try {
    const loaded = await shoal
    openLink(loaded)
    addEventListener('hashchange', () => openLink(loaded))
    const started = await startNode(loaded, ({ phase }) => statusBar.say(starting[phase]))
    void feed.follow(started).finally(() => statusBar.say('The node has stopped. Reload the page to start it again.'))
    statusBar.follow(started)
    void nearbyPanel.follow(started).catch(() => undefined)
    void started.nearby().then(near).catch(() => undefined)
    nodeStarted(started)
    statusBar.show(await started.status())
  } catch (error) {
    statusBar.say('The node could not start')
    refuse(explain(error))
    const failed = Promise.reject(error)
    failed.catch(() => undefined)
    nodeStarted(failed)
  }
}

void outbox.restore(!hasLink(location.href)).catch(() => undefined)
void start()
