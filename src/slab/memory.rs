//! Layer: mechanisms. The memory of one slot: checking, preparing, verifying and wiping it.
//!
//! ```text
//!  start          requested end              start + slot
//!  | object ......| slack: fill pattern ...| canary (8) |
//! ```

#![expect(unsafe_code, reason = "the only place that reads and writes slot memory")]

use super::used::{LONG, wipe_used};
use crate::canary::Words;
use crate::copy::copy;
use crate::os::pointer;
use crate::size_class::CANARY;
use crate::sync::{Ordering, fence};
use crate::wipe;
use core::sync::atomic::AtomicU64;

/// The memory of a slot of an open slab.
///
/// Holding one proves that `[start, start + len)` is mapped readable and writable, is aligned to
/// 16, and belongs to the heap: the slot is free and the holder owns its group, or its object is
/// being allocated, freed or resized by the holder.
#[derive(Clone, Copy)]
pub struct SlotMemory {
    start: usize,
    len: usize,
}

impl SlotMemory {
    /// # Safety
    /// The caller has what holding the value proves.
    #[inline(always)]
    pub unsafe fn new(start: usize, len: usize) -> Self {
        SlotMemory { start, len }
    }

    /// Whether it holds nothing but zeros.
    #[inline(always)]
    pub fn is_zero(self, wide: bool) -> bool {
        // SAFETY: mapped and aligned by the type's proof.
        unsafe { wipe::is_zero(pointer(self.start), self.len, wide) }
    }

    /// Has the kernel make each of its pages, of `page` bytes, that is not there: by a write that
    /// changes nothing.
    #[inline(never)]
    pub fn touch(self, page: usize) {
        let mut at = self.start;
        while at < self.start + self.len {
            // SAFETY: 8 aligned bytes inside the slot, mapped writable by the type's proof.
            let word = unsafe { AtomicU64::from_ptr(pointer::<u64>(at)) };
            // Not `fetch_or`, of which the compiler makes a load.
            let _ = word.compare_exchange(0, 0, Ordering::Relaxed, Ordering::Relaxed);
            at = (at & !(page - 1)) + page;
        }
    }

    /// Makes all of it zero.
    #[inline(always)]
    pub fn wipe(self, wide: bool) {
        // SAFETY: mapped and aligned by the type's proof, from 64 KiB on to pages, since slots are
        // multiples of that then; the object is dead, or not yet born.
        unsafe {
            if self.len < LONG {
                wipe::wipe(pointer(self.start), self.len, wide);
            } else {
                wipe_used(self.start, self.len, wide);
            }
        }
    }

    /// [`is_zero`](SlotMemory::is_zero) for a slot of `LEN` bytes.
    #[inline(always)]
    pub fn is_zero_exact<const LEN: usize>(self) -> bool {
        // SAFETY: mapped and aligned by the type's proof for `len` bytes, which callers pass as
        // `LEN`.
        unsafe { wipe::is_zero_exact::<LEN>(pointer(self.start)) }
    }

    /// [`wipe`](SlotMemory::wipe) for a slot of `LEN` bytes.
    #[inline(always)]
    pub fn wipe_exact<const LEN: usize>(self) {
        debug_assert_eq!(self.len, LEN);
        // SAFETY: as for `wipe`; callers pass the slot's length as `LEN`.
        unsafe { wipe::wipe_exact::<LEN>(pointer(self.start)) }
    }

    /// [`seal`](SlotMemory::seal) for an object that is not born yet, whose bytes may be
    /// overwritten with zeros, in a slot of `LEN` bytes whose objects leave at most `most` of them,
    /// a constant. Without a branch: sizes come in any order.
    #[inline(always)]
    pub fn seal_exact<const LEN: usize>(self, most: usize, slack: usize, words: Words) {
        debug_assert!(self.len == LEN && slack <= most);
        #[cfg(target_arch = "x86_64")]
        {
            use core::arch::x86_64::{__m128i, _mm_and_si128};
            let mut block = 1;
            while block <= blocks(LEN, most) {
                // SAFETY: 16 aligned bytes inside the slot, which the caller may write: callers
                // pass its length as `LEN`, and no more blocks than it has are counted. `most` is
                // at most `MOST_SLACK` (`Slots::SOUND`, for the short slots that come here) and
                // `slack` at most `most`, so both are as `behind` needs them. SSE2 is the baseline.
                unsafe {
                    let mask = behind(slack, block);
                    let value = _mm_and_si128(expected(words, block), mask);
                    pointer::<__m128i>(self.start + LEN - 16 * block).write(value);
                }
                block += 1;
            }
        }
        #[cfg(not(target_arch = "x86_64"))]
        self.seal(slack, words);
    }

