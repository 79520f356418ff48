//! The laboratory's pure half: what a link does to packets, how sites are built, what theory says of two of them, and how a scenario reads.
//! Nothing in here opens a socket, reads a clock or starts a program; the binary beside it does.
//!
//! ```text
//!   scenario.toml ─► Scenario ─► site::plan ─► scripts for namespaces      (the binary runs them)
//!                        │
//!                        ├─► theory: direct or relayed, and why            (the binary compares)
//!                        └─► Profile ─► Link: offer(now, packet), take(now) (the binary reads and writes TUN devices)
//! ```

pub mod link;
pub mod loss;
pub mod profile;
pub mod random;
pub mod scenario;
pub mod site;
pub mod table;
pub mod theory;
