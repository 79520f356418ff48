// Wasm of the benchmark's own, built as visitors' wasm is.
import { join } from 'node:path'
import { root, target } from '../../crates/web/build/paths.mjs'
import { run } from '../../crates/web/build/process.mjs'
import { recipe } from '../../crates/web/build/recipe.mjs'
import { wasmBindgen } from '../../crates/web/build/toolchain.mjs'

/** Compiles a crate of the benchmark. */
export const compileWasm = (crate) =>
  run('cargo', ['build', '--locked', '--profile', recipe.build.profile, '--target', recipe.toolchain.target, '-p', crate], { cwd: root })

/** Puts a compiled crate's module beside a page, as `./shoal_bench_….js`. */
export const bindWasm = (crate, folder) =>
  run(wasmBindgen, ['--target', 'web', '--out-dir', folder, join(target, recipe.toolchain.target, recipe.build.profile, `${crate.replaceAll('-', '_')}.wasm`)])
