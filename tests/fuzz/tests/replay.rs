//! What the fuzzer found worth keeping, once through: no rule is broken. A finding that was fixed stays in the corpus.
#![allow(clippy::expect_used, reason = "a test")]

use std::{fs, path::PathBuf};

#[test]
fn nothing_that_was_found_is_broken_again() {
    let corpus = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("corpus");
    for (name, run) in shoal_fuzz::TARGETS {
        let folder = corpus.join(name);
        let mut inputs: Vec<PathBuf> =
            fs::read_dir(&folder).expect("each target has a corpus").map(|entry| entry.expect("readable").path()).collect();
        inputs.sort();
        assert!(inputs.len() >= 10, "{}: {} inputs", folder.display(), inputs.len());
        for input in inputs {
            // On failure the last line names the input.
            println!("{}", input.display());
            run(&fs::read(&input).expect("readable"));
        }
    }
}

/// Shapes that no fuzzer needs to look for: nothing, much of the same, and noise.
#[test]
fn simple_inputs() {
    let mut noise = 0x9e37_79b9_7f4a_7c15_u64;
    let mut random = || {
        noise ^= noise << 13;
        noise ^= noise >> 7;
        noise ^= noise << 17;
        (noise >> 32) as u8
    };
    for (name, run) in shoal_fuzz::TARGETS {
        println!("{name}");
        run(&[]);
        for byte in [0, 1, 0x7f, 0x80, 0xff] {
            run(&[byte; 300]);
        }
        for length in [1, 10, 100, 1_000] {
            for _ in 0..100 {
                run(&(0..length).map(|_| random()).collect::<Vec<u8>>());
            }
        }
    }
}
