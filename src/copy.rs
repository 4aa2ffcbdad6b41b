//! Layer: mechanisms. Copying objects, in a way that the preload library does not check.
//!
//! That library exports a `memcpy` that looks its arguments up in this heap, and the compiler's
//! own calls of `memcpy` bind to it. What the heap copies by itself needs no check, and what it
//! copies for a thread that does not own the object would not pass one: it is claimed.

#![expect(unsafe_code, reason = "copies memory")]

unsafe extern "C" {
    /// POSIX.1-2001: `memmove` with the arguments in another order. glibc and musl have it.
    #[cfg(not(miri))]
    fn bcopy(from: *const u8, to: *mut u8, len: usize);
}

/// Copies `len` bytes.
///
/// # Safety
/// `from` is readable and `to` writable for `len` bytes, and they do not overlap.
#[inline(always)]
pub unsafe fn copy(from: *const u8, to: *mut u8, len: usize) {
    // The compiler knows `bcopy`, and would call `memmove` instead: it must not see what is called.
    #[cfg(not(miri))]
    let call = core::hint::black_box(bcopy as unsafe extern "C" fn(*const u8, *mut u8, usize));
    // SAFETY: the caller's.
    #[cfg(not(miri))]
    unsafe {
        call(from, to, len);
    }
    // SAFETY: the caller's.
    #[cfg(miri)]
    unsafe {
        core::ptr::copy_nonoverlapping(from, to, len);
    }
}
