//! The face that every attack sees: a C heap. Objects are addresses, as an attacker has them.

use super::{casemate, naive};
use std::alloc::Layout;

/// Calls like those of C. They look safe and are not: attacks pass what must not be passed.
pub trait Heap: Sync {
    /// Brings the heap into the state of a program that has run for a while.
    fn prepare(&self) {}
    /// `malloc`; 0 if there is no memory.
    fn allocate(&self, size: usize) -> usize;
    /// `free`.
    fn free(&self, at: usize);
    /// C23's `free_sized`, which is also C++'s sized `delete`.
    fn free_sized(&self, at: usize, size: usize);
    /// What a Rust program's allocation comes to: without a layout, `malloc`.
    fn allocate_layout(&self, layout: Layout) -> usize {
        self.allocate(layout.size())
    }
    /// The same for its free: without a layout, the sized one.
    fn free_layout(&self, at: usize, layout: Layout) {
        self.free_sized(at, layout.size());
    }
    /// `realloc`.
    fn resize(&self, at: usize, size: usize) -> usize;
}

/// The names of the heaps that attacks run on, the control first.
#[cfg(target_env = "gnu")]
pub const HEAPS: &[&str] = &[NAIVE, GLIBC, CASEMATE];
/// The names of the heaps that attacks run on, the control first.
#[cfg(not(target_env = "gnu"))]
pub const HEAPS: &[&str] = &[NAIVE, CASEMATE];

/// The control.
pub const NAIVE: &str = "naive";
/// This machine's C library.
pub const GLIBC: &str = "glibc";
/// The subject, full policy.
pub const CASEMATE: &str = "casemate";
/// The subject under its other policies, of which nothing is asserted.
pub const LIGHT: &str = "light";
/// See [`LIGHT`].
pub const STRICT: &str = "strict";

/// The heap of a name.
pub fn named(name: &str) -> Option<&'static dyn Heap> {
    match name {
        NAIVE => Some(&naive::Naive),
        #[cfg(target_env = "gnu")]
        GLIBC => Some(&super::glibc::Glibc),
        CASEMATE => Some(&casemate::FULL),
        LIGHT => Some(&casemate::LIGHT),
        STRICT => Some(&casemate::STRICT),
        _ => None,
    }
}