    /// [`is_sealed`](SlotMemory::is_sealed) for such a slot.
    #[inline(always)]
    pub fn is_sealed_exact<const LEN: usize>(
        self,
        most: usize,
        slack: usize,
        words: Words,
    ) -> bool {
        debug_assert!(self.len == LEN && slack <= most);
        #[cfg(target_arch = "x86_64")]
        // SAFETY: reads of 16 aligned bytes inside the slot; `LEN`, `most` and `slack` as for
        // `seal_exact`. Volatile: what they look for are stray writes. SSE2 is the baseline.
        unsafe {
            use core::arch::x86_64::{
                __m128i, _mm_and_si128, _mm_cmpeq_epi8, _mm_movemask_epi8, _mm_or_si128,
                _mm_setzero_si128, _mm_xor_si128,
            };
            let mut wrong = _mm_setzero_si128();
            let mut block = 1;
            while block <= blocks(LEN, most) {
                let found = pointer::<__m128i>(self.start + LEN - 16 * block).read_volatile();
                let differs = _mm_xor_si128(found, expected(words, block));
                wrong = _mm_or_si128(wrong, _mm_and_si128(differs, behind(slack, block)));
                block += 1;
            }
            _mm_movemask_epi8(_mm_cmpeq_epi8(wrong, _mm_setzero_si128())) == 0xffff
        }
        #[cfg(not(target_arch = "x86_64"))]
        self.is_sealed(slack, words)
    }

    /// Overwrites `[from, to)`, offsets in the slot, with zeros.
    pub fn wipe_part(self, from: usize, to: usize) {
        if from < to && to <= self.len {
            // SAFETY: inside the slot, which the holder may write.
            unsafe { wipe::wipe_long(pointer::<u8>(self.start + from), to - from) }
        }
    }

    /// Writes the slack pattern and the canary behind an object that leaves `slack` bytes.
    #[inline(always)]
    pub fn seal(self, slack: usize, words: Words) {
        if slack == 0 {
            // SAFETY: the slot's last 8 bytes, aligned.
            unsafe { pointer::<u64>(self.start + self.len - CANARY).write(words.tail()) }
        } else if slack == 8 {
            store_pair(self.start + self.len - 16, words);
        } else {
            self.seal_long(slack, words);
        }
    }

    #[inline(never)]
    fn seal_long(self, slack: usize, words: Words) {
        let tail = self.len - CANARY;
        let end = tail - slack;
        // SAFETY: every word written lies between the one that holds the object's last bytes and
        // the slot's end, since `slack` leaves room for the canary (the record's own limit). Words
        // are aligned to 8, pairs to 16: `start` and `len` are, and a single word comes before the
        // pairs where `at` is not.
        unsafe {
            let mut at = end.next_multiple_of(8);
            if at & 8 != 0 && at != tail {
                pointer::<u64>(self.start + at).write(words.fill());
                at += 8;
            }
            while at < self.len - 16 {
                store_pair(self.start + at, words.filled());
                at += 16;
            }
            if at == tail {
                pointer::<u64>(self.start + tail).write(words.tail());
            } else {
                store_pair(self.start + at, words);
            }
            // Last, since it is read: a fresh page would be faulted in twice.
            if end & 7 != 0 {
                let keep = keep_mask(end);
                let word = pointer::<u64>(self.start + (end & !7));
                word.write(word.read() & keep | words.fill() & !keep);
            }
        }
    }

    /// Whether slack and canary are as [`seal`](SlotMemory::seal) left them.
    #[inline(always)]
    pub fn is_sealed(self, slack: usize, words: Words) -> bool {
        if slack <= 8 {
            equal_bytes(self.start + self.len - 16, words) | ignored(slack) == 0xffff
        } else {
            self.is_sealed_long(slack, words)
        }
    }

