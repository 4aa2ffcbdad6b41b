//! Random programs with bugs in them, see `tests/fuzzing/bodies/misuse`.
//!
//! ```text
//! cargo +nightly fuzz run misuse
//! cargo fuzz run --sanitizer none misuse        (stable)
//! ```
#![no_main]

#[allow(dead_code, reason = "the other targets' bodies")]
#[path = "../../tests/fuzzing/bodies/mod.rs"]
mod bodies;

use bodies::fault::Fault;
use bodies::misuse::{Summary, run};
use casemate::Full;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    if let Err(what) = run::<Full>(bytes, Fault::None, &mut Summary::default()) {
        panic!("{what}");
    }
});
