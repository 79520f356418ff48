/** One reader of the node's events that passes each on to whoever asked for its type. */

import type { NodeEvent, ShoalNode } from 'shoal'

type Of<Type extends NodeEvent['type']> = Extract<NodeEvent, { type: Type }>
type Listener = (event: NodeEvent) => void

/** Subscriptions by event type; made before the node runs, so nothing is missed. */
export class Feed {
  private readonly listeners = new Map<NodeEvent['type'], Listener[]>()

  /** Calls `listener` with every event of this type, from now on. */
  on<Type extends NodeEvent['type']>(type: Type, listener: (event: Of<Type>) => void): void {
    this.listeners.set(type, [...(this.listeners.get(type) ?? []), listener as Listener])
  }

  /** Reads the node's events until it stops. */
  async follow(node: ShoalNode): Promise<void> {
    for await (const event of node.events()) {
      for (const listener of this.listeners.get(event.type) ?? []) listener(event)
    }
  }
}
