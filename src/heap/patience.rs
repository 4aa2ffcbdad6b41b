//! Layer: heap. How long a freed slot waits: what must lie behind its group in the quarantine queue.

use super::Heap;
use super::bin::PHASE_BITS;
use super::refill::View;
use super::thread_heap::Entry;
use crate::os::Os;
use crate::policy::{Policy, Set};
use crate::slab::group::Group;
use crate::units::{KIB, MIB};
use core::sync::atomic::Ordering::Relaxed;

/// Bytes of frees of a class that must lie behind a slot before it is handed out again.
pub(super) const QUARANTINE: usize = 256 * KIB;
/// The same in objects, at least and at most.
pub(super) const FEWEST: u32 = 8;
const MOST: u32 = 4096;

/// The part of its bound that must lie behind a slot while more than that waits: 256 KiB at least, as
/// much as otherwise of one class.
const OVER: u32 = 4;

/// Bytes of slots with slabs to themselves that wait in a bin, beyond which [`FEWEST`] are enough.
const MOST_SINGLE: u64 = 4 * MIB as u64;

/// What must lie behind a queued group: so many frees of its class, or so many KiB of frees by its
/// bin's clock and at least [`FEWEST`] of its class.
#[derive(Clone, Copy)]
pub(super) struct Patience {
    pub(super) frees: u32,
    kib: u32,
    /// The least of these that could have been drawn.
    least_kib: u32,
    /// The bin's clock now.
    clock: u32,
    /// Or so many slots of its class that wait beside it.
    beside: u64,
}

impl Patience {
    const NONE: Patience = Patience::of(0);

    /// So many frees of the class.
    const fn of(frees: u32) -> Patience {
        Patience { frees, kib: CLOCK, least_kib: CLOCK, clock: 0, beside: u64::MAX }
    }

    /// The minimum of what could have been drawn.
    pub(super) fn least(self, view: &View<'_>) -> Patience {
        let frees = self.frees.min(quarantine(view.region.shape.slot as usize));
        Patience { frees, kib: self.least_kib, ..self }
    }
}

/// A heap's clocks of freed memory, in KiB, as they fit beside a group's phase.
pub(super) const CLOCK: u32 = u32::MAX >> PHASE_BITS;

/// Of all memory: for decay, and for slots that have slabs to themselves.
pub(super) fn clock(entry: &Entry<'_>) -> u32 {
    (entry.heap.freed() / KIB as u64) as u32 & CLOCK
}

/// What a group of this bin waits by: where slots share a slab, of such slots alone, or one freed
/// buffer would be as much as the rest of the heap frees in a long time.
pub(super) fn clock_of(entry: &Entry<'_>, view: &View<'_>) -> u32 {
    if view.is_single() {
        return clock(entry);
    }
    (entry.heap.freed_shared.load(Relaxed) / KIB as u64) as u32 & CLOCK
}

/// Bytes of slots that share slabs beyond which a heap's quarantine lets the oldest go.
fn bound(entry: &Entry<'_>) -> u64 {
    (MIB as u64).max(entry.heap.live.load(Relaxed) / 8)
}

/// Whether it has more.
pub(super) fn is_over(entry: &Entry<'_>) -> bool {
    entry.heap.quarantined.load(Relaxed) > bound(entry)
}

fn kib(bytes: u64) -> u32 {
    (bytes / KIB as u64).min(u64::from(CLOCK)) as u32
}

fn behind(group: &Group<'_>, clock: u32) -> u32 {
    let queued = group.own.phase.load(Relaxed) >> PHASE_BITS;
    clock.wrapping_sub(queued) & CLOCK
}

