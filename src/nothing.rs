//! Layer: mechanisms. Addresses for requests of no bytes: distinct, never readable or writable.
//!
//! A span of address space that is never opened, an address every 16 bytes, and out of line one
//! bit each that says whether it is given out, and a byte for what its caller noted. Addresses are
//! given out in order, so one that was freed comes back only after all others. No lock: any thread,
//! signal handler or forked child may ask at any time.
//!
//! ```text
//! map   +------ a bit an address ------+------------ a byte an address ------------+
//! ```

#![expect(unsafe_code, reason = "makes references into the mapping beside it")]

use crate::os::{MapError, Os, pointer};
use crate::units::align_up;
use crate::violation::Kind;
use core::sync::atomic::{AtomicU8, AtomicU32, AtomicU64, AtomicUsize, Ordering};

use Ordering::{AcqRel, Acquire, Relaxed, Release};

/// Bytes from one address to the next.
const UNIT: usize = 16;

/// Where the span is, and what is known of it.
#[derive(Clone, Copy, Debug)]
pub struct Extent {
    /// First address.
    pub start: usize,
    /// Bytes of the span: a power of two, at least 1024.
    pub len: usize,
    /// Address of bits and bytes.
    pub map: usize,
    /// Whether both are reserved already.
    pub reserved: bool,
}

impl Extent {
    /// No address at all.
    pub const NONE: Extent = Extent { start: 0, len: 0, map: 0, reserved: false };

    /// Bytes of both for a span of this many bytes.
    pub const fn map_bytes(len: usize) -> usize {
        len / UNIT / 8 + len / UNIT
    }

    /// Whether the address lies in the span.
    #[inline(always)]
    pub const fn contains(&self, at: usize) -> bool {
        at.wrapping_sub(self.start) < self.len
    }
}

/// The changing state. Starts as zeros.
#[derive(Default)]
#[repr(C)]
pub struct Nothing {
    /// 0: not used yet; 1: being mapped; 2: in use; 3: cannot be had.
    state: AtomicU32,
    /// Addresses passed so far; of these, the last span's worth were given out or skipped.
    cursor: AtomicUsize,
}

/// Words of the bitmap that are looked at for an address, and some more for races.
const TRIES: usize = 128;

const MAKING: u32 = 1;
const READY: u32 = 2;
const NEVER: u32 = 3;

impl Nothing {
    /// An address that is aligned to `align`, a power of two, and this note of it. `None`: the span is
    /// as good as full, cannot be had, or is being mapped at this moment.
    pub fn give<O: Os>(&self, extent: &Extent, align: usize, note: u8) -> Option<usize> {
        if self.state.load(Acquire) != READY && !self.make::<O>(extent) {
            return None;
        }
        let units = extent.len / UNIT;
        // Where so many words are full, nearly all are: another look at each would cost more than a
        // slot does.
        for _ in 0..TRIES {
            let passed = self.cursor.load(Relaxed);
            let lap = passed & !units.wrapping_sub(1);
            let wanted = align_up(extent.start + (passed - lap) * UNIT, align)?;
            let at = wanted.wrapping_sub(extent.start) / UNIT;
            if at >= units {
                // What is left of the span is not so aligned: on to its start.
                self.pass(passed, lap + units);
                continue;
            }
            let (word, bit) = place(extent, at);
            if word.load(Relaxed) == u64::MAX {
                self.pass(passed, lap + (at | 63) + 1);
                continue;
            }
            if !self.pass(passed, lap + at + 1) {
                continue;
            }
            if word.fetch_or(bit, AcqRel) & bit == 0 {
                noted(extent, at).store(note, Relaxed);
                return Some(wanted);
            }
        }
        None
    }

    /// The note of an address that is given out.
    pub fn check(&self, extent: &Extent, at: usize) -> Result<u8, Kind> {
        let (word, bit, index) = self.find(extent, at)?;
        if word.load(Acquire) & bit == 0 {
            return Err(self.not_given(extent, index));
        }
        Ok(noted(extent, index).load(Relaxed))
    }

    /// Takes an address back.
    pub fn take_back(&self, extent: &Extent, at: usize) -> Result<(), Kind> {
        let (word, bit, index) = self.find(extent, at)?;
        if word.fetch_and(!bit, AcqRel) & bit == 0 {
            return Err(self.not_given(extent, index));
        }
        Ok(())
    }

