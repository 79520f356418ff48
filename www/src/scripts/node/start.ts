/** Loads the package and starts the one node of this page. The first screen is up before either is done. */

import type { ShoalNode, StartProgress } from 'shoal'

/** The npm package, loaded after the first screen. */
export type Package = typeof import('shoal')

declare global {
  interface Window {
    /** The running node, for the console. */
    shoal?: ShoalNode
  }
}

const mark = (state: 'loading' | 'starting' | 'ready' | 'failed') => {
  document.documentElement.dataset['node'] = state
}

/** @returns the package; a failed download is reported as the state `failed`. */
export async function loadPackage(): Promise<Package> {
  try {
    const loaded = await import('shoal')
    mark('starting')
    return loaded
  } catch (error) {
    mark('failed')
    throw error
  }
}

/**
 * @param onProgress told at each step of the start
 * @returns the node, which is also `window.shoal` from then on.
 */
export async function startNode(shoal: Package, onProgress: (progress: StartProgress) => void): Promise<ShoalNode> {
  try {
    const node = await shoal.createNode({}, { onProgress })
    window.shoal = node
    mark('ready')
    return node
  } catch (error) {
    mark('failed')
    throw error
  }
}
