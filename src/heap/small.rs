//! Layer: heap. The owner's allocate and free of slots up to 4,160 bytes: no lock, no atomic
//! read-modify-write and, up to 528 bytes, no call and no stack.
//!
//! There is one body a slot size: with the size known, everything that the address plan derives
//! from it (strides, reciprocals, group sizes, the number of stores of a wipe) is a constant of
//! the code instead of a load, and a pair of allocate and free takes little more than half the
//! instructions of the general form in `fast`.
//!
//! Both do every check and change nothing until all of them have passed. Whatever is not as it
//! should be, or merely rare, ends in `None`: then a slower path looks at it again from the start
//! and says precisely what it is.
//!
//! The bodies hold for 4 KiB pages and AES instructions. Elsewhere `Frozen::quick_heap` gives
//! the entry of the heap table that nobody owns, so that the owner check refuses.

#![expect(unsafe_code, reason = "addresses metadata without bounds checks")]

use super::bin::{Bin, Fresh};
use super::fast::{Freed, LINE, prefetch};
use super::thread_heap::{Entry, ThreadHeap};
use super::{Heap, Plan};
use crate::canary::Words;
use crate::geometry::{HEADER, Region, Shape, SlabId, SlotId};
use crate::os::{Os, pointer};
use crate::policy::{Policy, Set};
use crate::record::{Manner, Record};
use crate::size_class::{CANARY, SizeClass, classify};
use crate::slab::group::{Group, LiveSet};
use crate::slab::memory::{MOST_SLACK, SlotMemory, tail_word};
use crate::slab::meta::group_at;
use crate::units::ratio_up;
use core::ptr::NonNull;
use core::sync::atomic::Ordering::Relaxed;

/// The page size of the constants here.
pub const PAGE_SHIFT: u32 = 12;

/// What follows from a slot size.
struct Slots<const LEN: usize>;

impl<const LEN: usize> Slots<LEN> {
    const CLASS: SizeClass = match classify(LEN - CANARY, 16, PAGE_SHIFT) {
        Some(class) => class,
        None => panic!(),
    };
    const NUMBER: usize = Self::CLASS.index();
    /// The most that an object leaves of a slot: the class below would serve a smaller one.
    const MOST: usize = LEN - CANARY - least(Self::CLASS);
    const SHAPE: Shape = Shape::of(Self::CLASS, PAGE_SHIFT);
    const SLOTS: usize = Self::SHAPE.slots as usize;
    const GROUP: usize = Self::SHAPE.group_slots as usize;
    const MASK: usize = (1 << Self::SHAPE.stride_shift) - 1;
    const PER_SLOT: usize = ratio_up(1 << 24, LEN);
    const PER_GROUP: usize = ratio_up(1 << 20, Self::GROUP);

    /// The constants are those of the plan, the reciprocals exact for every slot and offset.
    const SOUND: () = {
        assert!(Self::CLASS.slot(PAGE_SHIFT) == LEN);
        assert!(Self::MOST <= MOST_SLACK || !is_short(LEN));
        let mut slot = 0;
        while slot < Self::SLOTS {
            assert!((slot * LEN * Self::PER_SLOT) >> 24 == slot);
            assert!((slot * Self::PER_GROUP) >> 20 == slot / Self::GROUP);
            slot += 1;
        }
    };

    /// Slab, group of the slab and slot of the group of an object that starts at `address`.
    #[inline(always)]
    fn decode(region: &Region, address: usize, frontier: usize) -> Option<[usize; 3]> {
        let () = Self::SOUND;
        let offset = address.wrapping_sub(region.base);
        let slab = offset >> Self::SHAPE.stride_shift;
        let inside = offset & Self::MASK;
        let slot = (inside * Self::PER_SLOT) >> 24;
        if slab >= frontier || slot * LEN != inside || slot >= Self::SLOTS {
            return None;
        }
        let group = (slot * Self::PER_GROUP) >> 20;
        Some([slab, group, slot - group * Self::GROUP])
    }

    /// Region and bin of this size.
    #[inline(always)]
    fn parts<'p, 'h>(plan: &'p Plan, heap: &'h ThreadHeap) -> (&'p Region, &'h Bin) {
        let () = Self::SOUND;
        // SAFETY: the number is that of a size class, and there are at least as many of each.
        unsafe { (plan.region.get_unchecked(Self::NUMBER), heap.bin_unchecked(Self::NUMBER)) }
    }
}

