/**
 * What `Date.now()` is inside worker.js (the build puts it there): the device's clock, two weeks slow.
 *
 * libp2p's relay client subtracts it from the moment at which a reservation ends by the *relay's* clock. On a device whose clock is an hour fast
 * nothing would be left, and every reservation would count as refused. The difference only says when libp2p renews by itself, which the node does
 * far earlier, by a clock that nobody sets (`crates/node/src/relays.rs`). So a slow clock costs nothing, and devices up to two weeks fast are served.
 * More would be too much: a browser's timers hold 24.8 days, and what is set for longer fires at once.
 */
// A device that lost its clock stands at the beginning of 1970, and times before that are a fault to Rust.
export const slowNow = (): number => Math.max(0, new Date().getTime() - 14 * 86_400_000)
