//! The heap under test, and the usual one: made for the purpose, its violations are values.

#![expect(unsafe_code, reason = "calls an allocator by its unsafe interface")]

use casemate::heap::{Frozen, Heap, Options, Request};
use casemate::inside::{Linux, unmap};
use casemate::policy::Set;
use casemate::{Policy, Verified};
use std::alloc::Layout;
use std::fmt::Debug;
use std::ptr::null_mut;
use std::sync::{Mutex, PoisonError};

/// What became of an operation, or what the heap found wrong.
pub type Outcome<T> = Result<T, String>;

/// A heap.
pub trait Subject: Clone + Send + 'static {
    /// Whether memory that it hands out is zero whatever was asked for.
    const ZERO: bool;

    /// Memory, or null.
    fn allocate(&self, layout: Layout, zeroed: bool) -> Outcome<*mut u8>;

    /// # Safety
    /// As for [`std::alloc::GlobalAlloc::dealloc`].
    unsafe fn free(&self, object: *mut u8, layout: Layout) -> Outcome<()>;

    /// # Safety
    /// As for [`std::alloc::GlobalAlloc::realloc`].
    unsafe fn reallocate(&self, object: *mut u8, layout: Layout, size: usize) -> Outcome<*mut u8>;

    /// Walks the invariants that the calling thread can look at.
    fn verify(&self) -> Outcome<Verified>;

    /// The calling thread is about to end; it may still use the heap.
    fn leave(&self);

    /// Gives the heap's address space back. No thread uses it any more, and no object.
    fn discard(&self) {}
}

fn said<T, E: Debug>(outcome: Result<T, E>) -> Outcome<T> {
    outcome.map_err(|violation| format!("the heap found {violation:?}"))
}

/// What stays of a heap for the life of the process.
struct Kept {
    frozen: Frozen,
}

/// A heap of its own, and what stays of it.
pub struct Own<P: Policy>(Heap<'static, Linux, P>);

static OPTIONS: Options = Options::DEFAULT;
static KEPT: Mutex<Vec<&Kept>> = Mutex::new(Vec::new());

impl<P: Policy> Own<P> {
    /// A new heap. It stays for the life of the process.
    pub fn new() -> Self {
        let kept = Kept { frozen: Frozen::new() };
        let kept: &'static Kept = Box::leak(Box::new(kept));
        // Kept where a leak checker looks.
        KEPT.lock().unwrap_or_else(PoisonError::into_inner).push(kept);
        Own(Heap::new(&kept.frozen, &OPTIONS))
    }
}

impl<P: Policy> Clone for Own<P> {
    fn clone(&self) -> Self {
        Own(self.0)
    }
}

impl<P: Policy> Subject for Own<P> {
    const ZERO: bool = P::SET.has(Set::WIPE);

    fn allocate(&self, layout: Layout, zeroed: bool) -> Outcome<*mut u8> {
        let object = said(self.0.allocate(Request::layout(layout)))?;
        let object = object.map_or(null_mut(), |object| object.as_ptr());
        if zeroed && !Self::ZERO && !object.is_null() {
            // SAFETY: just allocated with this many bytes.
            unsafe { object.write_bytes(0, layout.size()) };
        }
        Ok(object)
    }

    unsafe fn free(&self, object: *mut u8, layout: Layout) -> Outcome<()> {
        // SAFETY: the caller's.
        said(unsafe { self.0.free(object.expose_provenance(), Some(Request::layout(layout))) })
    }

    unsafe fn reallocate(&self, object: *mut u8, layout: Layout, size: usize) -> Outcome<*mut u8> {
        let old = Request::layout(layout);
        let new = Request { size, ..old };
        // SAFETY: the caller's.
        let moved = unsafe { self.0.reallocate(object.expose_provenance(), Some(&old), &new) };
        let moved = said(moved)?;
        let moved = moved.map_or(null_mut(), |object| object.as_ptr());
        Ok(moved)
    }

    fn verify(&self) -> Outcome<Verified> {
        said(self.0.verify())
    }

    fn leave(&self) {
        self.0.leave();
    }

    fn discard(&self) {
        let mut mapped = Vec::new();
        self.0.mapped(&mut |at, len| mapped.push((at, len)));
        // Else shrinking a failure would run out of address space after some twenty heaps, and a
        // fuzzer of mappings.
        for (at, len) in mapped {
            // SAFETY: this heap's alone, which nobody uses any more.
            unsafe { unmap(at, len) };
        }
    }
}