/// The smallest request that a class serves, at alignments up to 16.
const fn least(class: SizeClass) -> usize {
    let mut size = class.slot(PAGE_SHIFT) - CANARY;
    while size > 0 {
        match classify(size - 1, 1, PAGE_SHIFT) {
            Some(smaller) if smaller.index() == class.index() => size -= 1,
            _ => break,
        }
    }
    size
}

/// Largest request of these forms.
pub const SMALL: usize = 4160 - CANARY;

/// Whether everything that is done to a slot of this size fits into its body, without a loop or a
/// call.
const fn is_short(len: usize) -> bool {
    len <= 528
}

/// What is done to a slot of `LEN` bytes.
impl SlotMemory {
    #[inline(always)]
    fn is_zero_of<const LEN: usize>(self, wide: bool) -> bool {
        if is_short(LEN) { self.is_zero_exact::<LEN>() } else { self.is_zero(wide) }
    }

    #[inline(always)]
    fn wipe_of<const LEN: usize>(self, wide: bool) {
        if is_short(LEN) { self.wipe_exact::<LEN>() } else { self.wipe(wide) }
    }

    #[inline(always)]
    fn seal_of<const LEN: usize>(self, slack: usize, words: Words) {
        if is_short(LEN) {
            self.seal_exact::<LEN>(Slots::<LEN>::MOST, slack, words);
        } else {
            self.seal(slack, words);
        }
    }

    #[inline(always)]
    fn is_sealed_of<const LEN: usize>(self, slack: usize, words: Words) -> bool {
        if is_short(LEN) {
            self.is_sealed_exact::<LEN>(Slots::<LEN>::MOST, slack, words)
        } else {
            self.is_sealed(slack, words)
        }
    }
}

impl<'f, O: Os, P: Policy> Heap<'f, O, P> {
    /// Whether the policy lets the forms of this file work.
    pub const QUICK: bool = P::PARTITIONS == 1 && P::SET.has(Set::CANARY.and(Set::EXACT));