    fn find<'m>(&self, extent: &Extent, at: usize) -> Result<(&'m AtomicU64, u64, usize), Kind> {
        let offset = at.wrapping_sub(extent.start);
        if self.state.load(Acquire) != READY || offset >= extent.len {
            return Err(Kind::ForeignPointer);
        }
        if !offset.is_multiple_of(UNIT) {
            let aligned = offset.is_multiple_of(8);
            return Err(if aligned { Kind::InteriorPointer } else { Kind::MisalignedPointer });
        }
        let (word, bit) = place(extent, offset / UNIT);
        Ok((word, bit, offset / UNIT))
    }

    /// What a free of an address that is not given out was.
    fn not_given(&self, extent: &Extent, index: usize) -> Kind {
        let passed = self.cursor.load(Relaxed);
        if index < passed || passed >= extent.len / UNIT {
            Kind::DoubleFree
        } else {
            Kind::ForeignPointer
        }
    }

    /// Moves the cursor on; false if another did.
    fn pass(&self, from: usize, to: usize) -> bool {
        self.cursor.compare_exchange(from, to, Relaxed, Relaxed).is_ok()
    }

    /// Maps bits and bytes, and the span where it is not reserved. Whoever comes while another is at
    /// it (perhaps the very thread, below a signal handler) does without.
    #[cold]
    fn make<O: Os>(&self, extent: &Extent) -> bool {
        if extent.len == 0 || self.state.compare_exchange(0, MAKING, Acquire, Acquire).is_err() {
            return false;
        }
        let len = crate::units::round_up(Extent::map_bytes(extent.len), O::page_size());
        let mapped = |outcome: Result<(), MapError>| outcome.is_ok();
        let done = if extent.reserved && mapped(O::open(extent.map, len)) {
            true
        } else {
            // Not reserved, or no longer, under a lowered limit.
            let span = extent.reserved || mapped(O::reserve(extent.start, extent.len));
            span && mapped(O::map(extent.map, len))
        };
        self.state.store(if done { READY } else { NEVER }, Release);
        done
    }
}

/// The word and bit of an address by number.
fn place<'m>(extent: &Extent, index: usize) -> (&'m AtomicU64, u64) {
    let index = index & (extent.len / UNIT).wrapping_sub(1);
    // SAFETY: inside the bits, which are mapped, zero when fresh, and never unmapped, once the
    // state is READY; callers have seen that.
    (unsafe { &*pointer::<AtomicU64>(extent.map + index / 64 * 8) }, 1 << (index % 64))
}

/// The note of an address by number.
fn noted<'m>(extent: &Extent, index: usize) -> &'m AtomicU8 {
    let units = extent.len / UNIT;
    let index = index & units.wrapping_sub(1);
    // SAFETY: inside the bytes, which follow the bits; the rest as for `place`.
    unsafe { &*pointer::<AtomicU8>(extent.map + units / 8 + index) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::os::Linux;
    use std::collections::HashSet;
    use std::vec::Vec;

    fn extent(len: usize) -> Extent {
        // Anywhere: found free by trying; the tests of one process ask for different places.
        static PLACE: AtomicUsize = AtomicUsize::new(0x3000_0000_0000);
        let map = Extent::map_bytes(len).next_multiple_of(Linux::page_size());
        let start = (1..1000)
            .map(|_| PLACE.fetch_add(0x1234_5000, Relaxed))
            .find(|&at| {
                Linux::reserve(at, map + len).is_ok_and(|()| Linux::unmap(at, map + len).is_ok())
            })
            .unwrap();
        Extent { start: start + map, len, map: start, reserved: false }
    }

    #[test]
    fn addresses_differ_and_come_back_last() {
        let extent = extent(4096);
        let nothing = Nothing::default();
        let give = |align| nothing.give::<Linux>(&extent, align, 5);
        let all: Vec<_> = (0..256).map(|_| give(16).unwrap()).collect();
        assert_eq!(all.iter().collect::<HashSet<_>>().len(), 256);
        assert!(all.iter().all(|&at| extent.contains(at)));
        assert_eq!(give(16), None);
        nothing.take_back(&extent, all[7]).unwrap();
        assert_eq!(nothing.take_back(&extent, all[7]), Err(Kind::DoubleFree));
        assert_eq!(nothing.check(&extent, all[7]), Err(Kind::DoubleFree));
        assert_eq!(nothing.check(&extent, all[8]), Ok(5));
        assert_eq!(give(16), Some(all[7]));
        assert_eq!(give(16), None);
    }

    #[test]
    fn alignment_and_misuse() {
        let extent = extent(1 << 20);
        let nothing = Nothing::default();
        assert_eq!(nothing.take_back(&extent, extent.start), Err(Kind::ForeignPointer));
        for shift in 0..16u8 {
            let at = nothing.give::<Linux>(&extent, 1 << shift, 7 + shift).unwrap();
            assert_eq!(at % (1 << shift), 0);
            assert_eq!(nothing.check(&extent, at), Ok(7 + shift));
            assert_eq!(nothing.take_back(&extent, at + 8), Err(Kind::InteriorPointer));
            assert_eq!(nothing.take_back(&extent, at + 4), Err(Kind::MisalignedPointer));
            nothing.take_back(&extent, at).unwrap();
        }
        let beyond = extent.start + (1 << 20) - 16;
        assert_eq!(nothing.take_back(&extent, beyond), Err(Kind::ForeignPointer));
        assert_eq!(nothing.take_back(&extent, beyond + 16), Err(Kind::ForeignPointer));
        // No alignment beyond the span's can be had.
        assert_eq!(nothing.give::<Linux>(&extent, 1 << 46, 0), None);
    }
}
