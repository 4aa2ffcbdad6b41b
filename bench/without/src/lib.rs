//! `libcasemate_without.so`: the preload library on the full policy without some protections, for
//! what those cost C and C++ programs. See `preload/src/lib.rs`.
#![no_std]

use heap::policy::{Set, Without};

#[path = "../../../preload/src/abi/mod.rs"]
mod abi;
#[cfg(not(casemate_unguarded))]
#[path = "../../../preload/src/guarded/mod.rs"]
mod guarded;
mod names;

/// The policy of this library.
type Chosen = Without<{ names::OFF }>;
