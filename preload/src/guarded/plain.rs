//! Copying and filling without a check, at the speed of the C library.
//!
//! Short runs are served here, by loads that all come before the first store, as in `memmove`. Long
//! ones go to the C library's best code for this processor, which it has under names that this
//! library does not define, nor may a program: `__mempcpy` for copies (glibc's), `wmemset` for
//! filling. The loader enters their addresses into memory that is read-only before the first
//! constructor runs. Where they are missing, or the loader is not that far yet, or what is copied
//! overlaps, it is done here.

use core::arch::global_asm;
use core::mem::MaybeUninit;

global_asm!(
    // As in `abi/exhaustion.rs`: a reference from Rust would be strong.
    ".pushsection .data.rel.ro.casemate_plain,\"aw\",@progbits",
    ".balign 8",
    ".weak __mempcpy",
    ".globl casemate_mempcpy",
    ".hidden casemate_mempcpy",
    "casemate_mempcpy: .8byte __mempcpy",
    ".weak wmemset",
    ".globl casemate_wmemset",
    ".hidden casemate_wmemset",
    "casemate_wmemset: .8byte wmemset",
    ".weak __chk_fail",
    ".globl casemate_chk_fail",
    ".hidden casemate_chk_fail",
    "casemate_chk_fail: .8byte __chk_fail",
    ".popsection",
);

unsafe extern "C" {
    static casemate_mempcpy: Option<unsafe extern "C" fn(*mut u8, *const u8, usize) -> *mut u8>;
    static casemate_wmemset: Option<unsafe extern "C" fn(*mut u8, u32, usize) -> *mut u8>;
    static casemate_chk_fail: Option<unsafe extern "C" fn() -> !>;
}

/// The end that glibc has for a fortified call which is wrong.
#[cold]
#[inline(never)]
pub(super) fn chk_fail() -> ! {
    // SAFETY: a word that the loader has filled in and made read-only; both end the process.
    unsafe {
        match casemate_chk_fail {
            Some(fail) => fail(),
            None => libc::abort(),
        }
    }
}

/// Copies up to this many bytes without a call.
const SHORT: usize = 64;

/// Copies `len` bytes, as `memmove`.
///
/// # Safety
/// `from` is readable and `to` writable for `len` bytes.
#[inline(always)]
pub(super) unsafe fn copy(to: *mut u8, from: *const u8, len: usize) {
    // SAFETY: the caller's.
    unsafe { if len <= SHORT { copy_short(to, from, len) } else { copy_long(to, from, len) } }
}

/// # Safety
/// As for [`copy`].
#[inline(always)]
unsafe fn copy_long(to: *mut u8, from: *const u8, len: usize) {
    // SAFETY: the word as in `chk_fail`; the rest is the caller's.
    unsafe {
        let apart = to.addr().abs_diff(from.addr()) >= len;
        match casemate_mempcpy {
            Some(mempcpy) if apart => {
                mempcpy(to, from, len);
            }
            _ => copy_alone(to, from, len),
        }
    }
}

/// # Safety
/// As for [`copy`]; `len` at most [`SHORT`].
#[inline(always)]
unsafe fn copy_short(to: *mut u8, from: *const u8, len: usize) {
    // SAFETY: every access starts at 0 or above and ends at or before `len`, by the comparison
    // that leads to it; where the length is in between, the last overlap the first.
    unsafe {
        if len >= 16 {
            let (first, last) = (load::<u128>(from), load::<u128>(from.add(len - 16)));
            if len > 32 {
                let second = load::<u128>(from.add(16));
                let third = load::<u128>(from.add(len - 32));
                store(to.add(16), second);
                store(to.add(len - 32), third);
            }
            store(to, first);
            store(to.add(len - 16), last);
        } else if len >= 8 {
            let (first, last) = (load::<u64>(from), load::<u64>(from.add(len - 8)));
            store(to, first);
            store(to.add(len - 8), last);
        } else if len >= 4 {
            let (first, last) = (load::<u32>(from), load::<u32>(from.add(len - 4)));
            store(to, first);
            store(to.add(len - 4), last);
        } else if len > 0 {
            let (first, middle) = (load::<u8>(from), load::<u8>(from.add(len / 2)));
            let last = load::<u8>(from.add(len - 1));
            store(to, first);
            store(to.add(len / 2), middle);
            store(to.add(len - 1), last);
        }
    }
}

