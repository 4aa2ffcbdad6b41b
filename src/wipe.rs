//! Layer: mechanisms. Wiping memory so that it stays wiped, and checking that memory is zero.
//!
//! Runs of whole slots are wiped by volatile stores or vectors, all others by stores that are
//! followed by a barrier that the optimiser cannot see through (`zeroize`'s). None by `memset`,
//! which the preload library exports and checks. The zero check reads volatile too, or (AVX2) in a
//! function that is not inlined: what it looks for are writes that the language says cannot be
//! there.

#![expect(unsafe_code, reason = "reads and writes raw slot memory")]

use zeroize::optimization_barrier;

/// Above this many bytes, calls to the wide forms are worth their cost.
const SHORT: usize = 128;

/// From here on the string instruction, whose stores may pass the cache by.
#[cfg(target_arch = "x86_64")]
const HUGE: usize = 256 << 10;

/// Overwrites `[at, at + len)` with zeros. `len` is a multiple of 16 and not 0, `at` aligned
/// to 16; `wide` says that the CPU has AVX2.
///
/// Short slots take two, four or eight stores, which overlap where the length is in between: a
/// loop would cost more than the stores.
///
/// # Safety
/// The range is mapped writable, and no reference to any of it is in use.
#[inline(always)]
pub unsafe fn wipe(at: *mut u8, len: usize, wide: bool) {
    #[cfg(target_arch = "x86_64")]
    if wide && len > SHORT && len <= HUGE {
        // SAFETY: the caller's; `wide` is set only where the CPU has AVX2.
        return unsafe { wipe_avx2(at, len) };
    }
    let _ = wide;
    // SAFETY: the caller's.
    unsafe { if len <= SHORT { wipe_short(at, len) } else { wipe_long(at, len) } }
}

/// # Safety
/// As for [`wipe`], and the CPU has AVX2; `len` at least 32.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
#[inline(never)]
unsafe fn wipe_avx2(at: *mut u8, len: usize) {
    use core::arch::x86_64::{__m256i, _mm256_setzero_si256, _mm256_storeu_si256};
    let zero = _mm256_setzero_si256();
    let mut offset = 0;
    // SAFETY: every store ends at or before `len`; the last one overlaps what was wiped before.
    // The empty assembly makes the stores happen: it may read all memory.
    unsafe {
        while offset + 128 <= len {
            let to = at.add(offset).cast::<__m256i>();
            _mm256_storeu_si256(to, zero);
            _mm256_storeu_si256(to.add(1), zero);
            _mm256_storeu_si256(to.add(2), zero);
            _mm256_storeu_si256(to.add(3), zero);
            core::arch::asm!("/* {0} */", in(reg) to, options(nostack, preserves_flags));
            offset += 128;
        }
        while offset + 32 <= len {
            let to = at.add(offset).cast::<__m256i>();
            _mm256_storeu_si256(to, zero);
            core::arch::asm!("/* {0} */", in(reg) to, options(nostack, preserves_flags));
            offset += 32;
        }
        let last = at.add(len - 32).cast::<__m256i>();
        _mm256_storeu_si256(last, zero);
        core::arch::asm!("/* {0} */", in(reg) last, options(nostack, preserves_flags));
    }
}

/// # Safety
/// As for [`wipe`], `len` at most 128.
#[inline(always)]
pub unsafe fn wipe_short(at: *mut u8, len: usize) {
    // SAFETY: every store is of 16 aligned bytes inside the range: offsets count from its start
    // or its end and stay below its length by the comparison that leads to them.
    unsafe {
        store16(at);
        store16(at.add(len - 16));
        if len > 32 {
            store16(at.add(16));
            store16(at.add(len - 32));
        }
        if len > 64 {
            store16(at.add(32));
            store16(at.add(48));
            store16(at.add(len - 64));
            store16(at.add(len - 48));
        }
    }
}

/// [`wipe_short`] for a length that is known where it is compiled.
///
/// # Safety
/// As for [`wipe`].
#[inline(always)]
pub unsafe fn wipe_exact<const LEN: usize>(at: *mut u8) {
    let mut offset = 0;
    while offset < LEN {
        // SAFETY: 16 aligned bytes inside the range.
        unsafe { store16(at.add(offset)) };
        offset += 16;
    }
}

/// # Safety
/// As for [`wipe`]; any length and alignment.
#[inline(never)]
pub unsafe fn wipe_long(at: *mut u8, len: usize) {
    // SAFETY: the caller's: the range is writable and nothing refers to it.
    unsafe {
        zero(at, len);
        optimization_barrier(core::slice::from_raw_parts(at, len));
    }
}

/// From this many bytes on the string instruction is faster than a loop.
#[cfg(all(target_arch = "x86_64", not(miri)))]
const STRING: usize = 512;

