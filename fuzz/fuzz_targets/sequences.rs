//! Sequences of operations by several threads against the model, with a walk over the heap's
//! invariants after each. The body is that of the model test, see `tests/model/harness`.
//!
//! ```text
//! cargo +nightly fuzz run sequences
//! cargo fuzz run --sanitizer none sequences        (stable)
//! ```
#![no_main]

#[allow(dead_code, reason = "the other targets' bodies")]
#[path = "../../tests/fuzzing/bodies/mod.rs"]
mod bodies;

use bodies::harness::subject::Own;
use bodies::sequences::State;
use casemate::Full;
use libfuzzer_sys::fuzz_target;
use std::cell::RefCell;

thread_local! {
    static STATE: RefCell<State<Own<Full>>> = RefCell::default();
}

fuzz_target!(|bytes: &[u8]| {
    if let Err(what) = STATE.with_borrow_mut(|state| state.run(bytes, Own::new)) {
        panic!("{what}");
    }
});
