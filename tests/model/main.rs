//! The model test: random sequences of allocations, resizes and frees by several threads, of
//! every policy, checked against a model, with a walk over the heap's invariants after each.
//!
//! The heap under test is not this program's own allocator: what goes wrong is reported, with
//! the smallest sequence that proptest can find, and not an abort.

mod corpus;
mod faces;
mod harness;
mod limits;
mod processes;
mod sequences;
