//! Bytes to steps: eight bytes a step behind a header of two, any bytes at all.
//!
//! ```text
//! header   grade (how large objects may be), threads
//! step     kind, thread and times, four bytes of size, alignment, pick
//! ```

use casemate::size_class::{CLASSES, SizeClass};

/// Bytes of the header.
pub const HEADER: usize = 2;
/// Bytes of a step.
pub const STEP: usize = 8;
/// Threads that a sequence can have.
pub const THREADS: usize = 4;

const PAGE: usize = 4096;
const PAGE_SHIFT: u32 = 12;

/// Something to do. `pick` is an index into the live objects, modulo their number.
#[derive(Clone, Copy, Debug)]
pub enum Step {
    /// Allocate this many objects.
    Allocate { size: usize, align: usize, zeroed: bool, times: usize },
    /// Free this many.
    Free { pick: usize, times: usize },
    /// Give this many another size.
    Reallocate { pick: usize, size: usize, times: usize },
    /// Ask for more than there is.
    Exhaust { size: usize, align: usize },
    /// The same by growth.
    Outgrow { pick: usize, size: usize },
    /// Walk the invariants in the middle of the sequence.
    Verify,
    /// The thread behaves as after its exit handlers from now on.
    Leave,
    /// The thread ends and another takes its place.
    Replace,
}

/// A step, the thread that does it, and whether at the same time as the step before it.
#[derive(Clone, Copy, Debug)]
pub struct Turn {
    /// What.
    pub step: Step,
    /// Who.
    pub thread: usize,
    /// When.
    pub together: bool,
}

/// The largest object of a sequence.
///
/// Of 256 grades two allow 64 MiB: below the 1 % of sequences above 1 MiB that keep the test
/// short. Most sequences are of small objects, where the heap's own structure is.
pub fn largest(bytes: &[u8]) -> usize {
    match bytes.first() {
        Some(254..) => 64 << 20,
        Some(224..) => 1 << 20,
        Some(144..) => 64 << 10,
        _ => 2 << 10,
    }
}

/// The steps that the bytes stand for.
pub fn turns(bytes: &[u8], largest: usize) -> impl Iterator<Item = Turn> {
    let threads = 1 + bytes.get(1).map_or(0, |&byte| byte as usize % THREADS);
    let steps = bytes.get(HEADER..).unwrap_or_default().as_chunks::<STEP>().0;
    steps.iter().map(move |step| turn(step, threads, largest))
}

fn turn(bytes: &[u8; STEP], threads: usize, largest: usize) -> Turn {
    let [kind, who, s0, s1, s2, s3, a, p] = *bytes;
    let align = align(a);
    let size = size([s0, s1, s2, s3], align, largest);
    let pick = p as usize * 257 + who as usize;
    // Mostly one object, sometimes enough of them to use up groups and slabs.
    let times = match who >> 4 {
        15 => 150,
        13 | 14 => 40,
        10..=12 => 6,
        _ => 1,
    };
    let times = if size > 4 * PAGE { times.min(6) } else { times };
    let huge = ((1usize << 46) << (s0 % 18)) + usize::from(s1);
    let step = match kind & 31 {
        0..=10 => Step::Allocate { size, align, zeroed: false, times },
        11..=14 => Step::Allocate { size, align, zeroed: true, times },
        15..=22 => Step::Free { pick, times: times * 2 },
        23..=28 => Step::Reallocate { pick, size, times },
        29 => Step::Free { pick, times: 400 },
        30 => match s3 % 8 {
            0 => Step::Verify,
            1 => Step::Leave,
            2 | 3 => Step::Replace,
            _ => Step::Free { pick, times: 1 },
        },
        _ => match s3 % 4 {
            0 => Step::Exhaust { size: huge, align },
            1 => Step::Outgrow { pick, size: huge },
            _ => Step::Allocate { size, align, zeroed: true, times },
        },
    };
    Turn { step, thread: (who & 15) as usize % threads, together: kind & 0xc0 != 0 }
}

/// 1 to 64 KiB; the alignments of ordinary programs more often.
pub fn align(byte: u8) -> usize {
    if byte < 176 { 1 << (byte % 5) } else { 1 << (byte % 17) }
}

/// 1 to `largest`: spread evenly over the doublings, or next to where something changes.
pub fn size([s0, s1, s2, s3]: [u8; 4], align: usize, largest: usize) -> usize {
    let small = usize::from(s1) | usize::from(s2) << 8;
    let near = usize::from(s2 % 5);
    let size = match s0 >> 5 {
        // A slot's end, with and without its canary.
        0 | 1 => match SizeClass::new(usize::from(s1) % CLASSES) {
            Some(class) => (class.slot(PAGE_SHIFT) + 2).saturating_sub(near + (s3 as usize & 8)),
            None => 1,
        },
        // A power of two.
        2 => (1usize << (s1 % 27)) + near - 1,
        // Whole units of the alignment, at least of a page if that is asked for.
        3 => align * (1 + small % 16),
        _ => {
            let doublings = largest.trailing_zeros() + 1;
            let base = 1usize << (u32::from(s0 % 32) * doublings / 32);
            base + (small << 8 | s3 as usize) % base
        }
    };
    size.clamp(1, largest)
}
