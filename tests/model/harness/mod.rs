//! The model test's machinery, shared with the fuzz target (`fuzz/fuzz_targets/sequences.rs`):
//! bytes become steps, threads carry them out on a heap, a model says what must be true.
//!
//! ```text
//! bytes ─► sequence: steps ─► run: rounds ─► worker threads ─► subject: a heap
//!                              ▲    model          │ results
//!                              └───────────────────┘
//! ```
//!
//! The process's own allocator is not the one under test, so that a failure can be reported.

pub mod content;
pub mod model;
pub mod pool;
pub mod run;
pub mod sequence;
pub mod subject;
