//! Layer: mechanisms. The bytes around a secret: filled with a keyed pattern when it is handed
//! out, compared when it is freed, and all of it wiped.
//!
//! ```text
//! from          start           end             to
//! | front gap ..| the secret ...| back gap .....|
//! ```
//!
//! The pattern is 8 bytes, none of them zero in front, that repeat by address; it is a keyed
//! function of the buffer's address and generation, so it is known nowhere else.
#![expect(unsafe_code, reason = "reads and writes secret memory by address")]

use super::protection::{Protection, on};
use crate::canary::Words;
use crate::os::pointer;
use crate::wipe;

/// Which bytes around the buffer were written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Damage {
    /// Before its start.
    Front,
    /// Behind its end.
    Back,
}

/// The memory of one buffer with the gaps around it.
///
/// Holding one proves that `[from, to)` is mapped and readable, belongs to this buffer alone, and
/// that `from <= start <= end <= to`; and that it is writable, unless it is only to be
/// [checked](Margins::check).
#[derive(Clone, Copy, Debug)]
pub struct Margins {
    from: usize,
    start: usize,
    end: usize,
    to: usize,
}

impl Margins {
    /// # Safety
    /// The caller has what holding the value proves.
    pub unsafe fn new(from: usize, start: usize, size: usize, to: usize) -> Margins {
        Margins { from, start, end: start.wrapping_add(size), to }
    }

    /// Writes the pattern into both gaps.
    #[inline]
    pub fn seal(self, words: Words) {
        let [front, back] = patterns(words);
        fill(self.from, self.start, front);
        fill(self.end, self.to, back);
    }

    /// Compares both gaps with the pattern.
    #[inline]
    pub fn check(self, words: Words) -> Result<(), Damage> {
        let [front, back] = patterns(words);
        if on(Protection::FrontCanary) && !is_filled(self.from, self.start, front) {
            return Err(Damage::Front);
        }
        if on(Protection::BackCanary) && !is_filled(self.end, self.to, back) {
            return Err(Damage::Back);
        }
        Ok(())
    }

    /// Overwrites the secret and both gaps with zeros.
    pub fn wipe(self) {
        // SAFETY: writable and this buffer's alone by the type's proof; the buffer is given up.
        unsafe { wipe::wipe_long(pointer(self.from), self.to - self.from) }
    }
}

/// Front and back pattern. Byte 1 of the tail word is zero for C strings to stop at; here a
/// repeated zero byte would hide stray zeros, so it is filled in.
#[inline]
fn patterns(words: Words) -> [u64; 2] {
    const SECOND: u64 = u64::from_le_bytes([0, 0xa5, 0, 0, 0, 0, 0, 0]);
    let nonzero = u64::from_le_bytes([1; 8]);
    [words.fill(), words.tail() | SECOND.to_le() | nonzero]
}

/// The pattern as it lies from `at` on.
#[inline]
fn turned(pattern: u64, at: usize) -> u64 {
    let shift = (at as u32 & 7) * 8;
    // In memory order, byte `at & 7` comes first.
    u64::from_le(pattern).rotate_right(shift).to_le()
}

#[inline]
fn fill(from: usize, to: usize, pattern: u64) {
    let mut at = from;
    while at < to && at & 7 != 0 {
        store_byte(at, pattern);
        at += 1;
    }
    while at + 8 <= to {
        // SAFETY: aligned and inside a gap, by `Margins`' proof.
        unsafe { pointer::<u64>(at).write(pattern) };
        at += 8;
    }
    while at < to {
        store_byte(at, pattern);
        at += 1;
    }
}

#[inline]
fn store_byte(at: usize, pattern: u64) {
    // SAFETY: inside a gap, by `Margins`' proof.
    unsafe { pointer::<u8>(at).write(turned(pattern, at).to_ne_bytes()[0]) };
}

/// Volatile: what it looks for are writes that the language says cannot be there.
#[inline]
fn is_filled(from: usize, to: usize, pattern: u64) -> bool {
    let mut wrong = 0;
    let mut at = from;
    while at < to && at & 7 != 0 {
        wrong |= byte_differs(at, pattern);
        at += 1;
    }
    while at + 8 <= to {
        // SAFETY: aligned and inside a gap, by `Margins`' proof.
        wrong |= unsafe { pointer::<u64>(at).read_volatile() } ^ pattern;
        at += 8;
    }
    while at < to {
        wrong |= byte_differs(at, pattern);
        at += 1;
    }
    wrong == 0
}

#[inline]
fn byte_differs(at: usize, pattern: u64) -> u64 {
    // SAFETY: inside a gap, by `Margins`' proof.
    let found = unsafe { pointer::<u8>(at).read_volatile() };
    u64::from(found ^ turned(pattern, at).to_ne_bytes()[0])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::canary::Key;

    #[repr(align(64))]
    struct Memory([u8; 128]);

    fn words(n: u8) -> Words {
        Key::new(core::array::from_fn(|i| i as u8 ^ 0x5c), false).words(0x7000, n)
    }

    #[test]
    fn every_byte_of_both_gaps_counts() {
        for (front, size) in [(8, 32), (16, 1), (8, 0), (9, 5), (64, 63), (1, 126)] {
            let mut memory = Memory([0; 128]);
            let from = (&raw mut memory.0).cast::<u8>().expose_provenance();
            // SAFETY: the array is this test's.
            let margins = unsafe { Margins::new(from, from + front, size, from + 128) };
            margins.seal(words(1));
            assert_eq!(margins.check(words(1)), Ok(()));
            assert!(margins.check(words(2)).is_err());
            for at in 0..128 {
                let byte = pointer::<u8>(from + at);
                // SAFETY: inside the array.
                let before = unsafe { byte.read() };
                let inside = (front..front + size).contains(&at);
                assert_eq!(before == 0, inside, "{at}: no pattern byte is zero");
                for other in [0, before ^ 0x80, before.wrapping_add(1)] {
                    // SAFETY: inside the array.
                    unsafe { byte.write(other) };
                    let expected = match at {
                        _ if inside => Ok(()),
                        _ if at < front => Err(Damage::Front),
                        _ => Err(Damage::Back),
                    };
                    assert_eq!(margins.check(words(1)), expected);
                }
                // SAFETY: inside the array.
                unsafe { byte.write(before) };
            }
            margins.wipe();
            assert_eq!(memory.0, [0; 128]);
        }
    }
}
