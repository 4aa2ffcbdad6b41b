//! Layer: mechanisms. What slabs and large objects need to know of the machine, and what they
//! share: counters, and the pages that are kept for the next object.

use super::recycler::{Lost, Recycler, SPLITS, Taken};
use crate::os::Os;
use crate::units::{KIB, MIB, align_down};
use core::sync::atomic::{AtomicU32, AtomicUsize, Ordering::Relaxed};

/// Facts of the machine and the counters that all regions share.
pub struct Ground<'g> {
    /// The page size.
    pub page: usize,
    /// Whether the plan's address space was reserved at start-up.
    pub reserved: bool,
    /// Most bytes that a step of growth may take.
    pub most_step: usize,
    /// Whether guard markers work, found out again when one is refused.
    pub markers: &'g AtomicU32,
    /// Mappings that slabs and large objects have split off.
    pub mappings: &'g AtomicUsize,
    /// Most of those before guards are left out.
    pub most_mappings: usize,
    /// Wiped pages that wait for their next address.
    pub recycler: &'g Recycler,
    /// Start and length of the address space for large objects.
    pub window: (usize, usize),
    /// RLIMIT_AS that the heap has made room for; 0 for none.
    pub limit: &'g AtomicUsize,
    /// Whether the CPU has AVX2.
    pub wide: bool,
}

impl Ground<'_> {
    /// Keeps the pages of an open range that is the caller's alone for another object, see
    /// [`Recycler::put`]. The range has to be emptied afterwards.
    pub fn keep<O: Os>(&self, at: usize, len: usize, is_zero: bool) -> bool {
        self.can_move() && self.recycler.put::<O>(at, len, is_zero, self.window, self.wide)
    }

    /// Whether pages of freed memory are kept at all: not where locked memory cannot have markers,
    /// nor where address space is short.
    pub fn can_move(&self) -> bool {
        self.reserved && self.markers.load(Relaxed) != 0 && self.limit.load(Relaxed) == 0
    }

    /// Fills a mapped, empty range with pages that were kept.
    pub fn fill<O: Os>(&self, at: usize, len: usize) -> Result<Taken, Lost> {
        // The other half is for guards.
        let mappings = self.mappings.load(Relaxed) + SPLITS;
        if !self.can_move() || mappings > self.most_mappings / 2 {
            return Ok(Taken::NOTHING);
        }
        self.recycler.take::<O>(at, len, self.wide)
    }
}

/// The most bytes of a step where address space is limited to `limit`.
pub fn most_step(limit: Option<usize>) -> usize {
    match limit {
        None => 16 * MIB,
        Some(limit) => align_down((limit / 512).max(64 * KIB), 64 * KIB),
    }
}
