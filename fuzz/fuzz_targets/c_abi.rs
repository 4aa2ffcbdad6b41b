//! Sequences of calls of the C and C++ functions against a model, see `preload/tests/sequence`.
//! The functions are compiled in under names of their own, so that the fuzzer sees into them and
//! keeps its own malloc.
//!
//! ```text
//! cargo +nightly fuzz run c_abi
//! cargo fuzz run --sanitizer none c_abi        (stable)
//! ```
#![no_main]

extern crate casemate as heap;

#[allow(dead_code, reason = "the functions that only print are not called")]
#[path = "../../preload/src/abi/mod.rs"]
mod abi;
#[path = "../../preload/tests/sequence/mod.rs"]
mod sequence;

use libfuzzer_sys::fuzz_target;
use sequence::{Abi, Traits, run};

/// The policy of the functions.
type Chosen = heap::Full;

const ABI: Abi = Abi {
    malloc: abi::malloc::malloc,
    calloc: abi::malloc::calloc,
    realloc: abi::malloc::realloc,
    reallocarray: abi::malloc::reallocarray,
    free: abi::malloc::free,
    free_sized: abi::malloc::free_sized,
    free_aligned_sized: abi::aligned::free_aligned_sized,
    posix_memalign: abi::aligned::posix_memalign,
    aligned_alloc: abi::aligned::aligned_alloc,
    malloc_usable_size: abi::sizes::malloc_usable_size,
    malloc_object_size: abi::sizes::malloc_object_size,
    malloc_trim: abi::tuning::malloc_trim,
    new: abi::operators::new,
    new_aligned: abi::operators::new_aligned,
    new_array: abi::operators::new_array,
    delete: abi::operators::delete_one,
    delete_sized: abi::operators::delete_sized,
    delete_aligned: abi::operators::delete_aligned,
    delete_aligned_sized: abi::operators::delete_aligned_sized,
    delete_array: abi::operators::delete_array,
    delete_array_sized: abi::operators::delete_array_sized,
};

fuzz_target!(|bytes: &[u8]| {
    if let Err(what) = run(&ABI, Traits { wipes: true, samples: false }, bytes) {
        panic!("{what}");
    }
});
