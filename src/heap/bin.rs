//! Layer: heap. A heap's part of one region: the group in use, its magazine, the quarantine
//! queue, and the list of its slabs.

#![expect(unsafe_code, reason = "the magazine is not atomic")]

use crate::geometry::GroupId;
use crate::os::Os;
use crate::policy::{Policy, Set};
use crate::rng::Stream;
use core::cell::UnsafeCell;
use core::sync::atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering::Relaxed};

/// Bits of a group's phase word that hold the phase.
pub const PHASE_BITS: u32 = 2;

/// What the owner is doing with a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Phase {
    /// Not taken up: fresh, or empty and past quarantine.
    Spare = 0,
    /// Its free slots are in the magazine.
    Active = 1,
    /// In use; too few free slots to be queued.
    Idle = 2,
    /// In the quarantine queue, or in the list of those of which some slots have served.
    Queued = 3,
}

impl Phase {
    /// From the stored word, whose upper bits hold the time of queueing.
    pub fn of(word: u32) -> Phase {
        match word & ((1 << PHASE_BITS) - 1) {
            1 => Phase::Active,
            2 => Phase::Idle,
            3 => Phase::Queued,
            _ => Phase::Spare,
        }
    }
}

/// What is known of slots that are about to be handed out.
#[derive(Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
pub enum Fresh {
    /// Used before: what is not zero was written by who had freed them.
    Used = 0,
    /// Never used, and zero. To look would fault each of their pages twice.
    Never = 1,
    /// Used before, but their slab was closed and opened again since: most of their pages are not
    /// there yet, and are made by a write before they are looked at.
    Reopened = 2,
}

/// See the module. All fields belong to the heap's owner; others read them for statistics.
#[repr(C, align(64))]
pub struct Bin {
    // First line: what every allocation and free touches.
    /// Slots left in the magazine.
    pub count: AtomicU32,
    /// What is known of the magazine's slots, a [`Fresh`].
    pub fresh: AtomicU32,
    /// Address of the active group's metadata; 0 for none.
    pub group: AtomicUsize,
    /// Address of the active group's first slot.
    pub base: AtomicUsize,
    /// The region's frontier, in slabs, when last looked at.
    pub frontier: AtomicUsize,
    /// Frees taken in, ever.
    pub freed: AtomicU64,
    /// Slots put into the magazine, ever.
    pub listed: AtomicU64,
    /// Frees by other threads among `freed`.
    pub remote: AtomicU64,
    /// `freed` when idle groups were last looked at, modulo 2^32.
    pub looked_at: AtomicU32,
    /// Nonzero while there is nothing to grow into: each free queues its group, so that nothing is
    /// looked for.
    pub pressed: AtomicU32,

    // Second line.
    magazine: UnsafeCell<[u8; 64]>,

    // Third line: slow paths.
    /// Oldest queued group, its number plus one.
    pub oldest: AtomicU32,
    /// Youngest queued group, its number plus one.
    pub youngest: AtomicU32,
    /// Groups in the queue.
    pub queued: AtomicU32,
    /// Frees that must lie behind a group before it leaves the queue, drawn anew each time.
    pub wait: AtomicU32,
    /// Slots in quarantine.
    pub waiting: AtomicU64,
    /// First of all slabs, a [`Link`](crate::slab::meta::Link).
    pub slabs: AtomicU32,
    /// First slab of which some groups are spare and some are not.
    pub spare: AtomicU32,
    /// First slab of which every group is spare.
    pub empties: AtomicU32,
    /// Slabs in all.
    pub slab_count: AtomicU32,
    /// Slabs of which every group is spare.
    pub empty: AtomicU32,
    /// The fewest of those since the bin was last relieved of what it does not need.
    pub fewest: AtomicU32,
    /// The heap's clock at that time.
    pub relieved: AtomicU32,
    /// The active group's [`GroupId`] plus one.
    pub active: AtomicU32,
    /// First of the groups that have waited and are still in use, its number plus one.
    pub waited: AtomicU32,
    /// Last of them.
    pub waited_last: AtomicU32,
}