    #[inline(never)]
    fn is_sealed_long(self, slack: usize, words: Words) -> bool {
        self.is_sealed_to(slack, words, self.len)
    }

    /// The slack up to `limit`, an offset in the slot and a multiple of 16; with the canary if that
    /// is the slot's end.
    #[inline(always)]
    fn is_sealed_to(self, slack: usize, words: Words, limit: usize) -> bool {
        let tail = self.len - CANARY;
        let end = tail.wrapping_sub(slack);
        if end > tail {
            return false;
        }
        // SAFETY: as for `seal`.
        unsafe {
            let mut wrong = 0;
            let mut at = end & !7;
            if at != end {
                let keep = keep_mask(end);
                wrong |= (pointer::<u64>(self.start + at).read() ^ words.fill()) & !keep;
                at += 8;
            }
            if at & 8 != 0 && at != tail {
                wrong |= pointer::<u64>(self.start + at).read() ^ words.fill();
                at += 8;
            }
            let mut equal = 0xffff;
            while at < limit.min(self.len - 16) {
                equal &= equal_bytes(self.start + at, words.filled());
                at += 16;
            }
            if limit < self.len {
                return wrong == 0 && equal == 0xffff;
            }
            if at == tail {
                wrong |= pointer::<u64>(self.start + tail).read() ^ words.tail();
            } else {
                equal &= equal_bytes(self.start + at, words);
            }
            wrong == 0 && equal == 0xffff
        }
    }

    /// The object leaves `new` bytes instead of `slack`, under the same words (`None`: there are
    /// no canaries): what it gives up is wiped, and only what changes is written.
    pub fn reseal(self, slack: usize, new: usize, words: Option<Words>) {
        let tail = self.len - CANARY;
        let (before, after) = (tail.saturating_sub(slack), tail.saturating_sub(new));
        self.wipe_part(before.min(after), before.max(after));
        let Some(words) = words else { return };
        // What lies behind the words that hold what was given up is as it was.
        let (mut at, end) = (after, before.next_multiple_of(8));
        while at < end {
            let word = at & !7;
            let keep = keep_mask(at);
            // SAFETY: a word of the slot, aligned as its start is: `before` is at most `tail`, a
            // multiple of 8. It holds the object's last bytes, which are kept, or none of it.
            unsafe {
                let word = pointer::<u64>(self.start + word);
                word.write(word.read() & keep | words.fill() & !keep);
            }
            at = word + 8;
        }
    }

    /// [`is_sealed`](SlotMemory::is_sealed) for the first `most` bytes of the slack, and the canary.
    pub fn is_sealed_near(self, slack: usize, words: Words, most: usize) -> bool {
        let far = self.len - 16;
        let near = self.len.saturating_sub(CANARY + slack).saturating_add(most) & !15;
        if slack <= 8 || near >= far {
            return self.is_sealed(slack, words);
        }
        self.is_sealed_to(slack, words, near) && equal_bytes(self.start + far, words) == 0xffff
    }

    /// Copies `len` bytes from the start of this slot to `to`.
    ///
    /// # Safety
    /// `to` is valid for writing `len` bytes that do not overlap the slot.
    pub unsafe fn copy_to(self, to: *mut u8, len: usize) {
        // SAFETY: the slot is readable for `self.len` bytes; the rest is the caller's.
        unsafe { copy(pointer::<u8>(self.start), to, len.min(self.len)) }
    }
}

/// Blocks of 16 bytes, from a slot's end, that can hold canary or slack.
#[cfg(target_arch = "x86_64")]
const fn blocks(len: usize, most: usize) -> usize {
    let all = len / 16;
    let needed = (most + CANARY).div_ceil(16);
    if needed < all { needed } else { all }
}

/// The most slack that the forms without a loop (`seal_exact`) can have.
pub const MOST_SLACK: usize = 95 - CANARY;

