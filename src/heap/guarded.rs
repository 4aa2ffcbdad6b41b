//! Layer: heap. What a memory function asks before it touches memory: whether the bytes are those
//! of one object.
//!
//! No lock, and exact for every program that may use the object: while it may, nobody frees or
//! resizes it, and its bit, its claim and its record change by that alone.

use super::alloc::place;
use super::{Heap, Outcome};
use crate::bitmap::bit;
use crate::geometry::Region;
use crate::os::Os;
use crate::policy::Policy;
use crate::slab::meta::{OPEN, header};
use crate::violation::{Kind, Violation};
use core::sync::atomic::Ordering::{Acquire, Relaxed};

/// What a memory function is about to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Read its source.
    Read,
    /// Write to its destination.
    Write,
}

/// Memory that lies in a slot.
enum Slot {
    /// That of an object, which has this many bytes left.
    Live(usize),
    /// That of none.
    Free,
}

impl<'f, O: Os, P: Policy> Heap<'f, O, P> {
    /// Whether the address lies in the span of the slots. False before the heap has started.
    #[inline(always)]
    pub fn has_slot_at(&self, at: usize) -> bool {
        super::start::is_ready(self.frozen)
            && at.wrapping_sub(self.plan().slots) >> self.plan().region_shift < self.plan().regions
    }

    /// Whether an access to `len` bytes from `at` on is right, or to memory that this heap knows
    /// nothing of; false if that takes a closer look, by [`check_access`](Heap::check_access).
    ///
    /// Large objects are not known: their table has a lock. Guards follow them.
    #[inline(always)]
    pub fn may_access(&self, at: usize, len: usize) -> bool {
        if !super::start::is_ready(self.frozen) {
            return true;
        }
        let number = at.wrapping_sub(self.plan().slots) >> self.plan().region_shift;
        // Beyond the plan's last region: none, or an empty one, which decodes nothing.
        let Some(region) = self.plan().region.get(number) else { return true };
        matches!(self.slot_at(number, region, at), Some(Slot::Live(left)) if len <= left)
    }

    /// What is wrong with an access to `len` bytes from `at` on, if anything is.
    pub fn check_access(&self, at: usize, len: usize, access: Access) -> Outcome<()> {
        if len == 0 || !super::start::is_ready(self.frozen) {
            return Ok(());
        }
        let number = at.wrapping_sub(self.plan().slots) >> self.plan().region_shift;
        let Some(region) = self.region_at(number) else { return Ok(()) };
        let live = match self.slot_at(number, region, at) {
            Some(Slot::Live(left)) if len <= left => return Ok(()),
            Some(Slot::Live(_)) => true,
            Some(Slot::Free) if self.is_open(number, region, at) => false,
            // A guard, which sees to it, or address space that was never reserved and has become
            // somebody else's mapping.
            _ => return Ok(()),
        };
        let kind = match (access, live) {
            (Access::Write, true) => Kind::GuardedOverflow,
            (Access::Write, false) => Kind::GuardedWriteAfterFree,
            (Access::Read, true) => Kind::GuardedOverread,
            (Access::Read, false) => Kind::GuardedReadAfterFree,
        };
        Err(Violation::new(kind).at(place(region), at))
    }

    /// The slot that `at` lies in; none in guards and beyond the frontier.
    #[inline(always)]
    fn slot_at(&self, number: usize, region: &'f Region, at: usize) -> Option<Slot> {
        let frontier = self.shared().region.get(number)?.frontier();
        let (id, offset) = region.locate(at, frontier)?;
        let group = self.group_of(region, id);
        let slot = id.slot as usize;
        // A claim first seen here is that of a free which is going on, or not taken in yet.
        let live = group.own.live.load(Acquire) & !group.others.claim.load(Relaxed);
        if live & bit(slot) == 0 {
            return Some(Slot::Free);
        }
        let record = group.record(slot).ok()?;
        let size = (region.room as usize).wrapping_sub(record.slack());
        Some(Slot::Live(size.saturating_sub(offset)))
    }

    /// Whether the slab that `at` lies in is accessible: a closed one may be unmapped, where
    /// nothing is reserved, and its place another's.
    fn is_open(&self, number: usize, region: &Region, at: usize) -> bool {
        let Some(state) = self.shared().region.get(number) else { return false };
        region
            .locate(at, state.frontier())
            .is_some_and(|(id, _)| header(region, id.slab).state.load(Relaxed) & OPEN != 0)
    }
}
