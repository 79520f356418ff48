// The largest crowd that a relay takes by default: what each page costs it, and how fast bytes go through it. The peers are native, each from a network
// of its own, on the same cores as the relay: relay-server/tests/relay/crowd.rs, in its full size.
import { capture } from '../../crates/web/build/process.mjs'
import { root } from '../../crates/web/build/paths.mjs'

/** Reservations and circuits: `max_reservations` and `max_circuits`. */
const CROWD = '10000,2000'

/** @returns {Promise<Record<string, number>>} what the test says */
export async function crowd() {
  const output = await capture('cargo', ['test', '--locked', '--release', '--workspace', '--test', 'relay', '--', '--nocapture', '--exact', 'crowd::every_page_costs_little_memory_and_bytes_go_through_fast'], {
    cwd: root,
    env: { SHOAL_CROWD: CROWD },
  })
  const [, figures] = /^(?:test .* \.\.\. )?crowd (\{.*\})$/m.exec(output) ?? []
  if (figures === undefined) throw new Error(`the crowd said nothing of itself:\n${output}`)
  return JSON.parse(figures)
}
