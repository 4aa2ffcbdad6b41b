//! `libcasemate_strict.so`: the C ABI of the heap under the strict policy. See
//! `preload/src/lib.rs`.
#![no_std]

#[path = "../../src/abi/mod.rs"]
mod abi;
#[cfg(not(casemate_unguarded))]
#[path = "../../src/guarded/mod.rs"]
mod guarded;
#[cfg(not(casemate_unguarded))]
#[path = "../../src/guarded/memory.rs"]
mod memory;

/// The policy of this library.
type Chosen = heap::Strict;
