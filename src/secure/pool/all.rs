//! Layer: faces. What is done to all of the pool at once: the self-check, a fork, the end.
#![expect(unsafe_code, reason = "in the end, reads a table that others may be changing")]

use super::chunk::{CELL_SHIFT, Chunk, Phase, Slot, SlotId, SlotState};
use super::{CELLS, CHUNKS, Found, Pool, PoolTable, misuse, torn};
use crate::os::{Linux, Os};
use crate::secure::backing;
use crate::secure::error::{ErrorKind, SecureError};
use crate::secure::index::Index;
use crate::secure::last::Range;
use crate::violation::{Kind, Violation};

impl PoolTable<'_> {
    /// Looks at every slot: live buffers and free slots.
    pub fn verify(&mut self) -> Result<(usize, usize), Violation> {
        self.walk().map_err(|error| match error.kind() {
            ErrorKind::Misuse(violation) => violation,
            _ => Violation::new(Kind::Metadata),
        })
    }

    fn walk(&mut self) -> Result<(usize, usize), SecureError> {
        let geometry = self.geometry();
        let (mut live, mut bytes, mut free, mut chunks, mut empty) = (0, 0, 0, 0, 0);
        let mut out = 0;
        for number in 0..self.pool.used {
            let chunk = self.pool.chunk(number).ok_or_else(torn)?;
            if chunk.phase != Phase::Live {
                continue;
            }
            chunks += 1;
            let (data, blocks, backing) = (chunk.made.data, chunk.blocks, chunk.made.have.backing);
            let mut unused = 0;
            for at in 0..blocks as usize {
                let chunk = self.pool.chunk(number).ok_or_else(torn)?;
                let block = *chunk.block(at).ok_or_else(torn)?;
                let Some(class) = usize::from(block.class).checked_sub(1) else {
                    unused += 1;
                    if !chunk.is_block_zero(geometry, at, self.fixed.wide) {
                        let slot = Slot { at: data, len: geometry.block() };
                        return Err(misuse(Kind::WriteAfterFree, slot));
                    }
                    continue;
                };
                let mut here = 0;
                for slot in 0..geometry.slots(class) {
                    let id = SlotId::new(geometry, number, at, slot);
                    let chunk = self.pool.chunk(number).ok_or_else(torn)?;
                    let place = chunk.slot(geometry, id, class);
                    let record = *chunk.record(geometry, id).ok_or_else(torn)?;
                    if record.state == SlotState::Live {
                        here += 1;
                        bytes += usize::from(record.size);
                        self.check(&Found { id, class, slot: place, backing })?;
                    } else if place.is_zero(self.fixed.wide) {
                        free += 1;
                        out += usize::from(record.state != SlotState::Fresh);
                    } else {
                        return Err(misuse(Kind::WriteAfterFree, place));
                    }
                }
                if here != usize::from(block.live) {
                    return Err(torn());
                }
                empty += u32::from(here == 0);
                live += here;
            }
            let chunk = self.pool.chunk(number).ok_or_else(torn)?;
            if unused != chunk.free_blocks {
                return Err(torn());
            }
        }
        let listed: usize =
            self.pool.bins.iter().flatten().map(|bin| (bin.count + bin.waiting) as usize).sum();
        let pool = &*self.pool;
        let counted = (pool.live, pool.live_bytes, pool.chunks, pool.empty_blocks, listed);
        if counted != (live, bytes, chunks, empty, out) {
            return Err(torn());
        }
        Ok((live, free))
    }

    /// In a forked child: the chunks are the parent's, this process has none.
    pub fn start_over(&mut self) {
        for bin in self.pool.bins.iter_mut().flatten() {
            (bin.count, bin.oldest, bin.newest, bin.waiting, bin.fresh) = (0, 0, 0, 0, 0);
        }
        let pool = &mut *self.pool;
        (pool.chunks, pool.live, pool.live_bytes, pool.degraded, pool.metadata) = (0, 0, 0, 0, 0);
        (pool.empty_blocks, pool.looked) = (0, 0);
        pool.cells = [0; CELLS];
        for (number, chunk) in pool.chunk.iter_mut().enumerate().take(pool.used as usize) {
            match chunk.phase {
                Phase::Empty => continue,
                Phase::Inherited => {}
                Phase::Live => {
                    chunk.phase = Phase::Inherited;
                    let _ = Linux::unmap(chunk.meta, chunk.meta_len);
                    backing::occupy(&chunk.made, self.fixed.page);
                }
            }
            Index::new(&mut pool.cells).insert(chunk.made.data >> CELL_SHIFT, number as u32);
        }
    }
}

/// The pages of every chunk, in whatever state the pool is.
///
/// # Safety
/// `pool` is the state's, which is mapped.
pub unsafe fn each_live(pool: *const Pool, act: &mut impl FnMut(Range)) {
    // SAFETY: the caller's. Numbers and bytes are read, one by one: all are valid, also in the
    // middle of a change by another thread. The place is inside the array.
    unsafe {
        let used = (&raw const (*pool).used).read_volatile() as usize;
        let chunks = (&raw const (*pool).chunk).cast::<Chunk>();
        for number in 0..used.min(CHUNKS) {
            let chunk = chunks.add(number);
            if (&raw const (*chunk).phase).cast::<u8>().read_volatile() == Phase::Live as u8 {
                act(Range {
                    at: (&raw const (*chunk).made.data).read_volatile(),
                    len: (&raw const (*chunk).made.data_len).read_volatile(),
                    is_open: true,
                });
            }
        }
    }
}
