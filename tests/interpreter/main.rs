//! The heap under Miri, an interpreter that reports undefined behaviour: accesses to memory that is
//! not there or holds nothing, misaligned ones, broken borrows, data races. Under the heap lies a
//! stand-in for the operating system, whose memory is one allocation of the interpreter's.
//!
//! `ci/interpreter` runs it, and says what does not run here and why.
//!
//! ```text
//! small, large, nothing, threads, given_back  ─►  world: a heap, objects  ─►  machine  ─►  arena
//! controls: what the interpreter must find
//! ```
#![cfg(miri)]

mod arena;
mod controls;
mod given_back;
mod large;
mod machine;
mod nothing;
mod small;
mod threads;
mod world;
