//! This machine's C library, called directly.
#![expect(unsafe_code, reason = "calls malloc and free, rightly and wrongly")]

use super::heap::Heap;
use std::hint::black_box;
use std::ptr::with_exposed_provenance_mut;

/// What the Rust runtime and the loader freed is taken first, so that what follows comes from the
/// top, one object above the other.
const LEFT_OVER: usize = 40;

pub struct Glibc;

impl Heap for Glibc {
    fn prepare(&self) {
        for size in (24..1100).step_by(16) {
            for _ in 0..LEFT_OVER {
                self.allocate(size);
            }
        }
        for _ in 0..8 {
            self.allocate(4000);
        }
    }

    fn allocate(&self, size: usize) -> usize {
        // SAFETY: any size may be asked for.
        black_box(unsafe { libc::malloc(size) }).expose_provenance()
    }

    fn free(&self, at: usize) {
        // SAFETY: none where it matters: the attacks pass what must not be passed.
        unsafe { libc::free(black_box(with_exposed_provenance_mut(at))) }
    }

    /// glibc's sized forms ignore the size.
    fn free_sized(&self, at: usize, _: usize) {
        self.free(at);
    }

    fn resize(&self, at: usize, size: usize) -> usize {
        // SAFETY: as for `free`.
        unsafe { libc::realloc(black_box(with_exposed_provenance_mut(at)), size) }
            .expose_provenance()
    }
}
