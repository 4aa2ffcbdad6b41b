//! Layer: mechanisms. Copying objects, in a way that the preload library does not check.
//!
//! That library exports a `memcpy` that looks its arguments up in this heap, and the compiler's
//! own calls of `memcpy` bind to it. What the heap copies by itself needs no check, and what it
//! copies for a thread that does not own the object would not pass one: it is claimed.

//! Nor does it call another function of the C library: which names a program may define itself,
//! and mean something else by, is not ours to say (`bcopy` is one).

#![expect(unsafe_code, reason = "copies memory")]

/// From this many bytes on the string instruction is faster than a loop.
#[cfg(all(target_arch = "x86_64", not(miri)))]
const STRING: usize = 512;

/// Copies `len` bytes.
///
/// # Safety
/// `from` is readable and `to` writable for `len` bytes, and they do not overlap.
#[inline(never)]
pub unsafe fn copy(from: *const u8, to: *mut u8, len: usize) {
    // SAFETY: the caller's.
    #[cfg(miri)]
    return unsafe { core::ptr::copy_nonoverlapping(from, to, len) };
    #[cfg(all(target_arch = "x86_64", not(miri)))]
    if len >= STRING {
        // SAFETY: the caller's. The direction flag is clear by the ABI.
        return unsafe {
            core::arch::asm!(
                "rep movsb",
                inout("rcx") len => _,
                inout("rsi") from => _,
                inout("rdi") to => _,
                options(nostack, preserves_flags)
            );
        };
    }
    // SAFETY: every unit ends at or before `len`; the last overlaps the one before it.
    #[cfg(not(miri))]
    unsafe {
        let mut at = 0;
        while at + size_of::<Unit>() <= len {
            unit::<Unit>(from, to, at);
            at += size_of::<Unit>();
        }
        if at == len {
            return;
        }
        if let Some(last) = len.checked_sub(size_of::<Unit>()) {
            return unit::<Unit>(from, to, last);
        }
        while at < len {
            unit::<u8>(from, to, at);
            at += 1;
        }
    }
}

/// What a loop copies at a time.
#[cfg(not(miri))]
type Unit = [u64; 2];

/// Copies one `T`.
///
/// # Safety
/// It lies in both ranges.
#[cfg(not(miri))]
#[inline(always)]
unsafe fn unit<T>(from: *const u8, to: *mut u8, at: usize) {
    use core::mem::MaybeUninit;
    // SAFETY: the caller's; the bytes need not be initialised. The empty assembly keeps the loop
    // from becoming a call of `memcpy`.
    unsafe {
        let bytes = from.add(at).cast::<MaybeUninit<T>>().read_unaligned();
        to.add(at).cast::<MaybeUninit<T>>().write_unaligned(bytes);
        core::arch::asm!("/* {0} */", in(reg) to, options(nostack, preserves_flags));
    }
}

#[cfg(test)]
mod tests {
    use super::copy;
    use std::vec::Vec;

    #[test]
    fn every_byte_is_copied_and_none_beside_them() {
        let from: Vec<u8> = (0..1200u32).map(|i| (i * 7 % 251) as u8 + 1).collect();
        for len in (0..40).chain([63, 64, 65, 500, 511, 512, 513, 1000]) {
            for shift in [0, 1, 7] {
                let mut to = std::vec![0u8; 1200];
                // SAFETY: both are longer than what is copied, and not the same.
                unsafe { copy(from.as_ptr().add(shift), to.as_mut_ptr().add(8 + shift), len) };
                let (before, rest) = to.split_at(8 + shift);
                let (copied, behind) = rest.split_at(len);
                assert_eq!(copied, &from[shift..shift + len]);
                assert!(before.iter().chain(behind).all(|&byte| byte == 0), "{len} {shift}");
            }
        }
    }
}
