//! Layer: heap. The statistics a size class at a time, for callers with little stack: a [`Stats`] is
//! larger than the smallest thread's. And the table that both are printed as.

use super::stats::{ClassStats, Stats};
use super::{Heap, start};
use crate::os::Os;
use crate::policy::Policy;
use crate::size_class::CLASSES;
use core::fmt;
use core::sync::atomic::Ordering::Relaxed;

/// What [`Stats`] has beside the classes, under the same names.
#[derive(Clone, Copy, Debug, Default)]
#[expect(missing_docs, reason = "they are described there")]
pub struct Overall {
    pub large_live: u64,
    pub large_bytes: u64,
    pub large_allocated: u64,
    pub large_freed: u64,
    pub large_guards: u64,
    pub large_quarantined: u64,
    pub kept: u64,
    pub metadata: u64,
    pub page_tables: Option<usize>,
    pub heaps: u32,
    pub forks: u32,
}

impl<O: Os, P: Policy> Heap<'_, O, P> {
    /// Tells of each size class, by ascending number. Before start-up there are none.
    pub fn each_class(&self, tell: &mut dyn FnMut(&ClassStats)) {
        if !start::is_ready(self.frozen) {
            return;
        }
        for class in 0..CLASSES {
            let mut stats = ClassStats::EMPTY;
            let first = class * P::PARTITIONS;
            for number in first..(first + P::PARTITIONS).min(self.plan().regions) {
                self.add_region(number, &mut stats);
            }
            tell(&stats);
        }
    }

    /// The rest. Before start-up everything is zero.
    pub fn overall(&self) -> Overall {
        if !start::is_ready(self.frozen) {
            return Overall::default();
        }
        let shared = self.shared();
        let heaps = shared.heaps.load(Relaxed);
        let regions = shared.region.iter().take(self.plan().regions);
        let of_slabs: u64 = regions.map(|region| region.meta_bytes() as u64).sum();
        Overall {
            large_live: shared.large.live.load(Relaxed),
            large_bytes: shared.large.live_bytes.load(Relaxed),
            large_allocated: shared.large.allocated.load(Relaxed),
            large_freed: shared.large.freed.load(Relaxed),
            large_guards: shared.large.guard_bytes.load(Relaxed),
            large_quarantined: shared.large.waiting.load(Relaxed),
            kept: shared.recycler.held() as u64,
            metadata: of_slabs + u64::from(heaps) * super::thread_heap::ThreadHeap::STRIDE as u64,
            page_tables: O::page_table_bytes(),
            heaps,
            forks: shared.forks.load(Relaxed),
        }
    }
}

impl Stats {
    fn overall(&self) -> Overall {
        Overall {
            large_live: self.large_live,
            large_bytes: self.large_bytes,
            large_allocated: self.large_allocated,
            large_freed: self.large_freed,
            large_guards: self.large_guards,
            large_quarantined: self.large_quarantined,
            kept: self.kept,
            metadata: self.metadata,
            page_tables: self.page_tables,
            heaps: self.heaps,
            forks: self.forks,
        }
    }
}

impl fmt::Display for Stats {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        table(f, |tell| self.class.iter().for_each(tell), &self.overall())
    }
}

/// Prints what `each` tells of, and the rest.
pub fn table(
    f: &mut dyn fmt::Write,
    each: impl FnOnce(&mut dyn FnMut(&ClassStats)),
    overall: &Overall,
) -> fmt::Result {
    let kib = |bytes: u64| bytes / 1024;
    writeln!(
        f,
        "{:>8} {:>10} {:>12} {:>12} {:>10} {:>8} {:>10} {:>10} {:>8}",
        "slot", "live", "allocated", "freed", "remote", "slabs", "quarantine", "guards", "purged"
    )?;
    let row = |f: &mut dyn fmt::Write, class: &ClassStats| {
        writeln!(
            f,
            " {:>10} {:>12} {:>12} {:>10} {:>8} {:>6} KiB {:>6} KiB {:>8}",
            class.live,
            class.allocated,
            class.freed,
            class.remote,
            class.slabs,
            kib(class.quarantined),
            kib(class.guards),
            class.purged
        )
    };
    let (mut all, mut written) = (ClassStats::EMPTY, Ok(()));
    each(&mut |class| {
        all.add(class);
        if class.allocated != 0 && written.is_ok() {
            written = write!(f, "{:>8}", class.slot).and_then(|()| row(f, class));
        }
    });
    written?;
    write!(f, "{:>8}", "all")?;
    row(f, &all)?;
    writeln!(
        f,
        "large: {} live in {} KiB, {} allocated, {} freed, {} KiB of guards, {} KiB waiting",
        overall.large_live,
        kib(overall.large_bytes),
        overall.large_allocated,
        overall.large_freed,
        kib(overall.large_guards),
        kib(overall.large_quarantined)
    )?;
    write!(f, "heaps: {}, metadata mapped: {} KiB", overall.heaps, kib(overall.metadata))?;
    write!(f, ", wiped pages kept: {} KiB", kib(overall.kept))?;
    if let Some(bytes) = overall.page_tables {
        write!(f, ", page tables: {} KiB", kib(bytes as u64))?;
    }
    Ok(())
}