/// The least number of frees of its class that lie behind a slot of this size before it can be
/// handed out again; the actual number is drawn anew between this and twice this.
///
/// 8 of its class are enough once as many bytes were freed, in all classes whose slots share slabs
/// (to 32 KiB), as the heap's quarantine of such may have: the larger of 1 MiB and an eighth of its
/// live bytes. While more than that waits, a quarter to half of that, drawn in the same way. (Of
/// slots with slabs to themselves: once that was freed in any class, or while more than 4 MiB of
/// theirs wait.) Each free counts once, when its owner knows of it. Not so long wait what is reused
/// because no other slab is to be had, and slabs without objects when `trim` is called: for 8 frees
/// of their class, or in the first case while 8 others of it wait.
pub const fn quarantine(slot: usize) -> u32 {
    let objects = match QUARANTINE.checked_div(slot) {
        Some(objects) => objects as u32,
        None => MOST,
    };
    if objects < FEWEST {
        FEWEST
    } else if objects > MOST {
        MOST
    } else {
        objects
    }
}

impl<'f, O: Os, P: Policy> Heap<'f, O, P> {
    /// How long the next one waits.
    pub(super) fn draw_wait(&self, entry: &mut Entry<'f>, view: &View<'f>) {
        let least = quarantine(view.region.shape.slot as usize);
        let wait = least + entry.random().below::<O>(least);
        view.bin.wait.store(wait, Relaxed);
    }

    /// What must lie behind a group of this bin before it leaves the queue.
    pub(super) fn patience(&self, entry: &Entry<'f>, view: &View<'f>) -> Patience {
        if !P::SET.has(Set::QUARANTINE) {
            return Patience::NONE;
        }
        let least = quarantine(view.region.shape.slot as usize);
        let frees = view.bin.wait.load(Relaxed).max(least);
        let clock = clock_of(entry, view);
        let bound = bound(entry);
        let all = kib(bound);
        let all = Patience { kib: all, least_kib: all, clock, ..Patience::of(frees) };
        // Of slots that share slabs all of a heap's quarantine together is bounded, of others each
        // class's.
        if view.is_single() {
            let over = view.bytes(view.bin.waiting.load(Relaxed)) > MOST_SINGLE;
            return Patience { frees: if over { FEWEST } else { frees }, ..all };
        }
        if !is_over(entry) {
            return all;
        }
        // The oldest leave, of all classes together: what lies behind them is drawn as above.
        let least_kib = all.kib / OVER;
        let kib = u64::from(least_kib) * u64::from(frees) / u64::from(least).max(1);
        let kib = kib.min(u64::from(CLOCK)) as u32;
        Patience { kib, least_kib, ..all }
    }

    /// Whether a queued group has waited long enough.
    pub(super) fn has_served(
        &self,
        view: &View<'f>,
        group: &Group<'f>,
        patience: Patience,
    ) -> bool {
        let frees = self.age(view, group);
        if frees >= patience.frees {
            return true;
        }
        if frees >= FEWEST && behind(group, patience.clock) > patience.kib {
            return true;
        }
        let own = u64::from(group.own.waiting.load(Relaxed).count_ones());
        view.bin.waiting.load(Relaxed).saturating_sub(own) >= patience.beside
    }

    /// KiB that the heap has freed since this slot was queued, which has a slab to itself.
    pub(super) fn queued_behind(&self, entry: &Entry<'f>, group: &Group<'f>) -> u32 {
        behind(group, clock(entry))
    }

    /// Frees of its class since the group was queued.
    pub(super) fn age(&self, view: &View<'f>, group: &Group<'f>) -> u32 {
        let queued_at = group.own.queued_at.load(Relaxed);
        (view.bin.freed.load(Relaxed) as u32).wrapping_sub(queued_at)
    }

    /// So many frees of the class.
    pub(super) fn after(&self, frees: u32) -> Patience {
        Patience::of(if P::SET.has(Set::QUARANTINE) { frees } else { 0 })
    }

    /// The shortest wait, for when memory is short. What others freed of a heap that nothing else
    /// is to be had from was freed at once as far as it knows: then what waits beside it counts, or
    /// no frees would ever follow.
    pub(super) fn pressed(&self) -> Patience {
        Patience { beside: u64::from(FEWEST), ..self.after(FEWEST) }
    }
}