/// Which bytes of a block, counted from the slot's end, lie behind an object that leaves `slack`.
///
/// # Safety
/// `slack` is at most `MOST_SLACK`, `block` 1 to 6.
#[cfg(target_arch = "x86_64")]
#[inline(always)]
unsafe fn behind(slack: usize, block: usize) -> core::arch::x86_64::__m128i {
    /// A step: a window of it is a mask.
    static STEP: [u8; 192] = {
        let mut step = [0; 192];
        let mut i = 96;
        while i < 192 {
            step[i] = 0xff;
            i += 1;
        }
        step
    };
    // SAFETY: 16 bytes from at most 96 + 95 - 16 on, at least from 0 on; SSE2 is the baseline.
    unsafe {
        let window = STEP.as_ptr().add(96 + slack + CANARY - 16 * block);
        core::arch::x86_64::_mm_loadu_si128(window.cast())
    }
}

/// What a block, counted from the slot's end, holds behind the object.
#[cfg(target_arch = "x86_64")]
#[inline(always)]
fn expected(words: Words, block: usize) -> core::arch::x86_64::__m128i {
    if block == 1 {
        return words.vector();
    }
    words.filled().vector()
}

/// Which of a slot's last 16 bytes an object with this much slack may write, as bits.
#[inline(always)]
fn ignored(slack: usize) -> u32 {
    const OBJECT: [u16; 16] = {
        let mut bits = [0; 16];
        let mut slack = 0;
        while slack <= 8 {
            bits[slack] = (1 << (8 - slack)) - 1;
            slack += 1;
        }
        bits
    };
    u32::from(OBJECT[slack & 15])
}

/// Stores both words at `at`, 16 aligned bytes of a slot.
#[inline(always)]
fn store_pair(at: usize, words: Words) {
    // SAFETY: called for bytes of a slot that the caller may write; slots are aligned to 16 and
    // multiples of 16 long, and so is `at` for all callers.
    unsafe {
        #[cfg(target_arch = "x86_64")]
        pointer::<core::arch::x86_64::__m128i>(at).write(words.vector());
        #[cfg(not(target_arch = "x86_64"))]
        pointer::<[u64; 2]>(at).write(words.numbers());
    }
}

/// Which of the 16 bytes at `at` are those of `words`, as bits.
#[inline(always)]
fn equal_bytes(at: usize, words: Words) -> u32 {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: called for bytes of a slot, aligned as for `store_pair`. Volatile: what
    // it looks for are stray writes. SSE2 is the baseline.
    unsafe {
        use core::arch::x86_64::{__m128i, _mm_cmpeq_epi8, _mm_movemask_epi8};
        let found = pointer::<__m128i>(at).read_volatile();
        _mm_movemask_epi8(_mm_cmpeq_epi8(found, words.vector())) as u32
    }
    #[cfg(not(target_arch = "x86_64"))]
    {
        // SAFETY: as above.
        let found = unsafe { pointer::<[u8; 16]>(at).read_volatile() };
        let [fill, tail] = words.numbers();
        let expected = fill.to_ne_bytes().into_iter().chain(tail.to_ne_bytes());
        let equal = found.into_iter().zip(expected).enumerate();
        equal.fold(0, |bits, (i, (a, b))| bits | u32::from(a == b) << i)
    }
}

/// The word at the end of some slot of an open slab, which its owner may be writing just now.
///
/// # Safety
/// `end` is the end of a slot whose slab is open, a multiple of 16.
#[inline(always)]
pub unsafe fn tail_word(end: usize) -> u64 {
    // SAFETY: mapped and aligned to 8 by the caller; read as an atomic, since another thread may
    // be wiping it.
    let word = unsafe { AtomicU64::from_ptr(pointer::<u64>(end - CANARY)) };
    let value = word.load(Ordering::Relaxed);
    // Acquire: if this is what a remote free's wipe left, the claim that preceded it is seen too.
    fence(Ordering::Acquire);
    value
}

/// The bits of the word around `end` that belong to the object.
#[inline(always)]
fn keep_mask(end: usize) -> u64 {
    let bits = (end & 7) * 8;
    if cfg!(target_endian = "little") { (1u64 << bits) - 1 } else { !(u64::MAX >> bits) }
}

#[cfg(test)]
mod tests;
