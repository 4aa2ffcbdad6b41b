//! Objects by hand, through the allocator itself: what a handler or a destructor may use.

use std::alloc::{GlobalAlloc, Layout};
use std::ptr::NonNull;

/// An object filled with its mark. Not freed by itself.
#[derive(Clone, Copy)]
pub struct Raw {
    at: NonNull<u8>,
    size: usize,
}

// SAFETY: an object is its holder's alone; any thread may free memory.
unsafe impl Send for Raw {}

impl Raw {
    fn layout(size: usize) -> Layout {
        Layout::from_size_align(size, 8).expect("a layout")
    }

    fn mark(&self) -> u8 {
        (self.size as u8) | 1
    }

    /// `None` if memory is exhausted, or cannot be had where this handler interrupted.
    pub fn new(size: usize) -> Option<Raw> {
        // SAFETY: no size passed here is zero.
        let at = NonNull::new(unsafe { crate::HEAP.alloc(Self::layout(size)) })?;
        let object = Raw { at, size };
        // SAFETY: `size` bytes, the object's own.
        unsafe { at.write_bytes(object.mark(), size) };
        Some(object)
    }

    /// Whether every byte is as it was written.
    pub fn is_whole(&self) -> bool {
        // SAFETY: the object is live and was filled.
        let bytes = unsafe { std::slice::from_raw_parts(self.at.as_ptr(), self.size) };
        // Every byte is the one before it: a single fast comparison.
        bytes[0] == self.mark() && bytes[1..] == bytes[..bytes.len() - 1]
    }

    /// Its address.
    #[allow(dead_code, reason = "not every test that includes this file asks")]
    pub fn address(&self) -> usize {
        self.at.addr().get()
    }

    /// Its size.
    pub fn size(&self) -> usize {
        self.size
    }

    /// Resizes it; `None` leaves it as it is.
    pub fn resize(&mut self, size: usize) -> Option<()> {
        let whole = self.is_whole();
        // SAFETY: the object is live with this layout.
        let at = unsafe { crate::HEAP.realloc(self.at.as_ptr(), Self::layout(self.size), size) };
        let kept = self.size.min(size);
        let (at, mark) = (NonNull::new(at)?, self.mark());
        // SAFETY: the first bytes were kept.
        let bytes = unsafe { std::slice::from_raw_parts(at.as_ptr(), kept) };
        assert!(whole && bytes[0] == mark, "contents travel");
        assert!(bytes[1..] == bytes[..kept - 1], "contents travel");
        *self = Raw { at, size };
        // SAFETY: `size` bytes, the object's own.
        unsafe { at.write_bytes(self.mark(), size) };
        Some(())
    }

    /// Frees it.
    pub fn free(self) {
        assert!(self.is_whole(), "contents stay");
        // SAFETY: allocated with this layout; the caller has no other copy in use.
        unsafe { crate::HEAP.dealloc(self.at.as_ptr(), Self::layout(self.size)) };
    }
}
