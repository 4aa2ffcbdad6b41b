//! The process's heap as a subject, by `GlobalAlloc`.

#![expect(unsafe_code, reason = "calls an allocator by its unsafe interface")]

use crate::harness::subject::{Outcome, Subject};
use casemate::interface::Interface;
use casemate::policy::Set;
use casemate::{Casemate, Policy, Verified};
use std::alloc::{GlobalAlloc, Layout};

/// The process's heap. A process can have one policy only.
#[derive(Clone, Copy)]
pub struct Face<P: Policy>(&'static Casemate<P>);

impl<P: Policy> Face<P> {
    /// The process's heap by this face. What earlier threads left empty is given back: the walk
    /// after each sequence looks through all that is free.
    pub fn new(face: &'static Casemate<P>) -> Self {
        Interface::<P>::new(|_| {}, |_| {}, || {}).trim();
        Face(face)
    }
}

impl<P: Policy + Copy> Subject for Face<P> {
    const ZERO: bool = P::SET.has(Set::WIPE);

    fn allocate(&self, layout: Layout, zeroed: bool) -> Outcome<*mut u8> {
        // SAFETY: no layout of a sequence has size 0.
        Ok(unsafe { if zeroed { self.0.alloc_zeroed(layout) } else { self.0.alloc(layout) } })
    }

    unsafe fn free(&self, object: *mut u8, layout: Layout) -> Outcome<()> {
        // SAFETY: the caller's obligations are the same.
        unsafe { self.0.dealloc(object, layout) };
        Ok(())
    }

    unsafe fn reallocate(&self, object: *mut u8, layout: Layout, size: usize) -> Outcome<*mut u8> {
        // SAFETY: the caller's obligations are the same.
        Ok(unsafe { self.0.realloc(object, layout, size) })
    }

    fn verify(&self) -> Outcome<Verified> {
        casemate::verify().map_err(|violation| format!("the heap found {violation:?}"))
    }

    fn leave(&self) {
        // The face arranges that by itself when the thread ends.
    }
}
