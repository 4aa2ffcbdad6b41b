//! `libcasemate_light.so`: the C ABI of the heap under the light policy. See `preload/src/lib.rs`.
#![no_std]

#[path = "../../src/abi/mod.rs"]
mod abi;

/// The policy of this library.
type Chosen = heap::Light;
