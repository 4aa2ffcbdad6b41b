//! Layer: faces. From a freed slot to one that is handed out again: the queue of those that wait,
//! the magazine of those that are ready, and the draw among them.

use super::chunk::{SlotId, SlotState};
use super::{Found, LEAST_WAIT, MAGAZINE, PoolTable, slots, torn, wait};
use crate::os::Linux;
use crate::secure::error::SecureError;
use crate::secure::protection::{Protection, on};
use crate::secure::protections::Backing;

impl PoolTable<'_> {
    /// A slot that may be handed out.
    #[inline]
    pub(super) fn draw(
        &mut self,
        backing: Backing,
        class: usize,
    ) -> Result<Option<SlotId>, SecureError> {
        let Some(bin) = self.pool.bin(backing, class) else { return Err(torn()) };
        let mut count = bin.count;
        if (count as usize) < MAGAZINE {
            count = self.refill(backing, class, wait(slots::slot(class)))?;
        }
        if count == 0 {
            count = self.stretch(backing, class)?;
        }
        if count == 0 {
            return Ok(None);
        }
        let random = self.stream.below::<Linux>(count) as usize;
        let at = if on(Protection::RandomSlot) { random } else { count as usize - 1 };
        let Some(bin) = self.pool.bin(backing, class) else { return Err(torn()) };
        let last = bin.ready.get(count as usize - 1).copied().unwrap_or(0);
        let Some(cell) = bin.ready.get_mut(at) else { return Err(torn()) };
        let id = SlotId(core::mem::replace(cell, last));
        bin.count = count - 1;
        Ok(Some(id))
    }

    /// Makes slots ready that have waited long enough, or are fresh; how many are.
    fn refill(&mut self, backing: Backing, class: usize, wait: u32) -> Result<u32, SecureError> {
        let geometry = self.geometry();
        let slots = geometry.slots(class);
        let wait = if on(Protection::Quarantine) { wait } else { 0 };
        loop {
            let Some(bin) = self.pool.bin(backing, class) else { return Err(torn()) };
            let count = bin.count;
            let mut ready = None;
            if count as usize >= MAGAZINE {
                return Ok(count);
            }
            if bin.waiting > wait
                && let Some(oldest) = bin.oldest.checked_sub(1)
            {
                ready = Some((SlotId(oldest), SlotState::Waiting));
            } else if let Some(first) = bin.fresh.checked_sub(1) {
                let first = SlotId(first);
                let number = first.block(geometry);
                let chunk = self.pool.chunk(first.chunk()).ok_or_else(torn)?;
                let block = chunk.block(number).ok_or_else(torn)?;
                let slot = usize::from(block.fresh);
                if slot < slots {
                    block.fresh += 1;
                    let id = SlotId::new(geometry, first.chunk(), number, slot);
                    ready = Some((id, SlotState::Fresh));
                }
            }
            let Some((id, from)) = ready else {
                self.pool.bin(backing, class).ok_or_else(torn)?.fresh = 0;
                return Ok(count);
            };
            let chunk = self.pool.chunk(id.chunk()).ok_or_else(torn)?;
            let record = chunk.record(geometry, id).ok_or_else(torn)?;
            if record.state != from {
                return Err(torn());
            }
            record.state = SlotState::Ready;
            let next = core::mem::take(&mut record.next);
            let bin = self.pool.bin(backing, class).ok_or_else(torn)?;
            if from == SlotState::Waiting {
                bin.oldest = next;
                bin.newest = if next == 0 { 0 } else { bin.newest };
                bin.waiting -= 1;
            }
            *bin.ready.get_mut(count as usize).ok_or_else(torn)? = id.0;
            bin.count = count + 1;
        }
    }

    /// The bin has nothing: another block, memory that other classes left, or slots that have
    /// waited less long.
    #[cold]
    fn stretch(&mut self, backing: Backing, class: usize) -> Result<u32, SecureError> {
        let full = wait(slots::slot(class));
        if self.add_block(backing, class)? {
            return self.refill(backing, class, full);
        }
        let young = self.refill(backing, class, LEAST_WAIT)?;
        if young != 0 {
            return Ok(young);
        }
        if self.reclaim(false)? && self.add_block(backing, class)? {
            return self.refill(backing, class, full);
        }
        Ok(0)
    }
    #[inline]
    pub(super) fn enqueue(&mut self, found: &Found) -> Result<(), SecureError> {
        let geometry = self.geometry();
        let bin = self.pool.bin(found.backing, found.class).ok_or_else(torn)?;
        let link = found.id.0 + 1;
        let last = core::mem::replace(&mut bin.newest, link);
        bin.waiting += 1;
        match last.checked_sub(1) {
            None => bin.oldest = link,
            Some(last) => {
                let last = SlotId(last);
                let chunk = self.pool.chunk(last.chunk()).ok_or_else(torn)?;
                chunk.record(geometry, last).ok_or_else(torn)?.next = link;
            }
        }
        Ok(())
    }
}
