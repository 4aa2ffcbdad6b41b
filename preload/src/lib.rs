//! `libcasemate.so`: the heap as the `malloc` of any program, under the full policy.
//!
//! The code is in `abi/` and `guarded/`, shared with `light/` and `strict/`, which differ by the
//! policy and by which memory functions they guard. Nothing here
//! allocates, and nothing waits for a constructor: the first call of `malloc` starts the heap.
#![no_std]

mod abi;
#[cfg(not(casemate_unguarded))]
mod guarded;

/// The policy of this library.
type Chosen = heap::Full;
