//! The cross-thread protocol of slabs under loom: every interleaving, and every stale value that
//! the memory model lets a relaxed load return.
//!
//! `RUSTFLAGS="--cfg loom" cargo test --release --test loom`
//!
//! Each module has the models of one subject, run on the crate's own code, and *controls*: the
//! same model on a copy of the protocol with one decisive step left out. A control must panic,
//! with the words of the fault; it shows that the model can fail.
//!
//! An `Err` of a transition stands for the end of the process: the models let the other threads
//! run on, but no longer promise anything.
#![cfg(loom)]

mod adoption;
mod double_free;
mod locks;
mod machine;
mod owner_race;
mod purge;
mod realloc;
mod remote_free;
mod sweep;
mod take_up;
mod world;
