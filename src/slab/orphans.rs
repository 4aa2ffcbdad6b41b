//! Layer: mechanisms. Slabs that are nobody's and not listed as free yet: a signal handler that
//! interrupts the holder of a region's lock can neither wait for it nor list anything. It leaves them
//! here, by one exchange, and whoever holds the lock next lists them.

use super::meta::{Link, header};
use crate::geometry::{Region, SlabId};
use core::sync::atomic::{AtomicU32, Ordering};

use Ordering::{Acquire, Relaxed, Release};

/// A list of slabs through [`SlabHeader::next`](super::meta::SlabHeader::next), which is their heap's
/// as long as they have one: all are taken at once, so it never matters that one comes back.
#[derive(Default)]
pub struct Orphans(AtomicU32);

impl Orphans {
    /// Leaves a closed slab that is in no list.
    pub fn put(&self, region: &Region, slab: SlabId) {
        let mut first = self.0.load(Relaxed);
        loop {
            header(region, slab).next.store(first, Relaxed);
            match self.0.compare_exchange_weak(first, Link::to(slab).0, Release, Relaxed) {
                Ok(_) => return,
                Err(other) => first = other,
            }
        }
    }

    /// Hands all of them over.
    pub fn take(&self, region: &Region, mut to: impl FnMut(SlabId)) {
        if self.0.load(Relaxed) == 0 {
            return;
        }
        let mut next = Link(self.0.swap(0, Acquire));
        while let Some(slab) = next.slab() {
            next = Link(header(region, slab).next.load(Relaxed));
            to(slab);
        }
    }
}
