// Where things are. Every script of the repository takes its paths from here, so none depends on the directory it was called from.
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

/** The repository. */
export const root = fileURLToPath(new URL('../../../', import.meta.url))
/** Tools of the project itself, at the versions it pins. Ignored by git, may be deleted at any time. */
export const tools = join(root, '.tools')
/** Where `npm start` lets its relay keep its identity, so that links name the same relay tomorrow. Ignored by git; deleting it makes a new relay. */
export const relayData = join(tools, 'relay-data')
/** Cargo's output. */
export const target = process.env.CARGO_TARGET_DIR ?? join(root, 'target')
/** Programs that npm packages bring, a current Node among them. */
export const npmPrograms = join(root, 'node_modules', '.bin')
/** What wasm-bindgen writes: the wasm module and its generated JavaScript. */
export const wasmPackage = join(root, 'crates', 'web', 'pkg')
/** The npm package's files as they are published. */
export const packageFiles = join(root, 'crates', 'web', 'dist')
/** The built web app. */
export const site = join(root, 'www', 'dist')
/** The relay, built for release. */
export const relayServer = join(target, 'release', process.platform === 'win32' ? 'relay-server.exe' : 'relay-server')
