//! The floor under an allocator that wipes and checks memory.
#![expect(unsafe_code, reason = "an allocator, and reading raw blocks with AVX2")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::hint::black_box;

/// `System` plus what wiping at free and checking at allocation cost at least: one memset and
/// one read of the block.
pub struct Floor;

// SAFETY: System's own contract; the block is written only while nobody else owns it.
unsafe impl GlobalAlloc for Floor {
    #[inline]
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller keeps GlobalAlloc's contract.
        let ptr = unsafe { System.alloc(layout) };
        if !ptr.is_null() {
            // SAFETY: the block has layout.size() bytes. Black_box may have written them for all
            // the compiler knows, so it cannot take them for uninitialized.
            unsafe { read_pass(black_box(ptr), layout.size()) };
        }
        ptr
    }

    #[inline]
    unsafe fn dealloc(&self, ptr: *mut u8, layout: Layout) {
        // SAFETY: the caller gives up the block, which has layout.size() bytes.
        unsafe { ptr.write_bytes(0, layout.size()) };
        // SAFETY: the caller keeps GlobalAlloc's contract.
        unsafe { System.dealloc(black_box(ptr), layout) }
    }
}

/// Reads `size` bytes at `ptr`, as wide as the processor can with AVX2.
///
/// # Safety
///
/// `ptr` must be readable and initialized for `size` bytes.
#[inline(always)]
pub unsafe fn read_pass(ptr: *const u8, size: usize) {
    #[cfg(target_arch = "x86_64")]
    if std::arch::is_x86_feature_detected!("avx2") {
        // SAFETY: AVX2 is there; the rest is the caller's.
        unsafe { read_avx2(ptr, size) };
        return;
    }
    // SAFETY: the caller's.
    unsafe { read_words(ptr, size) };
}

/// As [`read_pass`].
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
unsafe fn read_avx2(ptr: *const u8, size: usize) {
    use std::arch::x86_64::*;
    if size < 32 {
        // SAFETY: the caller's.
        return unsafe { read_words(ptr, size) };
    }
    // SAFETY: for every `at` below, `at + 32 <= size`.
    let load = |at: usize| unsafe { _mm256_loadu_si256(ptr.add(at).cast()) };
    let mut sums = [_mm256_setzero_si256(); 4];
    let mut at = 0;
    while at + 128 <= size {
        for (i, sum) in sums.iter_mut().enumerate() {
            *sum = _mm256_or_si256(*sum, load(at + 32 * i));
        }
        at += 128;
    }
    while at + 32 <= size {
        sums[0] = _mm256_or_si256(sums[0], load(at));
        at += 32;
    }
    sums[1] = _mm256_or_si256(sums[1], load(size - 32));
    let low = _mm256_or_si256(sums[0], sums[1]);
    let all = _mm256_or_si256(low, _mm256_or_si256(sums[2], sums[3]));
    black_box(_mm256_testz_si256(all, all));
}

/// As [`read_pass`].
unsafe fn read_words(ptr: *const u8, size: usize) {
    let mut sum = 0_u64;
    for i in 0..size / 8 {
        // SAFETY: the word ends at or before `size`.
        sum |= unsafe { ptr.cast::<u64>().add(i).read_unaligned() };
    }
    for i in size / 8 * 8..size {
        // SAFETY: `i < size`.
        sum |= u64::from(unsafe { ptr.add(i).read() });
    }
    black_box(sum);
}
