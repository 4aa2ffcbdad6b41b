//! Operations by up to four threads, several at the same time, against a model: the model test's
//! body, see `tests/model/harness`.

use super::Finding;
use super::harness::pool::Pool;
use super::harness::run::{Summary, run};
use super::harness::sequence::{THREADS, largest};
use super::harness::subject::Subject;

/// Objects are kept smaller than in the model test, or the fuzzer would dwell on page faults.
const LARGEST: usize = 4 << 20;
/// Inputs that one heap serves: enough for reuse and adoption, few enough to walk it quickly.
const HISTORY: usize = 16;

/// A heap that serves some inputs, and what came of them.
pub struct State<S: Subject> {
    pool: Option<Pool<S>>,
    /// What was done.
    pub summary: Summary,
}

impl<S: Subject> Default for State<S> {
    fn default() -> Self {
        State { pool: None, summary: Summary::default() }
    }
}

impl<S: Subject> State<S> {
    /// Runs an input on a heap made by `subject`, which it shares with some inputs before it.
    pub fn run(&mut self, bytes: &[u8], subject: impl Fn() -> S) -> Result<(), Finding> {
        if self.summary.sequences.is_multiple_of(HISTORY) {
            self.end();
        }
        let pool = self.pool.get_or_insert_with(|| Pool::new(subject(), THREADS));
        run(pool, bytes, largest(bytes).min(LARGEST), &mut self.summary)
    }

    /// Ends the threads and gives up the heap.
    pub fn end(&mut self) {
        if let Some(pool) = self.pool.take() {
            pool.end();
        }
    }
}