/// # Safety
/// `len` writable bytes at `at`.
#[inline(always)]
unsafe fn zero(at: *mut u8, len: usize) {
    // SAFETY: every store ends at or before `len`; where the length is no multiple of a store's,
    // the last one overlaps what came before it.
    unsafe {
        if len >= 16 {
            zero_blocks(at, len - 16);
            at.add(len - 16).cast::<u128>().write_unaligned(0);
        } else if len >= 8 {
            at.cast::<u64>().write_unaligned(0);
            at.add(len - 8).cast::<u64>().write_unaligned(0);
        } else if len >= 4 {
            at.cast::<u32>().write_unaligned(0);
            at.add(len - 4).cast::<u32>().write_unaligned(0);
        } else if len > 0 {
            at.write(0);
            at.add(len / 2).write(0);
            at.add(len - 1).write(0);
        }
    }
}

/// Zeros at least `[at, at + len)`, and at most 15 bytes behind it.
///
/// # Safety
/// `len + 16` writable bytes at `at`.
#[inline(always)]
unsafe fn zero_blocks(at: *mut u8, len: usize) {
    #[cfg(all(target_arch = "x86_64", not(miri)))]
    if len >= STRING {
        // SAFETY: `len.div_ceil(8)` words, at most 7 bytes more than `len`. The direction flag is
        // clear by the ABI. (Not clobbered beyond what is listed; it writes memory.)
        return unsafe {
            core::arch::asm!(
                "rep stosq",
                inout("rcx") len.div_ceil(8) => _,
                inout("rdi") at => _,
                in("rax") 0,
                options(nostack, preserves_flags)
            );
        };
    }
    let mut offset = 0;
    while offset < len {
        // SAFETY: starts below `len`. The empty assembly keeps the loop from becoming a call of
        // `memset`.
        unsafe {
            at.add(offset).cast::<u128>().write_unaligned(0);
            #[cfg(not(miri))]
            core::arch::asm!("/* {0} */", in(reg) at, options(nostack, preserves_flags));
        }
        offset += 16;
    }
}

/// # Safety
/// 16 writable bytes at `at`, aligned to 16.
#[cfg(target_arch = "x86_64")]
#[inline(always)]
unsafe fn store16(at: *mut u8) {
    use core::arch::x86_64::{__m128i, _mm_setzero_si128};
    // SAFETY: the caller's; SSE2 is part of the baseline.
    unsafe { at.cast::<__m128i>().write_volatile(_mm_setzero_si128()) }
}

/// # Safety
/// 16 writable bytes at `at`, aligned to 16.
#[cfg(not(target_arch = "x86_64"))]
#[inline(always)]
unsafe fn store16(at: *mut u8) {
    // SAFETY: the caller's.
    unsafe {
        at.cast::<u64>().write_volatile(0);
        at.cast::<u64>().add(1).write_volatile(0);
    }
}

/// Whether `[at, at + len)` is all zero. `len` is a multiple of 16 and not 0, `at` aligned to 16;
/// `wide` says that the CPU has AVX2.
///
/// # Safety
/// The range is mapped readable.
#[inline(always)]
pub unsafe fn is_zero(at: *const u8, len: usize, wide: bool) -> bool {
    if len <= SHORT {
        // SAFETY: the caller's.
        return unsafe { is_zero_short(at, len) };
    }
    #[cfg(target_arch = "x86_64")]
    if wide {
        // SAFETY: `wide` is set only where the CPU has AVX2.
        return unsafe { is_zero_avx2(at, len) };
    }
    let _ = wide;
    // SAFETY: the caller's.
    unsafe { is_zero_long(at, len) }
}

/// # Safety
/// As for [`is_zero`].
#[inline(always)]
pub unsafe fn is_zero_short(at: *const u8, len: usize) -> bool {
    #[cfg(target_arch = "x86_64")]
    {
        use core::arch::x86_64::{
            __m128i, _mm_cmpeq_epi8, _mm_movemask_epi8, _mm_or_si128, _mm_setzero_si128,
        };
        // SAFETY: every load is of 16 aligned bytes inside the range, as in `wipe`; SSE2 is the
        // baseline.
        unsafe {
            let load = |offset: usize| at.add(offset).cast::<__m128i>().read_volatile();
            let mut all = _mm_or_si128(load(0), load(len - 16));
            if len > 32 {
                all = _mm_or_si128(all, _mm_or_si128(load(16), load(len - 32)));
            }
            if len > 64 {
                all = _mm_or_si128(all, _mm_or_si128(load(32), load(len - 48)));
                all = _mm_or_si128(all, _mm_or_si128(load(48), load(len - 64)));
            }
            _mm_movemask_epi8(_mm_cmpeq_epi8(all, _mm_setzero_si128())) == 0xffff
        }
    }
    #[cfg(not(target_arch = "x86_64"))]
    {
        // SAFETY: the caller's.
        unsafe { is_zero_long(at, len) }
    }
}

