//! Layer: faces. A small buffer's life: handed out, found by its address, checked, freed.

use super::chunk::{Phase, SlotId, SlotState};
use super::{Found, PoolTable, fail, misuse, slots, torn};
use crate::os::pointer;
use crate::secure::error::{ErrorKind, SecureError};
use crate::secure::policy::{Access, Policy};
use crate::secure::protection::{Protection, on};
use crate::secure::protections::{Backing, Protections, report};
use crate::violation::Kind;
use core::alloc::Layout;
use core::ptr::NonNull;

impl PoolTable<'_> {
    #[inline]
    pub(super) fn hand_out(
        &mut self,
        id: SlotId,
        class: usize,
        backing: Backing,
        layout: Layout,
        policy: &Policy,
    ) -> Result<NonNull<[u8]>, SecureError> {
        let geometry = self.geometry();
        let chunk = self.pool.chunk(id.chunk()).ok_or_else(torn)?;
        let slot = chunk.slot(geometry, id, class);
        let record = chunk.record(geometry, id).ok_or_else(torn)?;
        if record.state != SlotState::Ready {
            return Err(torn());
        }
        if on(Protection::ReuseCheck) && !slot.is_zero(self.fixed.wide) {
            return Err(misuse(Kind::WriteAfterFree, slot));
        }
        record.state = SlotState::Live;
        record.size = layout.size() as u16;
        record.shift = layout.align().trailing_zeros() as u8;
        // Zero is that of a slot which never was a buffer.
        record.generation = record.generation.wrapping_add(1).max(1);
        record.set_policy(policy);
        slot.margins(record).seal(slot.words(&self.fixed.key, record));
        let start = slot.at + record.front();
        let block = chunk.block(id.block(geometry)).ok_or_else(torn)?;
        block.live += 1;
        self.pool.empty_blocks -= u32::from(block_was_empty(block.live));
        self.pool.live += 1;
        self.pool.live_bytes += layout.size();
        if backing == Backing::Unlocked {
            self.pool.degraded += 1;
            self.pool.degraded_ever += 1;
        }
        let at = NonNull::new(pointer::<u8>(start)).ok_or_else(torn)?;
        Ok(NonNull::slice_from_raw_parts(at, layout.size()))
    }

    /// The live buffer that starts at `at`, which is in the pool.
    #[inline]
    fn live(&mut self, at: usize) -> Result<Found, SecureError> {
        let found = self.decode(at)?;
        let geometry = self.geometry();
        let chunk = self.pool.chunk(found.id.chunk()).ok_or_else(torn)?;
        let record = chunk.record(geometry, found.id).ok_or_else(torn)?;
        let starts = found.slot.at + record.front() == at;
        match record.state {
            SlotState::Live if starts => Ok(found),
            SlotState::Waiting | SlotState::Ready if starts && record.generation != 0 => {
                Err(misuse(Kind::DoubleFree, found.slot))
            }
            SlotState::Live | SlotState::Waiting => Err(misuse(Kind::InteriorPointer, found.slot)),
            SlotState::Fresh | SlotState::Ready => fail(ErrorKind::NotABuffer),
        }
    }

    /// The slot that an address of the pool is in.
    #[inline]
    fn decode(&mut self, at: usize) -> Result<Found, SecureError> {
        let geometry = self.geometry();
        let Some(number) = self.pool.chunk_at(at) else { return fail(ErrorKind::NotABuffer) };
        let chunk = self.pool.chunk(number).ok_or_else(torn)?;
        if chunk.phase != Phase::Live {
            return fail(ErrorKind::Inherited);
        }
        let backing = chunk.made.have.backing;
        let offset = at - chunk.made.data;
        let block = offset >> geometry.block_shift;
        let class = chunk.block(block).map_or(0, |block| block.class);
        let Some(class) = usize::from(class).checked_sub(1) else {
            return fail(ErrorKind::NotABuffer);
        };
        let within = (offset & (geometry.block() - 1)) as u32;
        let slot = within.checked_div(slots::slot(class) as u32).unwrap_or(0) as usize;
        if slot >= geometry.slots(class) {
            return fail(ErrorKind::NotABuffer);
        }
        let id = SlotId::new(geometry, number, block, slot);
        Ok(Found { id, class, slot: chunk.slot(geometry, id, class), backing })
    }

    /// Whether the patterns around a live buffer are whole.
    #[inline]
    pub(super) fn check(&mut self, found: &Found) -> Result<(), SecureError> {
        let geometry = self.geometry();
        let chunk = self.pool.chunk(found.id.chunk()).ok_or_else(torn)?;
        let record = chunk.record(geometry, found.id).ok_or_else(torn)?;
        let words = found.slot.words(&self.fixed.key, record);
        let whole = found.slot.margins(record).check(words);
        whole.map_err(|damage| misuse(damage.kind(), found.slot))
    }

    /// Wipes the buffer at `at` and lets its slot wait, if nothing is wrong with it.
    #[inline]
    pub fn free(&mut self, at: usize) -> Result<(), SecureError> {
        let found = self.live(at)?;
        self.check(&found)?;
        let geometry = self.geometry();
        self.pool.frees += 1;
        let frees = self.pool.frees;
        if on(Protection::Wipe) {
            found.slot.wipe(self.fixed.wide);
        }
        let chunk = self.pool.chunk(found.id.chunk()).ok_or_else(torn)?;
        let record = chunk.record(geometry, found.id).ok_or_else(torn)?;
        record.state = SlotState::Waiting;
        record.next = 0;
        let size = usize::from(record.size);
        let block = chunk.block(found.id.block(geometry)).ok_or_else(torn)?;
        block.live -= 1;
        block.stamp = frees;
        self.pool.empty_blocks += u32::from(block.live == 0);
        self.pool.live -= 1;
        self.pool.live_bytes -= size;
        self.pool.degraded -= usize::from(found.backing == Backing::Unlocked);
        self.enqueue(&found)
    }

    /// The size of a live buffer.
    pub fn size(&mut self, at: usize) -> Result<usize, SecureError> {
        self.look(at).map(|(size, _)| size)
    }

    /// Size and policy of a live buffer whose patterns are whole.
    pub fn look(&mut self, at: usize) -> Result<(usize, Policy), SecureError> {
        let found = self.live(at)?;
        self.check(&found)?;
        let geometry = self.geometry();
        let chunk = self.pool.chunk(found.id.chunk()).ok_or_else(torn)?;
        let record = chunk.record(geometry, found.id).ok_or_else(torn)?;
        Ok((usize::from(record.size), record.policy()))
    }

    /// What the buffer that `at` points to, or into, has.
    pub fn query(&mut self, at: usize) -> Option<Protections> {
        let found = self.decode(at).ok()?;
        let geometry = self.geometry();
        let chunk = self.pool.chunk(found.id.chunk())?;
        let have = chunk.made.have;
        let record = chunk.record(geometry, found.id)?;
        let (size, start) = (usize::from(record.size), found.slot.at + record.front());
        let inside = at == start || at.wrapping_sub(start) < size;
        (record.state == SlotState::Live && inside)
            .then(|| report(self.fixed, have, Access::ReadWrite, size, true))
    }
}

/// Whether the block's first buffer was just counted.
fn block_was_empty(live: u16) -> bool {
    live == 1
}
