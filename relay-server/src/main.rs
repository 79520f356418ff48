//! Shoal relay: to come.
fn main() {}
