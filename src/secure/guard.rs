//! Layer: faces. Holding a buffer open: the borrow that types which are inaccessible at rest are
//! built on.
#![expect(unsafe_code, reason = "opens memory whose owner the caller vouches for")]

use super::error::{ErrorKind, SecureError};
use super::root::with;
use core::ptr::NonNull;

/// Keeps a buffer open for reading, or for reading and writing, until it is dropped.
///
/// Guards of one buffer are counted, under the lock of secure memory: with the last one the
/// buffer goes back to the access it has at rest (see [`safe_protect`](super::safe_protect)), and
/// no sooner, whatever thread drops which guard in what order. The first guard and the last cost a
/// system call each, those between none.
///
/// Reading and writing guards may exist together here: a type that hands out references decides by
/// Rust's borrows who may have which. Pooled buffers are always open; a guard costs a look-up.
///
/// In a forked child a guard of the parent's buffer does nothing when dropped.
#[derive(Debug)]
#[must_use = "the buffer is closed when the guard is dropped"]
pub struct AccessGuard {
    at: NonNull<u8>,
    size: usize,
    writes: bool,
}

// SAFETY: a guard is a count under a lock; it may be dropped by any thread. It gives no access to
// the bytes by itself: pointers do, which the type around it answers for.
unsafe impl Send for AccessGuard {}
// SAFETY: a shared guard gives an address and a size.
unsafe impl Sync for AccessGuard {}

impl AccessGuard {
    /// Opens a buffer for reading.
    ///
    /// # Errors
    /// [`ErrorKind::Inherited`] in a forked child, [`ErrorKind::NotABuffer`],
    /// [`ErrorKind::Protect`] if the kernel refuses, and [`ErrorKind::Misuse`] for a freed
    /// buffer's pointer or one into the middle.
    ///
    /// # Safety
    /// The buffer is not freed or reallocated while the guard exists.
    pub unsafe fn read(at: NonNull<u8>) -> Result<AccessGuard, SecureError> {
        open(at, false)
    }

    /// Opens a buffer for reading and writing. Errors as for [`read`](AccessGuard::read).
    ///
    /// # Safety
    /// The buffer is not freed or reallocated while the guard exists.
    pub unsafe fn write(at: NonNull<u8>) -> Result<AccessGuard, SecureError> {
        open(at, true)
    }

    /// The bytes that are open: address, and the size that was asked for.
    #[must_use]
    pub fn bytes(&self) -> NonNull<[u8]> {
        NonNull::slice_from_raw_parts(self.at, self.size)
    }

    /// Whether it is open for writing.
    #[must_use]
    pub fn is_writable(&self) -> bool {
        self.writes
    }
}

fn open(at: NonNull<u8>, writes: bool) -> Result<AccessGuard, SecureError> {
    let address = at.as_ptr().expose_provenance();
    let size = with(|fixed, state| {
        let mut pool = state.pool_table(fixed);
        if pool.holds(address) {
            return pool.size(address);
        }
        state.table(fixed).open(address, writes)
    })?;
    Ok(AccessGuard { at, size, writes })
}

impl Drop for AccessGuard {
    /// What the kernel refuses to close stays open: `safe_query` says so, and it is counted in
    /// [`SecureStats::unclosed`](super::SecureStats::unclosed).
    fn drop(&mut self) {
        let address = self.at.as_ptr().expose_provenance();
        let closed = with(|fixed, state| {
            if state.pool_table(fixed).holds(address) {
                return Ok(());
            }
            state.table(fixed).close(address, self.writes)
        });
        if let Err(error) = closed
            && let ErrorKind::Misuse(violation) = error.kind()
        {
            super::end(&violation);
        }
    }
}