impl Bin {
    /// A bin that holds nothing.
    #[expect(
        clippy::declare_interior_mutable_const,
        reason = "an initial value, never used in place"
    )]
    pub const EMPTY: Bin = Bin {
        count: AtomicU32::new(0),
        fresh: AtomicU32::new(0),
        group: AtomicUsize::new(0),
        base: AtomicUsize::new(0),
        frontier: AtomicUsize::new(0),
        freed: AtomicU64::new(0),
        listed: AtomicU64::new(0),
        remote: AtomicU64::new(0),
        looked_at: AtomicU32::new(0),
        pressed: AtomicU32::new(0),
        magazine: UnsafeCell::new([0; 64]),
        oldest: AtomicU32::new(0),
        youngest: AtomicU32::new(0),
        queued: AtomicU32::new(0),
        wait: AtomicU32::new(0),
        waiting: AtomicU64::new(0),
        slabs: AtomicU32::new(0),
        spare: AtomicU32::new(0),
        empties: AtomicU32::new(0),
        slab_count: AtomicU32::new(0),
        empty: AtomicU32::new(0),
        fewest: AtomicU32::new(0),
        relieved: AtomicU32::new(0),
        active: AtomicU32::new(0),
        waited: AtomicU32::new(0),
        waited_last: AtomicU32::new(0),
    };

    /// The magazine. Only whoever is inside the heap uses it.
    #[inline(always)]
    fn magazine(&self) -> &[u8; 64] {
        // SAFETY: see `Sync`: the caller is inside the heap, and `load` and `reshuffle`, which
        // write, are called by the same thread between two uses of this reference.
        unsafe { &*self.magazine.get() }
    }

    /// Takes the next slot off the magazine.
    #[inline(always)]
    pub fn pop(&self) -> Option<usize> {
        let left = self.count.load(Relaxed).checked_sub(1)?;
        self.count.store(left, Relaxed);
        Some(self.slot_at(left))
    }

    /// The slot at a place of the magazine, which is cut to its size.
    #[inline(always)]
    pub fn slot_at(&self, place: u32) -> usize {
        self.magazine()[place as usize & 63] as usize
    }

    /// [`slot_at`](Bin::slot_at) for a place that is known to be one.
    ///
    /// # Safety
    /// `place` is below 64.
    #[inline(always)]
    pub unsafe fn slot_known(&self, place: u32) -> usize {
        // SAFETY: the caller's.
        unsafe { *self.magazine().get_unchecked(place as usize) as usize }
    }

    /// Fills the magazine with the members of `set`, in random order.
    pub fn load<O: Os, P: Policy>(&self, set: u64, random: &mut Stream) {
        let mut slots = [0u8; 64];
        let n = if P::SET.has(Set::RANDOM_SLOT) {
            random.shuffle::<O>(set, &mut slots)
        } else {
            ascending(set, &mut slots)
        };
        // SAFETY: as for `magazine`; no reference to it is in use here.
        unsafe { *self.magazine.get() = slots };
        self.count.store(n as u32, Relaxed);
        self.listed.store(self.listed.load(Relaxed) + n as u64, Relaxed);
    }

    /// Shuffles what is left in the magazine with new random numbers.
    pub fn reshuffle<O: Os>(&self, random: &mut Stream) {
        let mut slots = [0u8; 64];
        let n = random.shuffle::<O>(self.loaded(), &mut slots);
        // SAFETY: as for `load`.
        unsafe { *self.magazine.get() = slots };
        self.count.store(n as u32, Relaxed);
    }

    /// The slots in the magazine, as a set.
    pub fn loaded(&self) -> u64 {
        let left = (self.count.load(Relaxed) as usize).min(63);
        let slots = self.magazine().iter().take(left);
        slots.fold(0, |set, &slot| set | crate::bitmap::bit(slot as usize))
    }

    /// Objects handed out and not taken back.
    pub fn live(&self) -> u64 {
        let handed = self.listed.load(Relaxed).wrapping_sub(u64::from(self.count.load(Relaxed)));
        handed.saturating_sub(self.freed.load(Relaxed))
    }

    /// Adds to a counter that only the owner writes.
    #[inline(always)]
    pub fn add(counter: &AtomicU64, n: u64) {
        counter.store(counter.load(Relaxed).wrapping_add(n), Relaxed);
    }

    /// Subtracts from a counter that only the owner writes.
    #[inline(always)]
    pub fn subtract(counter: &AtomicU64, n: u64) {
        counter.store(counter.load(Relaxed).saturating_sub(n), Relaxed);
    }

    /// The active group, if there is one.
    pub fn active(&self) -> Option<GroupId> {
        self.active.load(Relaxed).checked_sub(1).map(GroupId)
    }
}

/// Lists a set so that the last place, which is taken first, holds the lowest member.
fn ascending(set: u64, out: &mut [u8; 64]) -> usize {
    let n = set.count_ones() as usize;
    for (i, slot) in crate::bitmap::members(set).enumerate() {
        if let Some(cell) = out.get_mut(n.wrapping_sub(i + 1)) {
            *cell = slot as u8;
        }
    }
    n
}

// SAFETY: everything is atomic but the magazine, which only whoever is inside the heap uses, and
// there is one such thread at a time.
unsafe impl Sync for Bin {}

const _: () = assert!(size_of::<Bin>() == 192);
