//! Prints the CID of what comes on standard input: `cargo run --release -p shoal-protocol --example cid -- unixfs-v1-2025 < file`
//!
//! The whole use of the importer in one place: cut, hash, push, finish. `tests/interop/cids.test.mjs` compares it with Helia's.

use std::error::Error;
use std::io::{self, Read};

use shoal_protocol::content::import::{Importer, Profile};
use shoal_protocol::content::{Codec, cid};

fn main() -> Result<(), Box<dyn Error>> {
    let profile: Profile = match std::env::args().nth(1) {
        Some(name) => name.parse()?,
        None => Profile::default(),
    };
    let mut input = io::stdin().lock();
    let mut importer = Importer::new(profile);
    let mut leaf = Vec::with_capacity(profile.leaf_size());
    loop {
        leaf.clear();
        let length = input.by_ref().take(profile.leaf_size() as u64).read_to_end(&mut leaf)?;
        if length == 0 {
            break;
        }
        importer.push_leaf(cid::of(Codec::Raw, &leaf), length as u64);
    }
    println!("{}", importer.finish().root);
    Ok(())
}
