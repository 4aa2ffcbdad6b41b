//! Layer: heap. Statistics and the report of what is in force, gathered without allocating.

use super::Heap;
use super::shared::{READ_ONLY, SEALED};
use super::thread_heap::Standing;
use crate::geometry::SlabId;
use crate::os::Os;
use crate::policy::{Policy, Set};
use crate::size_class::{CLASSES, SizeClass};
use core::fmt;
use core::sync::atomic::Ordering::Relaxed;

/// One size class.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ClassStats {
    /// Slot size in bytes.
    pub slot: usize,
    /// Objects handed out and not freed.
    pub live: u64,
    /// Objects handed out, ever.
    pub allocated: u64,
    /// Objects freed, ever, as far as their owners have taken notice.
    pub freed: u64,
    /// Those freed by a thread that did not own them.
    pub remote: u64,
    /// Bytes of freed slots in quarantine.
    pub quarantined: u64,
    /// Slabs that heaps have.
    pub slabs: u64,
    /// Accessible bytes of those slabs.
    pub committed: u64,
    /// Inaccessible bytes behind them.
    pub guards: u64,
    /// Slabs given back, ever.
    pub purged: u64,
    /// Bytes of memory given back with them, ever.
    pub purged_bytes: u64,
    /// Slabs for which no guard could be had.
    pub bare: u64,
}

/// The heap at a moment; counters of other threads are read while they run.
#[derive(Clone, Copy, Debug)]
pub struct Stats {
    /// One a size class, by ascending number; see [`ClassStats::slot`].
    pub class: [ClassStats; CLASSES],
    /// All size classes together; `slot` is 0.
    pub small: ClassStats,
    /// Large objects alive.
    pub large_live: u64,
    /// Accessible bytes of large objects.
    pub large_bytes: u64,
    /// Large allocations, ever.
    pub large_allocated: u64,
    /// Large frees, ever.
    pub large_freed: u64,
    /// Bytes of guards around large objects.
    pub large_guards: u64,
    /// Address space of freed large ranges that is not used again yet.
    pub large_quarantined: u64,
    /// Bytes of wiped pages that freed objects above 64 KiB had and the next ones will get.
    pub kept: u64,
    /// Metadata bytes mapped: slab metadata and thread heaps.
    pub metadata: u64,
    /// Page-table bytes of the process, if the kernel tells.
    pub page_tables: Option<usize>,
    /// Thread heaps made, guests included.
    pub heaps: u32,
    /// Forks of the process seen.
    pub forks: u32,
}

/// What is in force in this process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProtectionReport {
    /// The policy's name.
    pub policy: &'static str,
    /// The policy's protections.
    pub set: Set,
    /// Guards are markers in the page table (Linux 6.13); otherwise `mprotect` and unmapped gaps.
    pub guard_markers: bool,
    /// Slabs without a guard behind them at this moment.
    pub unguarded_slabs: u64,
    /// Secrets, bases and hook are in a read-only page.
    pub read_only: bool,
    /// That page is sealed (Linux 6.10).
    pub sealed: bool,
    /// A fork that runs no handlers is noticed.
    pub raw_fork_noticed: bool,
    /// Canaries are made with AES instructions; otherwise SipHash.
    pub aes: bool,
    /// Address space is reserved at start-up; otherwise mapped as needed.
    pub reserved: bool,
    /// log2 of the bytes of a size class's region.
    pub region_bits: u32,
}