/// [`is_zero_short`] for a length that is known where it is compiled.
///
/// # Safety
/// As for [`is_zero`].
#[inline(always)]
pub unsafe fn is_zero_exact<const LEN: usize>(at: *const u8) -> bool {
    #[cfg(target_arch = "x86_64")]
    {
        use core::arch::x86_64::{
            __m128i, _mm_cmpeq_epi8, _mm_movemask_epi8, _mm_or_si128, _mm_setzero_si128,
        };
        // SAFETY: every load is of 16 aligned bytes inside the range; SSE2 is the baseline.
        unsafe {
            let mut all = at.cast::<__m128i>().read_volatile();
            let mut offset = 16;
            while offset < LEN {
                all = _mm_or_si128(all, at.add(offset).cast::<__m128i>().read_volatile());
                offset += 16;
            }
            _mm_movemask_epi8(_mm_cmpeq_epi8(all, _mm_setzero_si128())) == 0xffff
        }
    }
    #[cfg(not(target_arch = "x86_64"))]
    {
        // SAFETY: the caller's.
        unsafe { is_zero_long(at, LEN) }
    }
}

/// # Safety
/// As for [`is_zero`].
#[inline(never)]
unsafe fn is_zero_long(at: *const u8, len: usize) -> bool {
    let mut all = 0u64;
    let mut offset = 0;
    while offset < len {
        // SAFETY: 16 aligned bytes inside the range.
        unsafe {
            let word = at.add(offset).cast::<u64>();
            all |= word.read_volatile() | word.add(1).read_volatile();
        }
        offset += 16;
    }
    all == 0
}

/// # Safety
/// As for [`is_zero`], and the CPU has AVX2.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
#[inline(never)]
unsafe fn is_zero_avx2(at: *const u8, len: usize) -> bool {
    use core::arch::x86_64::{
        __m128i, __m256i, _mm_testz_si128, _mm256_loadu_si256, _mm256_or_si256,
        _mm256_setzero_si256, _mm256_testz_si256,
    };
    let mut offset = 0;
    // SAFETY: every load ends at or before `len`, which is a multiple of 16; the last one is
    // aligned to 16, as `at` is.
    unsafe {
        while offset + 128 <= len {
            let from = at.add(offset).cast::<__m256i>();
            let a = _mm256_or_si256(_mm256_loadu_si256(from), _mm256_loadu_si256(from.add(1)));
            let b =
                _mm256_or_si256(_mm256_loadu_si256(from.add(2)), _mm256_loadu_si256(from.add(3)));
            let both = _mm256_or_si256(a, b);
            if _mm256_testz_si256(both, both) == 0 {
                return false;
            }
            offset += 128;
        }
        let mut rest = _mm256_setzero_si256();
        while offset + 32 <= len {
            rest = _mm256_or_si256(rest, _mm256_loadu_si256(at.add(offset).cast()));
            offset += 32;
        }
        if offset < len {
            let last = at.add(offset).cast::<__m128i>().read();
            if _mm_testz_si128(last, last) == 0 {
                return false;
            }
        }
        _mm256_testz_si256(rest, rest) == 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::os::{Linux, Os};

    #[repr(align(64))]
    struct Buffer([u8; 4096]);

    /// Whether the AVX2 forms run: not in the interpreter, which has not the calls of the probe.
    fn wide() -> bool {
        !cfg!(miri) && Linux::probe().avx2
    }

    /// Bytes from one length to the next.
    const STEP: usize = if cfg!(miri) { 16 * 37 } else { 16 };

    #[test]
    fn every_byte_is_wiped_and_none_beyond() {
        let wide = wide();
        for (len, wide) in
            (16..=4096 - 32).step_by(STEP).flat_map(|len| [(len, false), (len, wide)])
        {
            let mut buffer = std::boxed::Box::new(Buffer([0xaa; 4096]));
            // SAFETY: `16 + len` bytes are in the buffer, which nothing else refers to.
            unsafe { wipe(buffer.0.as_mut_ptr().add(16), len, wide) };
            let mut expected = std::vec![0xaa; 4096];
            expected[16..16 + len].fill(0);
            assert_eq!(buffer.0[..], expected[..]);
        }
    }

    #[test]
    fn one_bit_anywhere_is_seen() {
        let wide = wide();
        let most = if cfg!(miri) { 144 } else { 4096 };
        for len in [16usize, 32, 112, 128, 144, 240, 272, 1008, 4096] {
            if len > most {
                break;
            }
            let mut buffer = std::boxed::Box::new(Buffer([0; 4096]));
            for wide in [false, wide] {
                // SAFETY: the range is in the buffer.
                assert!(unsafe { is_zero(buffer.0.as_ptr(), len, wide) });
                for i in 0..len {
                    buffer.0[i] = 0x10;
                    // SAFETY: as above.
                    assert!(!unsafe { is_zero(buffer.0.as_ptr(), len, wide) }, "{len} {i}");
                    buffer.0[i] = 0;
                }
            }
        }
    }
}
