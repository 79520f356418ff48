/**
 * The dedicated worker's script. Imported by a page instead (where workers are blocked, or cannot take data channels), it only lends `serveNode`.
 */
import { NodeServer } from './node-server.ts'
import { serve } from './server.ts'
import type { Port } from './rpc.ts'

/** Answers a page's calls with a node of this thread's own. */
export function serveNode(port: Port): void {
  const node = new NodeServer()
  serve(port, node.all)
}

if ('DedicatedWorkerGlobalScope' in globalThis) serveNode(globalThis as unknown as Port)
