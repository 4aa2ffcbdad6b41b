//! Random sequences over a heap, with a smaller one for what fails.

use crate::harness::pool::Pool;
use crate::harness::run::{Summary, run};
use crate::harness::sequence::{HEADER, STEP, THREADS, largest, turns};
use crate::harness::subject::Subject;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use std::cell::RefCell;
use std::fmt::{Debug, Formatter};

/// A sequence, shown by what it stands for.
#[derive(Clone)]
pub struct Bytes(Vec<u8>);

impl Debug for Bytes {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        for turn in turns(&self.0, largest(&self.0)) {
            writeln!(f, "{turn:?}")?;
        }
        write!(f, "{:?}", self.0)
    }
}

/// Bytes of random sequences.
pub fn bytes() -> impl Strategy<Value = Bytes> {
    let steps = vec(any::<[u8; STEP]>(), 1..120);
    (any::<[u8; HEADER]>(), steps).prop_map(|(header, steps)| {
        let mut bytes = header.to_vec();
        bytes.extend_from_slice(steps.as_flattened());
        Bytes(bytes)
    })
}

/// Sequences on one heap. A history is needed, for reuse, adoption and giving back; too long a
/// one takes time, since a walk looks at all memory that is free.
const HISTORY: usize = 30;

/// Ends the threads of a pool, if there is one.
fn end<S: Subject>(pool: &mut Option<Pool<S>>) {
    if let Some(pool) = pool.take() {
        pool.end();
    }
}

/// Runs this many random sequences on heaps made by `subject`, some on each; after a failure,
/// each smaller sequence on a fresh one.
pub fn try_sequences<S: Subject>(cases: u32, subject: impl Fn() -> S) -> Summary {
    let config =
        Config { cases, max_shrink_iters: 200, failure_persistence: None, ..Config::default() };
    let state = RefCell::new((None, Summary::default()));
    let outcome = TestRunner::new(config).run(&bytes(), |Bytes(bytes)| {
        let (pool, summary) = &mut *state.borrow_mut();
        // At most one sequence in a hundred has objects above 1 MiB.
        let may_be_large = (summary.large + 1) * 100 <= summary.sequences + 100;
        let most = if may_be_large { usize::MAX } else { 1 << 20 };
        let largest = largest(&bytes).min(most);
        if summary.sequences % HISTORY == 0 {
            end(pool);
        }
        let used = pool.get_or_insert_with(|| Pool::new(subject(), THREADS));
        run(used, &bytes, largest, summary).map_err(|what| {
            end(pool);
            TestCaseError::fail(what)
        })
    });
    if let Err(error) = outcome {
        panic!("{error}");
    }
    state.into_inner().1
}
