/**
 * Shoal: a peer-to-peer node that runs in a web page.
 *
 * Importing this touches nothing: it can be imported on a server; `createNode` needs a browser.
 * @module
 */
export { createNode } from './create-node.ts'
export { describeDiagnosis } from './diagnosis.ts'
export { ShoalError } from './errors.ts'
export { createLink, parseLink, type ShareLink } from './link.ts'
export type * from './types.ts'
