//! Faults between the heap and a body: what a body must notice. None, but in its controls.

#![expect(unsafe_code, reason = "calls an allocator by its unsafe interface")]

use super::harness::subject::{Outcome, Subject};
use casemate::{Kind, Verified, Violation};
use std::alloc::Layout;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// What is wrong.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Fault {
    /// Nothing.
    #[default]
    None,
    /// Violations of this kind are not found.
    Deaf(Kind),
    /// Now and then an allocation gives what an earlier one gave.
    Repeats,
    /// A resize loses a byte.
    Loses,
    /// An object is a byte from where it is aligned.
    Shifts,
    /// What is handed out is not zero.
    Litters,
    /// A walk over the invariants counts an object too many.
    Miscounts,
}

impl Fault {
    /// What came of an operation, as the body gets to hear it.
    pub fn hear<T: Default>(self, outcome: Result<T, Violation>) -> Result<T, Violation> {
        match (self, outcome) {
            (Fault::Deaf(kind), Err(violation)) if violation.kind == kind => Ok(T::default()),
            (_, outcome) => outcome,
        }
    }
}

/// A subject of the model test with a fault.
#[derive(Clone)]
pub struct Faulty<S> {
    inner: S,
    fault: Fault,
    /// A live object of 64 bytes or more.
    last: Arc<AtomicUsize>,
}

impl<S> Faulty<S> {
    /// This subject, wrong in this way.
    pub fn new(inner: S, fault: Fault) -> Self {
        Faulty { inner, fault, last: Arc::default() }
    }

    fn forget(&self, object: *mut u8) {
        let _ = self.last.compare_exchange(object.addr(), 0, Ordering::Relaxed, Ordering::Relaxed);
    }
}

impl<S: Subject + Sync> Subject for Faulty<S> {
    const ZERO: bool = S::ZERO;

    fn allocate(&self, layout: Layout, zeroed: bool) -> Outcome<*mut u8> {
        let object = self.inner.allocate(layout, zeroed)?;
        if object.is_null() || layout.size() < 64 {
            return Ok(object);
        }
        match self.fault {
            Fault::Repeats => match self.last.swap(object.expose_provenance(), Ordering::Relaxed) {
                0 => Ok(object),
                last => Ok(std::ptr::with_exposed_provenance_mut(last)),
            },
            Fault::Shifts => Ok(object.wrapping_add(1)),
            Fault::Litters => {
                // SAFETY: just allocated, with 64 bytes at least.
                unsafe { object.add(40).write(1) };
                Ok(object)
            }
            _ => Ok(object),
        }
    }

    unsafe fn free(&self, object: *mut u8, layout: Layout) -> Outcome<()> {
        self.forget(object);
        // SAFETY: the caller's obligations are the same.
        unsafe { self.inner.free(object, layout) }
    }

    unsafe fn reallocate(&self, object: *mut u8, layout: Layout, size: usize) -> Outcome<*mut u8> {
        self.forget(object);
        // SAFETY: the caller's obligations are the same.
        let moved = unsafe { self.inner.reallocate(object, layout, size) }?;
        if self.fault == Fault::Loses && !moved.is_null() {
            // SAFETY: live with a byte at least.
            unsafe { moved.write(0) };
        }
        Ok(moved)
    }

    fn verify(&self) -> Outcome<Verified> {
        let mut seen = self.inner.verify()?;
        seen.large += usize::from(self.fault == Fault::Miscounts);
        Ok(seen)
    }

    fn leave(&self) {
        self.inner.leave();
    }

    fn discard(&self) {
        self.inner.discard();
    }
}
