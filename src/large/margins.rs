//! Layer: mechanisms. What lies around a large object in its pages: filled with a pattern of its
//! address, as a canary.

#![expect(unsafe_code, reason = "writes the pattern behind large objects")]

use super::mapping::Mapping;
use super::{Grounds, LargeEntry, mapping_of};
use crate::os::pointer;
use core::sync::atomic::Ordering::Relaxed;

/// The accessible bytes around the object: before it, and from its end to its last page's end.
fn margins(entry: &LargeEntry) -> [(usize, usize); 2] {
    let Mapping { data, data_len, .. } = mapping_of(entry);
    let start = entry.start.load(Relaxed);
    [(data, start), (start + entry.size.load(Relaxed), data + data_len)]
}

/// Fills the margins with the pattern of this object's address.
pub(super) fn seal(grounds: &Grounds<'_>, entry: &LargeEntry) {
    let fill = fill(grounds, entry);
    for (from, to) in margins(entry) {
        for at in from..to {
            // SAFETY: inside the object's accessible pages, which the table's lock keeps, and
            // outside the object.
            unsafe { pointer::<u8>(at).write(pattern(fill, at)) };
        }
    }
}

/// Whether it is all there.
pub(super) fn is_sealed(grounds: &Grounds<'_>, entry: &LargeEntry) -> bool {
    let fill = fill(grounds, entry);
    let mut wrong = 0;
    for (from, to) in margins(entry) {
        for at in from..to {
            // SAFETY: as for `seal`; volatile, since what it looks for are stray writes.
            wrong |= unsafe { pointer::<u8>(at).read_volatile() } ^ pattern(fill, at);
        }
    }
    wrong == 0
}

fn fill(grounds: &Grounds<'_>, entry: &LargeEntry) -> [u8; 8] {
    grounds.key.words(entry.start.load(Relaxed), 0).fill().to_ne_bytes()
}

fn pattern(fill: [u8; 8], at: usize) -> u8 {
    fill.get(at & 7).copied().unwrap_or(1)
}