impl<O: Os, P: Policy> Heap<'_, O, P> {
    /// Gathers statistics. Before start-up everything is zero.
    pub fn stats(&self) -> Stats {
        let mut stats = Stats::EMPTY;
        let mut class = stats.class.iter_mut();
        self.each_class(&mut |told| {
            stats.small.add(told);
            if let Some(class) = class.next() {
                *class = *told;
            }
        });
        let overall = self.overall();
        stats.large_live = overall.large_live;
        stats.large_bytes = overall.large_bytes;
        stats.large_allocated = overall.large_allocated;
        stats.large_freed = overall.large_freed;
        stats.large_guards = overall.large_guards;
        stats.large_quarantined = overall.large_quarantined;
        stats.kept = overall.kept;
        stats.metadata = overall.metadata;
        stats.page_tables = overall.page_tables;
        stats.heaps = overall.heaps;
        stats.forks = overall.forks;
        stats
    }

    /// Tells the ranges that the heap has mapped or reserved. For tests, which end heaps.
    pub fn mapped(&self, tell: &mut dyn FnMut(usize, usize)) {
        if !super::start::is_ready(self.frozen) {
            return;
        }
        let (plan, shared) = (self.plan(), self.shared());
        if plan.rung.reserved {
            tell(plan.slots, plan.nothing.start + plan.nothing.len - plan.slots);
        } else {
            // What lies between may be anybody's.
            for (region, state) in plan.region.iter().zip(&shared.region) {
                let first = region.slab(SlabId(0));
                tell(first, region.slab(SlabId(state.frontier())) - first);
            }
        }
        tell(plan.meta.0, plan.meta.1);
        crate::large::ranges::<O>(&self.grounds(), tell);
        if let Some((at, len)) = shared.recycler.span() {
            tell(at, len);
        }
    }

    pub(super) fn add_region(&self, number: usize, class: &mut ClassStats) {
        let (plan, shared) = (self.plan(), self.shared());
        let (Some(region), Some(state)) = (plan.region.get(number), shared.region.get(number))
        else {
            return;
        };
        let slot = u64::from(region.shape.slot);
        class.slot = slot as usize;
        for number_of_heap in 1..shared.heaps.load(Relaxed) as usize {
            let heap = self.frozen.heap(number_of_heap);
            let Some(bin) = heap.bin(number) else { continue };
            if heap.standing() == Standing::Unused {
                continue;
            }
            // Freed first: what was handed out in between only makes the difference larger.
            let freed = bin.freed.load(Relaxed);
            let handed = bin.listed.load(Relaxed).wrapping_sub(u64::from(bin.count.load(Relaxed)));
            class.allocated += handed;
            class.freed += freed;
            class.live += handed.saturating_sub(freed);
            class.remote += bin.remote.load(Relaxed);
            class.quarantined += bin.waiting.load(Relaxed) * slot;
            class.slabs += u64::from(bin.slab_count.load(Relaxed));
        }
        let stride = 1u64 << region.shape.stride_shift;
        let open = class.slabs.saturating_sub(u64::from(state.decommitted.load(Relaxed)));
        class.committed = open * u64::from(region.shape.data);
        class.bare += u64::from(state.bare.load(Relaxed));
        class.guards =
            class.slabs.saturating_sub(class.bare) * (stride - u64::from(region.shape.data));
        let purged = state.purged.load(Relaxed);
        class.purged += purged;
        class.purged_bytes += purged * u64::from(region.shape.data);
    }

    /// What is in force.
    pub fn protections(&self) -> ProtectionReport {
        let plan = self.plan();
        let ready = super::start::is_ready(self.frozen);
        let page = if ready { self.shared().page.load(Relaxed) } else { 0 };
        let bare = |number: usize| {
            self.shared().region.get(number).map_or(0, |r| u64::from(r.bare.load(Relaxed)))
        };
        ProtectionReport {
            policy: if ready { plan.policy_name } else { P::NAME },
            set: if ready { plan.policy } else { P::SET },
            guard_markers: ready && self.shared().markers.load(Relaxed) != 0,
            unguarded_slabs: if ready { (0..plan.regions).map(bare).sum() } else { 0 },
            read_only: page & READ_ONLY != 0,
            sealed: page & SEALED != 0,
            raw_fork_noticed: plan.features.wipe_on_fork,
            aes: plan.features.aes,
            reserved: plan.rung.reserved,
            region_bits: plan.rung.region_shift,
        }
    }
}

impl ClassStats {
    pub(super) const EMPTY: ClassStats = ClassStats {
        slot: 0,
        live: 0,
        allocated: 0,
        freed: 0,
        remote: 0,
        quarantined: 0,
        slabs: 0,
        committed: 0,
        guards: 0,
        purged: 0,
        purged_bytes: 0,
        bare: 0,
    };

    pub(super) fn add(&mut self, other: &ClassStats) {
        self.live += other.live;
        self.allocated += other.allocated;
        self.freed += other.freed;
        self.remote += other.remote;
        self.quarantined += other.quarantined;
        self.slabs += other.slabs;
        self.committed += other.committed;
        self.guards += other.guards;
        self.purged += other.purged;
        self.purged_bytes += other.purged_bytes;
        self.bare += other.bare;
    }
}

impl Stats {
    const EMPTY: Stats = Stats {
        class: [ClassStats::EMPTY; CLASSES],
        small: ClassStats::EMPTY,
        large_live: 0,
        large_bytes: 0,
        large_allocated: 0,
        large_freed: 0,
        large_guards: 0,
        large_quarantined: 0,
        kept: 0,
        metadata: 0,
        page_tables: None,
        heaps: 0,
        forks: 0,
    };

    /// The class that a request is counted in, if it is not a large one.
    pub fn class_of(&self, layout: core::alloc::Layout) -> Option<&ClassStats> {
        let shift = crate::os::Linux::page_size().trailing_zeros();
        let class: SizeClass = crate::size_class::classify(layout.size(), layout.align(), shift)?;
        self.class.get(class.index())
    }
}

impl fmt::Display for ProtectionReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "policy: {}", self.policy)?;
        write!(f, "protections:")?;
        for (i, (name, one)) in Set::EACH.iter().filter(|(_, one)| self.set.has(*one)).enumerate() {
            let _ = one;
            write!(f, "{} {name}", if i == 0 { "" } else { "," })?;
        }
        writeln!(f)?;
        let guards = if self.guard_markers { "page-table markers" } else { "mprotect and gaps" };
        writeln!(f, "guards by: {guards}; slabs without: {}", self.unguarded_slabs)?;
        let page = match (self.read_only, self.sealed) {
            (true, true) => "read-only and sealed",
            (true, false) => "read-only",
            (false, _) => "writable",
        };
        writeln!(f, "secrets, bases and hook: {page}")?;
        let canary = if self.aes { "AES" } else { "SipHash" };
        writeln!(f, "canaries by: {canary}")?;
        let fork = if self.raw_fork_noticed { "noticed" } else { "not noticed" };
        writeln!(f, "forks without handlers: {fork}")?;
        let space = if self.reserved { "reserved" } else { "mapped as needed" };
        write!(f, "address space: 2^{} bytes a size class, {space}", self.region_bits)
    }
}
