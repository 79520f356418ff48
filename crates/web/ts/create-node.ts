/** Starts a node in this page. */
import { Client } from './client.ts'
import { complete } from './config.ts'
import { requireBrowser } from './limitations.ts'
import { Tab } from './tabs.ts'
import type { NodeConfig, ShoalNode, StartOptions } from './types.ts'

/**
 * Starts a node, or joins the one that another tab of this site runs already: there is one per site and store name.
 *
 * Resolves once the node can publish and read; whether others can reach it yet is told by `status()` and the `status` events.
 * @throws ShoalError `InvalidConfig` naming the field, `Unsupported` where this browser cannot run a node, `StorageFailed`
 * @example
 * const node = await createNode({ store: { name: 'my-app' } })
 * const cid = await node.publishContent('hello')
 */
export async function createNode(config: NodeConfig = {}, options: StartOptions = {}): Promise<ShoalNode> {
  requireBrowser()
  options.signal?.throwIfAborted()
  const settings = complete(config, location.href)
  const client: Client = new Client(() => tab.leave(), settings.store.kind === 'indexeddb', ({ on, name }) => {
    settings.nearby.on = on
    if (name === undefined) delete settings.nearby.name
    else settings.nearby.name = name
  })
  let started = false
  const tab = new Tab(settings, client, (progress) => started || options.onProgress?.(progress))
  try {
    tab.join()
    await client.ready(options.signal)
    started = true
    return client
  } catch (error) {
    await client.stop()
    throw error
  }
}
