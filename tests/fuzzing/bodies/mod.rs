//! The bodies of the fuzz targets, shared with `fuzz/fuzz_targets`: each takes any bytes, runs the
//! program that they stand for on a heap made for it, and says what was wrong, if anything was.
//!
//! ```text
//! bytes ─► input: numbers ─► sequences   threads against a model (tests/model/harness)
//!                            pointers    any usize as a pointer
//!                            realloc     chains of resizes
//!                            misuse      a program with bugs in it
//!                               │
//!                               ▼
//!                            bed: a heap of its own, under any policy, and a second thread
//! ```
//!
//! The process's own allocator is not the one under test, and a violation is a value.

pub mod bed;
pub mod content;
pub mod fault;
pub mod input;
pub mod misuse;
pub mod pointers;
pub mod reach;
pub mod realloc;
pub mod second;
pub mod sequences;

#[path = "../../model/harness/mod.rs"]
pub mod harness;

/// What a body found wrong with the heap.
pub type Finding = String;
