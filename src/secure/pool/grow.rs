//! Layer: faces. More memory for a class: a block that is free, or a new chunk.

use super::chunk::{Block, CELL_SHIFT, Chunk, MOST, Phase, Record, SlotId, SlotState};
use super::{CHUNKS, LEAST_CHUNK, Pool, PoolTable, fail, misuse, torn};
use crate::os::{Linux, Os};
use crate::secure::backing::{self, Wanted};
use crate::secure::error::{ErrorKind, SecureError};
use crate::secure::index::Index;
use crate::secure::policy::{Policy, Requirements};
use crate::secure::protection::{Protection, on};
use crate::secure::protections::Backing;
use crate::secure::root::reserve;
use crate::units::round_up;
use crate::violation::Kind;

impl PoolTable<'_> {
    /// Gives a block to a class. False if there is none, and no memory for more.
    pub(super) fn add_block(
        &mut self,
        backing: Backing,
        class: usize,
    ) -> Result<bool, SecureError> {
        let free = (0..self.pool.used).find(|&number| {
            self.pool.chunk(number).is_some_and(|chunk| {
                chunk.phase == Phase::Live
                    && chunk.made.have.backing == backing
                    && chunk.free_blocks != 0
            })
        });
        let number = match free {
            Some(number) => number,
            None => match self.grow(backing) {
                Some(number) => number,
                None => return Ok(false),
            },
        };
        let geometry = self.geometry();
        let (wide, random) = (self.fixed.wide, self.stream.word::<Linux>());
        let chunk = self.pool.chunk(number).ok_or_else(torn)?;
        let blocks = chunk.blocks as usize;
        let random = if on(Protection::RandomSlot) { random as usize } else { 0 };
        let from = random.checked_rem(blocks).unwrap_or(0);
        for step in 0..blocks {
            let at = (from + step).checked_rem(blocks).unwrap_or(0);
            if chunk.block(at).is_none_or(|block| block.class != 0) {
                continue;
            }
            let first = SlotId::new(geometry, number, at, 0);
            if on(Protection::BlockCheck) && !chunk.is_block_zero(geometry, at, wide) {
                return Err(misuse(Kind::WriteAfterFree, chunk.slot(geometry, first, class)));
            }
            // Records keep their generations: the same address has other canaries next time.
            for slot in 0..geometry.records() {
                let id = SlotId::new(geometry, number, at, slot);
                let record = chunk.record(geometry, id).ok_or_else(torn)?;
                (record.state, record.next, record.size) = (SlotState::Fresh, 0, 0);
            }
            let block = chunk.block(at).ok_or_else(torn)?;
            (block.class, block.leaving, block.live, block.fresh) = (class as u8 + 1, false, 0, 0);
            chunk.free_blocks -= 1;
            self.pool.empty_blocks += 1;
            self.pool.bin(backing, class).ok_or_else(torn)?.fresh = first.0 + 1;
            return Ok(true);
        }
        Err(torn())
    }

    /// A new chunk; `None` if the kernel refuses one of even a block.
    fn grow(&mut self, backing: Backing) -> Option<u32> {
        let number = match (0..self.pool.used)
            .find(|&n| self.pool.chunk(n).is_some_and(|chunk| chunk.phase == Phase::Empty))
        {
            Some(number) => number,
            None if (self.pool.used as usize) < CHUNKS => self.pool.used,
            None => return None,
        };
        let block = self.geometry().block();
        let have = self.supply.mapped.get(backing as usize).copied().unwrap_or(0);
        let mut len = round_up(have / 4, LEAST_CHUNK).clamp(LEAST_CHUNK.max(block), MOST);
        loop {
            match self.make_chunk(number, backing, len) {
                Ok(()) => return Some(number),
                Err(error) => match error.kind() {
                    ErrorKind::LockedMemoryLimit { .. } | ErrorKind::OutOfMemory { .. }
                        if len / 2 >= block =>
                    {
                        len = round_up(len / 2, block);
                    }
                    _ => return None,
                },
            }
        }
    }

    fn make_chunk(&mut self, number: u32, backing: Backing, len: usize) -> Result<(), SecureError> {
        let page = self.fixed.page;
        let geometry = self.geometry();
        let cell = 1usize << CELL_SHIFT;
        let places = ((cell - len) / page) as u32;
        let offset = len + page * self.stream.below::<Linux>(places) as usize;
        let required = Requirements::NO_DUMP.and(Requirements::NO_FORK);
        let wanted = Wanted {
            data_len: len,
            offset,
            align: cell,
            policy: Policy::require(required),
            only: Some(backing),
        };
        let blocks = len >> geometry.block_shift;
        let made = backing::make(self.fixed, self.stream, self.supply, &wanted)?;
        let undo = |table: &mut Self| {
            table.supply.uncount(made.have, made.data_len);
            let _ = Linux::unmap(made.map, made.map_len);
        };
        let known = {
            let Pool { chunk, cells, .. } = &mut *self.pool;
            let cell_of =
                |n: u32| chunk.get(n as usize).map_or(0, |chunk| chunk.made.data >> CELL_SHIFT);
            Index::new(cells).find(made.data >> CELL_SHIFT, cell_of).is_some()
        };
        let block_len = blocks * size_of::<Block>();
        let records_len = blocks * geometry.records() * size_of::<Record>();
        let open = round_up(round_up(block_len, 64) + records_len, page);
        let meta_len = open + 2 * page;
        let meta = reserve((page, self.fixed.bits), self.stream, meta_len, page);
        let Some(meta) = meta.ok().filter(|_| !known) else {
            undo(self);
            return fail(ErrorKind::OutOfMemory { needed: meta_len });
        };
        if Linux::open(meta + page, open).is_err() {
            let _ = Linux::unmap(meta, meta_len);
            undo(self);
            return fail(ErrorKind::OutOfMemory { needed: meta_len });
        }
        let _ = Linux::no_dump(meta, meta_len);
        let chunk = Chunk {
            made,
            meta,
            meta_len,
            block_at: meta + page,
            record_at: meta + page + round_up(block_len, 64),
            blocks: blocks as u32,
            free_blocks: blocks as u32,
            phase: Phase::Live,
        };
        let Some(place) = self.pool.chunk(number) else { return Err(torn()) };
        *place = chunk;
        self.pool.used = self.pool.used.max(number + 1);
        self.pool.chunks += 1;
        self.pool.metadata += open;
        Index::new(&mut self.pool.cells).insert(made.data >> CELL_SHIFT, number);
        Ok(())
    }
}
