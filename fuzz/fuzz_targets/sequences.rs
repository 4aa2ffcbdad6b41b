//! Sequences of operations by several threads against the model, with a walk over the heap's
//! invariants after each. The body is that of the model test, see `tests/model/harness`.
//!
//! ```text
//! cargo +nightly fuzz run sequences
//! cargo fuzz run --sanitizer none sequences        (stable)
//! ```
#![no_main]

#[path = "../../tests/model/harness/mod.rs"]
mod harness;

use casemate::Full;
use harness::pool::Pool;
use harness::run::{Summary, run};
use harness::sequence::{THREADS, largest};
use harness::subject::Own;
use libfuzzer_sys::fuzz_target;
use std::cell::RefCell;

/// Inputs that one heap serves: enough for reuse and adoption, few enough to walk it quickly.
const HISTORY: usize = 16;
/// Objects are kept smaller than in the model test, or the fuzzer would dwell on page faults.
const LARGEST: usize = 4 << 20;

thread_local! {
    static STATE: RefCell<(Option<Pool<Own<Full>>>, Summary)> = RefCell::default();
}

fuzz_target!(|bytes: &[u8]| {
    STATE.with_borrow_mut(|(pool, summary)| {
        if summary.sequences % HISTORY == 0 {
            pool.take().map(Pool::end);
        }
        let pool = pool.get_or_insert_with(|| Pool::new(Own::new(), THREADS));
        if let Err(what) = run(pool, bytes, largest(bytes).min(LARGEST), summary) {
            panic!("{what}");
        }
    });
});
