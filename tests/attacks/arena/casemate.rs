//! The subject: Casemate through the functions that its C library is made of, and where a layout is
//! part of the attack through `GlobalAlloc`.
#![expect(unsafe_code, reason = "frees, rightly and wrongly")]

use super::heap::Heap;
use casemate::interface::{Claim, Interface, Origin, Request};
use casemate::{Casemate, Full, Light, Policy, Strict};
use std::alloc::{GlobalAlloc, Layout};
use std::ptr::with_exposed_provenance_mut;

/// The alignment of what C allocates.
const USUAL: usize = 16;
/// Pairs after which a thread has a heap of its own.
const EARNED: usize = 70;

/// A process uses one of these.
pub static FULL: Interface<Full> = Interface::new(|_| {}, |_| {}, || {});
pub static LIGHT: Interface<Light> = Interface::new(|_| {}, |_| {}, || {});
pub static STRICT: Interface<Strict> = Interface::new(|_| {}, |_| {}, || {});

const fn request(size: usize) -> Request {
    Request { size, align: USUAL, origin: Origin::Malloc }
}

impl<P: Policy> Heap for Interface<P> {
    fn prepare(&self) {
        for _ in 0..EARNED {
            Heap::free(self, Heap::allocate(self, 200));
        }
    }

    fn allocate(&self, size: usize) -> usize {
        Interface::allocate(self, request(size)).expose_provenance()
    }

    fn free(&self, at: usize) {
        // SAFETY: none where it matters: the attacks pass what must not be passed.
        unsafe {
            Interface::free(self, with_exposed_provenance_mut(at), Claim::from(Origin::Malloc))
        }
    }

    fn free_sized(&self, at: usize, size: usize) {
        let claim = Claim::usual(Origin::Malloc, USUAL).sized(size);
        // SAFETY: none where it matters, as for `free`.
        unsafe { Interface::free(self, with_exposed_provenance_mut(at), claim) }
    }

    fn allocate_layout(&self, layout: Layout) -> usize {
        // SAFETY: no attack asks for a layout of no bytes.
        unsafe { Casemate::<P>::new().alloc(layout) }.expose_provenance()
    }

    fn free_layout(&self, at: usize, layout: Layout) {
        // SAFETY: none where it matters, as for `free`.
        unsafe { Casemate::<P>::new().dealloc(with_exposed_provenance_mut(at), layout) }
    }

    fn resize(&self, at: usize, size: usize) -> usize {
        let claim = Claim::from(Origin::Malloc);
        // SAFETY: none where it matters, as for `free`.
        unsafe { self.reallocate(with_exposed_provenance_mut(at), claim, request(size)) }
            .expose_provenance()
    }
}
