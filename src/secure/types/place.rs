//! Layer: faces. An allocation of secret memory with an owner: what all the types stand on.
//!
//! Everything that this folder asks of the functions below it is asked here.
#![expect(unsafe_code, reason = "owns an allocation and frees it")]

use crate::secure::calls::protect_alone;
use crate::secure::fork::epoch;
use crate::secure::{
    Access, AccessGuard, ErrorKind, Policy, Protections, SecureError, safe_alloc_with, safe_free,
    safe_protect, safe_query, safe_realloc,
};
use core::alloc::Layout;
use core::ptr::NonNull;

/// Secret memory, or none at all: zero bytes are not allocated.
///
/// Holding one proves that the memory at `at` is `bytes` long, aligned as asked, and this owner's
/// alone, until it is dropped. In a forked child the memory may not be there: [`check`] tells.
/// Fresh memory is zero.
///
/// [`check`]: Place::check
pub(super) struct Place {
    at: NonNull<u8>,
    bytes: usize,
    /// The process that has the memory.
    epoch: u32,
    /// What the memory was asked for with, or what is to come is: it goes where the place goes, so
    /// that no conversion between types loses what its maker insists on.
    policy: Policy,
}

// SAFETY: the memory belongs to no thread, and the functions that it is given back to may be called
// from any.
unsafe impl Send for Place {}
// SAFETY: a shared `Place` hands out an address and numbers only.
unsafe impl Sync for Place {}

impl Place {
    /// No memory, at an address with the alignment of `T`; what comes is asked for with `policy`.
    pub(super) const fn none<T>(policy: &Policy) -> Place {
        Place { at: NonNull::<T>::dangling().cast(), bytes: 0, epoch: 0, policy: *policy }
    }

    /// Zeroed memory for `layout`.
    pub(super) fn new(layout: Layout, policy: &Policy) -> Result<Place, SecureError> {
        if layout.size() == 0 {
            let at = nothing(layout);
            return Ok(Place { at, bytes: 0, epoch: 0, policy: *policy });
        }
        let epoch = epoch()?;
        let memory = safe_alloc_with(layout, policy)?;
        Ok(Place { at: memory.cast(), bytes: layout.size(), epoch, policy: *policy })
    }

    /// What the memory was asked for with.
    #[inline]
    pub(super) fn policy(&self) -> &Policy {
        &self.policy
    }

    /// The first byte; dangling if there is none.
    #[inline]
    pub(super) fn at(&self) -> NonNull<u8> {
        self.at
    }

    /// The size in bytes that was asked for.
    #[inline]
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// An error if the memory is a parent process's and not there in this one.
    #[inline]
    pub(super) fn check(&self) -> Result<(), SecureError> {
        if self.bytes == 0 {
            return Ok(());
        }
        if epoch()? == self.epoch { Ok(()) } else { self.check_child() }
    }

    #[cold]
    fn check_child(&self) -> Result<(), SecureError> {
        if self.policy.is_shared_with_children() && safe_query(self.at.as_ptr()).is_some() {
            return Ok(());
        }
        Err(SecureError::new(ErrorKind::Inherited))
    }

    /// Moves to memory for `layout`, which may be larger or smaller: what fits is copied, the rest
    /// is zero, and the old memory is wiped. The policy stays. On an error everything is as before.
    ///
    /// The memory must be readable.
    pub(super) fn resize(&mut self, layout: Layout) -> Result<(), SecureError> {
        if self.bytes == 0 || layout.size() == 0 {
            *self = Place::new(layout, &self.policy)?;
            return Ok(());
        }
        self.check()?;
        // SAFETY: `at` came from the functions below, is ours, and is not used after this: the new
        // place replaces it, and nobody borrows from a `Place` that is borrowed exclusively.
        let memory = unsafe { safe_realloc(self.at, layout)? };
        self.at = memory.cast();
        self.bytes = layout.size();
        Ok(())
    }

    /// Changes what may be done with the memory.
    ///
    /// # Safety
    /// No reference into the memory that `access` does not allow may be in use.
    pub(super) unsafe fn protect(&self, access: Access) -> Result<(), SecureError> {
        if self.bytes == 0 {
            return Ok(());
        }
        self.check()?;
        // SAFETY: `at` is a live allocation of ours; the caller's for what is borrowed.
        unsafe { safe_protect(self.at, access) }
    }

    /// Changes what may be done with the memory, and forgets all guards.
    ///
    /// # Safety
    /// As for [`protect`](Place::protect); and guards that there were have been leaked: none is
    /// used or dropped after this.
    pub(super) unsafe fn protect_alone(&self, access: Access) -> Result<(), SecureError> {
        if self.bytes == 0 {
            return Ok(());
        }
        self.check()?;
        // SAFETY: `at` is a live allocation of ours; the caller's for what is borrowed and for
        // guards.
        unsafe { protect_alone(self.at, access) }
    }

    /// Holds the memory open for reading, or for reading and writing.
    ///
    /// # Safety
    /// The guard is dropped before the place is, or resized.
    pub(super) unsafe fn open(&self, writes: bool) -> Result<Option<AccessGuard>, SecureError> {
        if self.bytes == 0 {
            return Ok(None);
        }
        self.check()?;
        // SAFETY: `at` is a live allocation of ours; the caller's that it stays one.
        let guard = unsafe {
            if writes { AccessGuard::write(self.at)? } else { AccessGuard::read(self.at)? }
        };
        Ok(Some(guard))
    }

    /// The protections that the memory has; `None` if there is no memory in this process.
    pub(super) fn protections(&self) -> Option<Protections> {
        if self.bytes == 0 || self.check().is_err() {
            return None;
        }
        safe_query(self.at.as_ptr())
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        // In a forked child there is nothing to free, and the address may be another buffer's.
        if self.bytes != 0 && self.check().is_ok() {
            // SAFETY: `at` came from the functions below and is freed once, here.
            unsafe { safe_free(self.at) }
        }
    }
}

/// The address of no bytes.
pub(super) fn nothing(layout: Layout) -> NonNull<u8> {
    // An alignment is never zero.
    NonNull::new(core::ptr::without_provenance_mut(layout.align())).unwrap_or(NonNull::dangling())
}

/// Ends an infallible form of a fallible call.
///
/// # Panics
/// Always.
#[cold]
#[inline(never)]
#[track_caller]
pub(super) fn refuse(error: SecureError) -> ! {
    panic!("casemate: secure memory: {error}")
}

/// The value, or a panic that says why there is none.
#[inline]
#[track_caller]
pub(super) fn expect<T>(result: Result<T, SecureError>) -> T {
    match result {
        Ok(value) => value,
        Err(error) => refuse(error),
    }
}
