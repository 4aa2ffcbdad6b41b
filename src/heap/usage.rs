//! Layer: heap. What the heap holds, as a few sums: for reports that are kept up to date while
//! the program runs.

use super::Heap;
use super::stats::ClassStats;
use crate::os::Os;
use crate::policy::Policy;
use core::sync::atomic::Ordering::Relaxed;

/// The heap at a moment, all size classes together. Counters of other threads are read while
/// they run, so the sums are close, not exact, unless the other threads are at rest.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Objects handed out and not freed, large ones too.
    pub live_objects: u64,
    /// Bytes of their slots and mappings.
    pub live_bytes: u64,
    /// Objects handed out, ever.
    pub allocated: u64,
    /// Objects freed, ever, as far as their owners have taken notice.
    pub freed: u64,
    /// Accessible bytes of slabs and large objects.
    pub committed: u64,
    /// Inaccessible bytes behind slabs and around large objects.
    pub guards: u64,
    /// Bytes that were freed and wait: slots and address space of large objects.
    pub quarantined: u64,
    /// Slabs for which no guard could be had.
    pub unguarded_slabs: u64,
    /// Objects freed by another interface than they were allocated with (`malloc`, `new`, `new[]`).
    pub mismatches: u64,
    /// Thread heaps made, guests included.
    pub heaps: u32,
}

impl<O: Os, P: Policy> Heap<'_, O, P> {
    /// Adds up. Unlike [`stats`](Heap::stats) it makes no system call and needs little stack, so
    /// it can run in a signal handler and behind a system call filter. Before start-up everything
    /// is zero.
    pub fn usage(&self) -> Usage {
        let mut usage = Usage::default();
        if !super::start::is_ready(self.frozen) {
            return usage;
        }
        let shared = self.shared();
        for number in 0..self.plan().regions {
            let mut class = ClassStats::EMPTY;
            self.add_region(number, &mut class);
            usage.live_objects += class.live;
            usage.live_bytes += class.live * class.slot as u64;
            usage.allocated += class.allocated;
            usage.freed += class.freed;
            usage.committed += class.committed;
            usage.guards += class.guards;
            usage.quarantined += class.quarantined;
            usage.unguarded_slabs += class.bare;
        }
        let large = &shared.large;
        let bytes = large.live_bytes.load(Relaxed);
        usage.live_objects += large.live.load(Relaxed);
        usage.live_bytes += bytes;
        usage.allocated += large.allocated.load(Relaxed);
        usage.freed += large.freed.load(Relaxed);
        usage.committed += bytes;
        usage.guards += large.guard_bytes.load(Relaxed);
        usage.quarantined += large.waiting.load(Relaxed);
        usage.mismatches = shared.mismatches.load(Relaxed) + large.mismatches.load(Relaxed);
        usage.heaps = shared.heaps.load(Relaxed);
        usage
    }
}
