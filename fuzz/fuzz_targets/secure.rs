//! Sequences of operations on secure memory against the model, with a walk over its invariants.
//! The body is that of the model test, see `tests/secure/model`.
//!
//! ```text
//! cargo +nightly fuzz run secure
//! cargo fuzz run --sanitizer none secure        (stable)
//! ```
#![no_main]

#[path = "../../tests/secure/model/run.rs"]
mod run;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    if let Err(what) = run::run(bytes) {
        panic!("{what}");
    }
});
