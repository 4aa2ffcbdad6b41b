//! Layer: faces. Memory that no buffer uses: blocks leave their classes, chunks go back to the
//! kernel.

use super::chunk::{CELL_SHIFT, Phase, SlotId};
use super::{CLASSES, LEAST_WAIT, Pool, PoolTable, misuse, torn};
use crate::os::{Linux, Os};
use crate::secure::error::SecureError;
use crate::secure::index::Index;
use crate::secure::protection::{Protection, on};
use crate::secure::protections::Backing;
use crate::violation::Kind;

impl PoolTable<'_> {
    /// Takes back memory that no buffer uses: blocks from their classes, and chunks that have no
    /// block in use. Frees of the last moment stay, unless `all`. True if there was anything.
    #[cold]
    pub fn reclaim(&mut self, all: bool) -> Result<bool, SecureError> {
        let frees = self.pool.frees;
        let lately = frees - self.pool.looked < u64::from(LEAST_WAIT) && self.pool.looked != 0;
        if self.pool.empty_blocks == 0 || (lately && !all) {
            return Ok(false);
        }
        self.pool.looked = frees;
        let geometry = self.geometry();
        let mut any = false;
        for number in 0..self.pool.used {
            let chunk = self.pool.chunk(number).ok_or_else(torn)?;
            if chunk.phase != Phase::Live {
                continue;
            }
            for at in 0..chunk.blocks as usize {
                let block = chunk.block(at).ok_or_else(torn)?;
                let old = frees - block.stamp >= u64::from(LEAST_WAIT) || all;
                block.leaving = block.class != 0 && block.live == 0 && old;
                any |= block.leaving;
            }
        }
        if !any {
            return Ok(false);
        }
        for backing in [Backing::Secret, Backing::Locked, Backing::Unlocked] {
            for class in 0..CLASSES {
                self.forget_leaving(backing, class)?;
            }
        }
        for number in 0..self.pool.used {
            let wide = self.fixed.wide;
            let chunk = self.pool.chunk(number).ok_or_else(torn)?;
            if chunk.phase != Phase::Live {
                continue;
            }
            let mut left = 0;
            for at in 0..chunk.blocks as usize {
                let block = chunk.block(at).ok_or_else(torn)?;
                if !core::mem::take(&mut block.leaving) {
                    continue;
                }
                let class = usize::from(core::mem::take(&mut block.class)).wrapping_sub(1);
                if on(Protection::PurgeCheck) && !chunk.is_block_zero(geometry, at, wide) {
                    let first = SlotId::new(geometry, number, at, 0);
                    let slot = chunk.slot(geometry, first, class);
                    return Err(misuse(Kind::WriteAfterFreePurge, slot));
                }
                left += 1;
            }
            chunk.free_blocks += left;
            let is_free = chunk.free_blocks == chunk.blocks;
            self.pool.empty_blocks -= left;
            if is_free {
                self.release(number)?;
            }
        }
        Ok(true)
    }

    /// Takes the slots of leaving blocks out of a bin.
    fn forget_leaving(&mut self, backing: Backing, class: usize) -> Result<(), SecureError> {
        let geometry = self.geometry();
        let Pool { bins, chunk: chunks, .. } = &mut *self.pool;
        let bin = bins.get_mut(backing as usize).and_then(|bins| bins.get_mut(class));
        let Some(bin) = bin else { return Err(torn()) };
        let mut leaves = |id: SlotId| {
            let chunk = chunks.get_mut(id.chunk() as usize);
            chunk.and_then(|c| c.block(id.block(geometry)).map(|block| block.leaving)) == Some(true)
        };
        if bin.fresh.checked_sub(1).is_some_and(|first| leaves(SlotId(first))) {
            bin.fresh = 0;
        }
        let mut kept = 0;
        for at in 0..bin.count as usize {
            let id = bin.ready.get(at).copied().unwrap_or(0);
            if !leaves(SlotId(id)) {
                if let Some(cell) = bin.ready.get_mut(kept) {
                    *cell = id;
                }
                kept += 1;
            }
        }
        bin.count = kept as u32;
        let mut next = core::mem::take(&mut bin.oldest);
        (bin.newest, bin.waiting) = (0, 0);
        while let Some(id) = next.checked_sub(1).map(SlotId) {
            let chunk = chunks.get_mut(id.chunk() as usize).ok_or_else(torn)?;
            let leaving = chunk.block(id.block(geometry)).is_some_and(|block| block.leaving);
            next = core::mem::take(&mut chunk.record(geometry, id).ok_or_else(torn)?.next);
            if leaving {
                continue;
            }
            match core::mem::replace(&mut bin.newest, id.0 + 1).checked_sub(1).map(SlotId) {
                None => bin.oldest = id.0 + 1,
                Some(last) => {
                    let chunk = chunks.get_mut(last.chunk() as usize).ok_or_else(torn)?;
                    chunk.record(geometry, last).ok_or_else(torn)?.next = id.0 + 1;
                }
            }
            bin.waiting += 1;
        }
        Ok(())
    }

    /// Gives a chunk without blocks in use back to the kernel.
    fn release(&mut self, number: u32) -> Result<(), SecureError> {
        let page = self.fixed.page;
        {
            let Pool { chunk, cells, .. } = &mut *self.pool;
            let cell_of =
                |n: u32| chunk.get(n as usize).map_or(0, |chunk| chunk.made.data >> CELL_SHIFT);
            let cell = cell_of(number);
            Index::new(cells).remove(cell, cell_of);
        }
        let chunk = self.pool.chunk(number).ok_or_else(torn)?;
        let old = *chunk;
        // Nothing is left of the old range when a new one is entered: see `last`.
        chunk.phase = Phase::Empty;
        (chunk.made.data, chunk.made.data_len) = (0, 0);
        let _ = Linux::unmap(old.made.map, old.made.map_len);
        let _ = Linux::unmap(old.meta, old.meta_len);
        self.supply.uncount(old.made.have, old.made.data_len);
        self.pool.chunks -= 1;
        self.pool.metadata -= old.meta_len - 2 * page;
        Ok(())
    }
}