/// Fills `len` bytes.
///
/// # Safety
/// `to` is writable for `len` bytes.
#[inline(always)]
pub(super) unsafe fn fill(to: *mut u8, byte: u8, len: usize) {
    let word = u64::from(byte) * 0x0101_0101_0101_0101;
    let pattern = u128::from(word) << 64 | u128::from(word);
    // SAFETY: as for `copy_short`.
    unsafe {
        if len > SHORT {
            fill_long(to, pattern, len);
        } else if len >= 16 {
            if len > 32 {
                put(to.add(16), pattern);
                put(to.add(len - 32), pattern);
            }
            put(to, pattern);
            put(to.add(len - 16), pattern);
        } else if len >= 8 {
            to.cast::<u64>().write_unaligned(word);
            to.add(len - 8).cast::<u64>().write_unaligned(word);
        } else if len >= 4 {
            to.cast::<u32>().write_unaligned(word as u32);
            to.add(len - 4).cast::<u32>().write_unaligned(word as u32);
        } else if len > 0 {
            to.write(byte);
            to.add(len / 2).write(byte);
            to.add(len - 1).write(byte);
        }
    }
}

/// # Safety
/// As for [`fill`]; `len` at least 16.
#[inline(always)]
unsafe fn fill_long(to: *mut u8, pattern: u128, len: usize) {
    // SAFETY: the word as in `chk_fail`; the last 16 bytes, then all whole units of 4, of which the
    // last may overlap those. C wants such units aligned, stores of x86-64 and aarch64 do not. The
    // rest is the caller's.
    unsafe {
        match casemate_wmemset {
            Some(wmemset) => {
                put(to.add(len - 16), pattern);
                wmemset(to, pattern as u32, len / 4);
            }
            None => fill_alone(to, pattern as u8, len),
        }
    }
}

/// The bytes of a `T`, which need not be initialised: a program copies structures with their gaps.
///
/// # Safety
/// `from` is readable for them.
#[inline(always)]
unsafe fn load<T>(from: *const u8) -> MaybeUninit<T> {
    // SAFETY: the caller's; any bytes are a `MaybeUninit`.
    unsafe { from.cast::<MaybeUninit<T>>().read_unaligned() }
}

/// # Safety
/// `to` is writable for the bytes of a `T`.
#[inline(always)]
unsafe fn store<T>(to: *mut u8, bytes: MaybeUninit<T>) {
    // SAFETY: the caller's.
    unsafe { to.cast::<MaybeUninit<T>>().write_unaligned(bytes) }
}

/// # Safety
/// 16 writable bytes at `to`.
#[inline(always)]
unsafe fn put(to: *mut u8, block: u128) {
    // SAFETY: the caller's.
    unsafe { store(to, MaybeUninit::new(block)) }
}

/// Copies without any other function, block by block: from the start if `to` lies below `from`,
/// else from the end. So no block is written before it was read.
///
/// # Safety
/// As for [`copy`]; `len` at least [`SHORT`].
#[inline(never)]
unsafe fn copy_alone(to: *mut u8, from: *const u8, len: usize) {
    type Block = [u128; SHORT / 16];
    let (first, last) = (0, len - SHORT);
    // SAFETY: every block starts at 0 or above and ends at or before `len`; the rest is the
    // caller's. The empty assembly keeps a loop from becoming a call of `memmove`.
    unsafe {
        let block = |at: usize| load::<Block>(from.add(at));
        if to.addr().wrapping_sub(from.addr()) < len {
            let start = block(first);
            let mut at = last;
            while at > 0 {
                store(to.add(at), block(at));
                core::arch::asm!("/* {0} */", in(reg) to, options(nostack, preserves_flags));
                at = at.saturating_sub(SHORT);
            }
            store(to, start);
        } else {
            let end = block(last);
            let mut at = first;
            while at < last {
                store(to.add(at), block(at));
                core::arch::asm!("/* {0} */", in(reg) to, options(nostack, preserves_flags));
                at += SHORT;
            }
            store(to.add(last), end);
        }
    }
}

/// Fills without any other function.
///
/// # Safety
/// As for [`fill`].
#[cold]
#[inline(never)]
unsafe fn fill_alone(to: *mut u8, byte: u8, len: usize) {
    for i in 0..len {
        // SAFETY: the caller's. Volatile, so that it does not become a call of `memset`.
        unsafe { to.add(i).write_volatile(byte) };
    }
}
