//! Layer: mechanisms. How much of a long range was used, as far as a few looks tell.
//!
//! Programs ask for buffers of which they use the beginning. Each page that was never touched would
//! be faulted in by wiping it, which takes ten times as long as wiping one that is there.

#![expect(unsafe_code, reason = "looks at freed memory, and wipes it")]

use crate::os::pointer;
use crate::units::{KIB, align_down};
use crate::wipe::{is_zero, wipe};

/// Parts of a range, at whose starts it is looked whether it holds anything.
const PARTS: usize = 16;
/// The last ones at which it is not: there a slot has its slack, which is never empty.
const SLACK: usize = 3;
/// Bytes that are looked at.
const LOOK: usize = 64;
/// Bytes that are wiped if any of them has to be, where nothing was found.
const PIECE: usize = 4 * KIB;
/// The shortest range for which that is worth it.
pub const LONG: usize = 64 * KIB;

/// Bytes of a range up to where it seems to have been used: whole parts, each a multiple of `grain`
/// bytes. All of it, by one look, where it was used nearly to its end.
///
/// # Safety
/// The range is mapped readable, aligned to 64, and nobody writes to it.
pub unsafe fn used(from: usize, len: usize, grain: usize, wide: bool) -> usize {
    let part = align_down(len / PARTS, grain);
    if part < LOOK {
        return len;
    }
    // SAFETY: the caller's; so many parts, each of a look at least, lie in the range.
    let holds = |i| !unsafe { is_zero(pointer(from + i * part), LOOK, wide) };
    match (0..PARTS - SLACK).rev().find(|&i| holds(i)) {
        Some(last) if last + 1 < PARTS - SLACK => (last + 1) * part,
        Some(_) => len,
        None => 0,
    }
}

/// Makes all of a long range zero, by only reading what seems not to have been used and was not.
///
/// # Safety
/// The range is mapped readable and writable, aligned to 64, its length a multiple of 16, and
/// nobody uses it.
#[inline(never)]
pub unsafe fn wipe_used(from: usize, len: usize, wide: bool) {
    // SAFETY: the caller's. All lengths are multiples of 16 and not 0; what reads as zero needs no
    // wiping.
    unsafe {
        let mut at = used(from, len, PIECE, wide);
        if at != 0 {
            wipe(pointer(from), at, wide);
        }
        while at < len {
            let piece = PIECE.min(len - at);
            if !is_zero(pointer(from + at), piece, wide) {
                wipe(pointer(from + at), piece, wide);
            }
            at += piece;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[repr(align(64))]
    #[derive(Clone)]
    struct Line([u8; 64]);

    fn with(marks: &[usize], len: usize) -> std::vec::Vec<Line> {
        let mut lines = std::vec![Line([0; 64]); len / 64];
        marks.iter().for_each(|&at| lines[at / 64].0[at % 64] = 1);
        lines
    }

    fn used_of(marks: &[usize], len: usize) -> usize {
        let lines = with(marks, len);
        // SAFETY: a live vector of so many bytes, aligned to 64.
        unsafe { used(lines.as_ptr().addr(), len, 4096, false) }
    }

    #[test]
    fn what_is_used_from_the_start_is_found() {
        let len = 16 * 8192;
        assert_eq!(used_of(&[], len), 0);
        assert_eq!(used_of(&[0], len), 8192);
        assert_eq!(used_of(&[0, 8192, 2 * 8192 + 63], len), 3 * 8192);
        assert_eq!(used_of(&[11 * 8192], len), 12 * 8192);
        assert_eq!(used_of(&[12 * 8192], len), len);
        // Where slack may lie.
        assert_eq!(used_of(&[13 * 8192, 15 * 8192, len - 8], len), 0);
        // Rounded down: the last part is longer.
        assert_eq!(used_of(&[12 * 4096], 16 * 4096 + 64), 16 * 4096 + 64);
        assert_eq!(used_of(&[], 4096), 4096);
    }

    #[test]
    fn no_slot_has_its_slack_where_it_is_looked() {
        use crate::size_class::{CANARY, CLASSES, LARGEST, SizeClass, classify};
        let mut longest = [0; CLASSES];
        for size in (LONG - CANARY..=LARGEST).step_by(64) {
            let Some(class) = classify(size, 16, 12) else { continue };
            longest[class.index()] = longest[class.index()].max(class.slot(12) - size);
        }
        for (i, slack) in longest.into_iter().enumerate() {
            let slot = SizeClass::new(i).unwrap().slot(12);
            let part = align_down(slot / PARTS, PIECE);
            assert!(slot < LONG || slot - slack >= (PARTS - SLACK - 1) * part + LOOK, "{slot}");
        }
    }

    #[test]
    fn everything_is_zero_afterwards_wherever_it_was_not() {
        let len = LONG + 4096 + 16;
        for at in [0, 63, 64, 4095, 4096, 10_000, LONG - 1, LONG, len - 17, len - 1] {
            for more in [at, 0, 5000] {
                let mut lines = with(&[at, more], len.next_multiple_of(64));
                // SAFETY: a live vector of at least so many bytes, aligned to 64, not used meanwhile.
                unsafe { wipe_used(lines.as_mut_ptr().expose_provenance(), len, false) };
                assert!(lines.iter().flat_map(|line| line.0).all(|byte| byte == 0), "{at} {more}");
            }
        }
    }
}