    /// Enters the thread's own heap where the constants of this file hold.
    #[inline(always)]
    fn enter_quick(self) -> Option<Entry<'f>> {
        let thread = O::thread();
        self.frozen.quick_heap(thread.word.get()).enter::<P>(&thread)
    }

    /// An object of `size` bytes, aligned to 16 or less.
    ///
    /// # Safety
    /// The class of slots of `LEN` bytes serves this size at such alignments, and `manner` names
    /// one.
    #[inline(always)]
    pub(crate) unsafe fn allocate_of<const LEN: usize>(
        self,
        size: usize,
        manner: Manner,
    ) -> Option<NonNull<u8>> {
        if !Self::QUICK {
            return None;
        }
        let slack = LEN - CANARY - size;
        let plan = self.plan();
        let entry = self.enter_quick()?;
        let (_, bin) = Slots::<LEN>::parts(plan, entry.heap);
        let left = bin.count.load(Relaxed).checked_sub(1)?;
        // SAFETY: below the count, which is at most 63: a magazine holds slots of one group.
        let slot = unsafe { bin.slot_known(left) };
        let base = bin.base.load(Relaxed);
        let at = base + slot * LEN;
        // SAFETY: a slot of the active group, whose slab is open, and in the magazine: free.
        let memory = unsafe { SlotMemory::new(at, LEN) };
        if P::SET.has(Set::REUSE_CHECK.and(Set::WIPE)) {
            let fresh = bin.fresh.load(Relaxed);
            if LEN > 1 << PAGE_SHIFT && fresh == Fresh::Reopened as u32 {
                memory.touch(1 << PAGE_SHIFT);
            }
            if fresh != Fresh::Never as u32 && !memory.is_zero_of::<LEN>(plan.features.avx2) {
                return None;
            }
        }
        // SAFETY: while the magazine holds slots, `bin.group` is the metadata of their group, and
        // it holds slots of their group only.
        let group = unsafe { group_at(bin.group.load(Relaxed), Slots::<LEN>::GROUP) };
        let shape = manner.shape().with_slack(slack);
        // SAFETY: as above.
        let (record, live) = unsafe { group.begin_known(slot, shape) }?;
        bin.count.store(left, Relaxed);
        memory.seal_of::<LEN>(slack, plan.key.words_fast(at, record.generation()));
        group.publish_in(live, slot);
        let soon = base + bin.slot_at(left.wrapping_sub(3)) * LEN;
        let mut line = 0;
        while line < LEN && line < 16 * LINE {
            prefetch(soon + line);
            line += LINE;
        }
        // SAFETY: the address of a slot is not 0.
        Some(unsafe { NonNull::new_unchecked(pointer(at)) })
    }

    /// Frees an object of `size` bytes of a group that the calling thread owns.
    ///
    /// # Safety
    /// The size is as for [`allocate_of`](Heap::allocate_of).
    #[inline(always)]
    pub(crate) unsafe fn free_of<const LEN: usize>(
        self,
        at: usize,
        size: usize,
        manner: Manner,
    ) -> Option<Freed> {
        let slack = LEN - CANARY - size;
        self.free_if::<LEN>(at, |record| record.is(slack, manner).then_some(slack))
    }

    /// Frees an object of any size, of a group that the calling thread owns, whose origin and, if
    /// `align`, alignment are these.
    #[inline(always)]
    pub(crate) fn free_any_of<const LEN: usize>(
        self,
        at: usize,
        manner: Manner,
        align: bool,
    ) -> Option<Freed> {
        self.free_if::<LEN>(at, |record| {
            let slack = record.sealed_slack();
            (slack <= Slots::<LEN>::MOST && record.is_in(manner, align)).then_some(slack)
        })
    }

    /// Frees an object if `slack` finds its record to be right and tells its slack.
    #[inline(always)]
    fn free_if<const LEN: usize>(
        self,
        at: usize,
        slack: impl Fn(Record) -> Option<usize>,
    ) -> Option<Freed> {
        if !Self::QUICK {
            return None;
        }
        let plan = self.plan();
        let entry = self.enter_quick()?;
        let (region, bin) = Slots::<LEN>::parts(plan, entry.heap);
        let [slab, in_slab, slot] = Slots::<LEN>::decode(region, at, bin.frontier.load(Relaxed))?;
        let shape = Slots::<LEN>::SHAPE;
        let metadata = region.meta
            + slab * shape.slab_meta as usize
            + HEADER
            + in_slab * shape.group_meta as usize;
        // SAFETY: decoded below the frontier, so the slab's metadata is mapped, and `slot` is below
        // the group's number of slots.
        let group = unsafe { group_at(metadata, Slots::<LEN>::GROUP) };
        if group.others.owner.load(Relaxed) != entry.heap.index.load(Relaxed) {
            let slab = SlabId(slab as u32);
            return Some(Freed::Remote(SlotId { slab, group: in_slab as u8, slot: slot as u8 }));
        }
        // SAFETY: as above.
        let (record, live) = unsafe { group.allocated_record(slot) }?;
        let slack = slack(record)?;
        // SAFETY: the slot is live and ours, so its slab is open.
        let memory = unsafe { SlotMemory::new(at, LEN) };
        if !memory.is_sealed_of::<LEN>(slack, plan.key.words_fast(at, record.generation())) {
            return None;
        }
        if P::SET.has(Set::NEIGHBOUR)
            && !is_below_sound::<LEN>(plan, &group, live, in_slab, slot, at)
        {
            return None;
        }
        if P::SET.has(Set::WIPE) {
            memory.wipe_of::<LEN>(plan.features.avx2);
        }
        group.release_to(live, slot);
        Bin::add(&bin.freed, 1);
        entry.heap.count_freed(&shape, 1);
        let until = group.own.until.load(Relaxed).wrapping_sub(1);
        group.own.until.store(until, Relaxed);
        Some(if until == 0 { Freed::Ripe } else { Freed::Done })
    }
}

/// Whether the last word of the slot below is as it should be, for the owner of the group. A
/// group's first slot is left to the slow path, unless it is the slab's first: a guard lies
/// below that.
#[inline(always)]
fn is_below_sound<const LEN: usize>(
    plan: &Plan,
    group: &Group<'_>,
    live: LiveSet,
    in_slab: usize,
    slot: usize,
    at: usize,
) -> bool {
    if slot == 0 {
        return in_slab == 0;
    }
    // SAFETY: below a slot that is below the number of slots.
    let below = unsafe { group.records.get_unchecked(slot - 1) }.load(Relaxed);
    let words = plan.key.words_fast(at - LEN, Record::from_bits(below).generation());
    // A free slot is zero.
    let expected = if live.has_before(slot) { words.tail() } else { 0 };
    // SAFETY: the slot below ends where this one starts, in the same open slab.
    unsafe { tail_word(at) == expected }
}
