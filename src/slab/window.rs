//! Layer: mechanisms. The slabs of a region's latest step that nobody has had yet.
//!
//! They are known by number, not by their headers: each header is on a page of metadata of its own
//! where slots are small, and a program that uses one slab of a class would pay for those of eight.

use super::meta::Backing;
use crate::bitmap::{bit, nth};
use core::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use Ordering::{Relaxed, Release};

const WORDS: usize = 4;

/// The most slabs of a step.
pub const MOST_STEP: u32 = 64 * WORDS as u32;

/// See the module. The region's lock is held wherever it is changed.
#[derive(Default)]
pub struct Window {
    /// Number of the step's first slab.
    start: AtomicU32,
    /// How its slabs are backed, a [`Backing`].
    backing: AtomicU32,
    /// Those that nobody has had: bit `i` of word `w` is slab `start + 64 * w + i`.
    left: [AtomicU64; WORDS],
}

impl Window {
    /// Slabs left.
    pub fn count(&self) -> u32 {
        self.left.iter().map(|word| word.load(Relaxed).count_ones()).sum()
    }

    /// How all of them are backed.
    pub fn backing(&self) -> Backing {
        Backing::of(self.backing.load(Relaxed))
    }

    /// Starts a step of slabs, when none is left of the one before.
    pub fn begin(&self, start: u32, count: u32, backing: Backing) {
        debug_assert!(self.count() == 0 && count <= MOST_STEP);
        self.start.store(start, Relaxed);
        self.backing.store(backing as u32, Relaxed);
        let mut more = count;
        for word in &self.left {
            let here = more.min(64);
            // Release: a child forked in between finds the numbers, or fewer slabs.
            word.store(u64::MAX.checked_shr(64 - here).unwrap_or(0), Release);
            more -= here;
        }
    }

    /// Takes out the slab that is at `place` among those left, counted from the lowest.
    pub fn take(&self, place: u32) -> Option<u32> {
        let mut place = place;
        for (w, word) in self.left.iter().enumerate() {
            let set = word.load(Relaxed);
            if let Some(i) = nth(set, place as usize) {
                word.store(set & !bit(i), Release);
                return Some(self.start.load(Relaxed) + (64 * w + i) as u32);
            }
            place = place.wrapping_sub(set.count_ones());
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;
    use std::vec::Vec;

    proptest! {
        #[test]
        fn every_slab_is_taken_once(
            start in 0u32..1 << 30,
            count in 1..=MOST_STEP,
            places in proptest::collection::vec(any::<u32>(), MOST_STEP as usize),
        ) {
            let window = Window::default();
            prop_assert_eq!((window.count(), window.take(0)), (0, None));
            window.begin(start, count, Backing::Protected);
            let mut left: BTreeSet<u32> = (start..start + count).collect();
            for place in places {
                prop_assert_eq!(window.count() as usize, left.len());
                prop_assert_eq!(window.backing(), Backing::Protected);
                prop_assert_eq!(window.take(left.len() as u32), None);
                if left.is_empty() {
                    break;
                }
                let place = place % left.len() as u32;
                let expected = left.iter().copied().nth(place as usize);
                prop_assert_eq!(window.take(place), expected);
                left.retain(|&slab| Some(slab) != expected);
            }
            let rest: Vec<u32> = core::iter::from_fn(|| window.take(0)).collect();
            prop_assert!(rest.into_iter().eq(left));
            window.begin(7, 1, Backing::Marked);
            prop_assert_eq!((window.take(0), window.take(0)), (Some(7), None));
        }
    }
}
