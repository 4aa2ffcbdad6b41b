//! Secure memory: the functions, in processes of their own where they end one or where a limit, a
//! filter or a fork is part of the case.
//!
//! | file | subject |
//! |---|---|
//! | `basics` | what every buffer is: zeroed, aligned, exact, reported, refused layouts |
//! | `access` | access states and borrow counts |
//! | `lethal` | every misuse, with the exact words; overflow and underflow to the byte |
//! | `misuse_slots`, `misuse_pages`, `looks` | its cases, which the controls in `src/secure/controls.rs` run without the protection they show |
//! | `limits` | RLIMIT_MEMLOCK that binds, and kernels that refuse |
//! | `forks` | children, with and without handlers, by `vfork`, with threads |
//! | `threads` | many threads at once, handlers of signals |
//! | `model` | sequences of operations against a model |
//!
//! The test binary's own allocator is the system's: secure memory does not need Casemate's.

#![expect(unsafe_code, reason = "raw buffers, limits, forks")]

mod access;
mod basics;
#[path = "../environment/child.rs"]
mod child;
mod ending;
#[path = "../fork/family.rs"]
mod family;
mod filter;
mod forks;
mod lethal;
#[path = "../environment/limit.rs"]
mod limit;
mod limits;
mod looks;
mod misuse_pages;
mod misuse_slots;
mod model;
mod raw;
mod threads;
