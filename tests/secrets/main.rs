//! Secure memory seen from outside the library: by the kernel's own account, by other processes,
//! in core dumps, and by a search of the whole address space for the bytes of a secret.
//!
//! | file | subject |
//! |---|---|
//! | `remains` | what is left of a secret after drop, growth, conversion, a panic |
//! | `ended` | the same at the moment a violation ends the process, seen by a debugger |
//! | `dump` | core dumps |
//! | `peek` | what other processes read through `/proc/PID/mem` |
//! | `children` | the memory of forked children, and what they inherit |
//! | `flags` | the kernel's flags of each mapping against what `safe_query` claims |
//! | `threads` | handles in other threads, and threads that end |
//!
//! Each search has a control that finds the same bytes while the secret is alive, or in an ordinary
//! vector: so it could fail. `mark` keeps the searched bytes out of the searching program.

#![expect(unsafe_code, reason = "looks at memory, ends processes")]

mod advice;
#[path = "../environment/child.rs"]
mod child;
mod children;
mod dump;
mod ended;
#[path = "../fork/family.rs"]
mod family;
#[path = "../secure/filter.rs"]
mod filter;
mod flags;
mod maps;
mod mark;
mod other;
mod peek;
#[path = "../secure/raw.rs"]
#[expect(dead_code, reason = "not all of it is used here")]
mod raw;
mod remains;
mod search;
mod threads;
