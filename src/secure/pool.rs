//! Layer: faces. Small buffers: slots drawn at random, checked, wiped, and reused late.
//!
//! A bin serves one class on one backing. A freed slot waits in the bin's queue until [`wait`]
//! younger frees of the bin are behind it; then it comes among up to [`MAGAZINE`] slots that are
//! ready, and each allocation draws one of these at random. When memory is refused,
//! [`LEAST_WAIT`] younger frees are enough.
//!
//! Chunks grow with the pool, by a quarter of what there is: from 64 KiB to 1 MiB, less where the
//! limit on locked memory leaves less.

use super::backing::{self, Supply, Wanted};
use super::chunk::{CELL_SHIFT, Chunk, Geometry, MOST, Phase, Slot, SlotId, SlotState};
use super::error::{ErrorKind, SecureError};
use super::index::Index;
use super::policy::{Access, Policy, Requirements};
use super::protections::{Backing, Protections, report};
use super::root::Fixed;
use super::slots::{self, CLASSES};
use crate::os::{Linux, Os, pointer};
use crate::rng::Stream;
use crate::units::{KIB, round_up};
use crate::violation::{Kind, Place, Violation};
use core::alloc::Layout;
use core::ptr::NonNull;

/// Slots that are ready at most.
pub const MAGAZINE: usize = 128;
/// Below this many more are made ready.
const LOW: u32 = 64;
/// Younger frees of the bin after which a slot may be reused in any case.
pub const LEAST_WAIT: u32 = 8;
/// Chunks, those of a parent process included.
pub const CHUNKS: usize = 1024;
const CELLS: usize = 2 * CHUNKS;
/// Smallest chunk, unless the limit leaves less.
const LEAST_CHUNK: usize = 64 * KIB;
const BACKINGS: usize = 3;

/// Younger frees of the bin that a freed slot of this size waits for: 32 KiB of them, 8 to 256.
pub fn wait(slot: usize) -> u32 {
    ((32 * KIB).checked_div(slot).unwrap_or(0) as u32).clamp(LEAST_WAIT, 256)
}

/// A class on a backing.
pub struct Bin {
    ready: [u32; MAGAZINE],
    count: u32,
    oldest: u32,
    newest: u32,
    waiting: u32,
    /// The block that has fresh slots, as the number of its first slot plus one.
    fresh: u32,
}

/// See [`State`](super::state::State).
pub struct Pool {
    bins: [[Bin; CLASSES]; BACKINGS],
    chunk: [Chunk; CHUNKS],
    cells: [u32; CELLS],
    /// Chunks that were ever used.
    used: u32,
    pub chunks: usize,
    pub live: usize,
    pub live_bytes: usize,
    pub degraded: usize,
    pub degraded_ever: u64,
    pub metadata: usize,
    frees: u64,
    /// Blocks with a class and no buffer.
    empty_blocks: u32,
    /// `frees` when such were last looked for.
    looked: u64,
}

/// The pool, with what its work needs.
pub struct PoolTable<'s> {
    pub fixed: &'static Fixed,
    pub pool: &'s mut Pool,
    pub stream: &'s mut Stream,
    pub supply: &'s mut Supply,
}

/// A slot that an address was found to be in.
struct Found {
    id: SlotId,
    class: usize,
    slot: Slot,
    backing: Backing,
}

fn fail<T>(kind: ErrorKind) -> Result<T, SecureError> {
    Err(SecureError::new(kind))
}

fn misuse(kind: Kind, slot: Slot) -> SecureError {
    let place = Place::SecretSlot(slot.len as u32);
    SecureError::new(ErrorKind::Misuse(Violation::new(kind).at(place, slot.at)))
}

/// The records contradict each other.
fn torn() -> SecureError {
    SecureError::new(ErrorKind::Misuse(Violation::new(Kind::Metadata)))
}

impl Pool {
    /// Whether there is memory that a class has and no buffer uses.
    pub fn has_empty_blocks(&self) -> bool {
        self.empty_blocks != 0
    }

    #[inline]
    fn bin(&mut self, backing: Backing, class: usize) -> Option<&mut Bin> {
        self.bins.get_mut(backing as usize)?.get_mut(class)
    }

    #[inline]
    fn chunk(&mut self, number: u32) -> Option<&mut Chunk> {
        self.chunk.get_mut(number as usize)
    }

    /// The chunk whose data an address is in.
    #[inline]
    fn chunk_at(&mut self, at: usize) -> Option<u32> {
        let Pool { chunk, cells, .. } = self;
        let cell_of = |number: u32| {
            chunk.get(number as usize).map_or(0, |chunk| chunk.made.data >> CELL_SHIFT)
        };
        let number = Index::new(cells).find(at >> CELL_SHIFT, cell_of)?;
        chunk.get(number as usize)?.contains(at).then_some(number)
    }
}

impl PoolTable<'_> {
    #[inline]
    fn geometry(&self) -> Geometry {
        Geometry::of(self.fixed.page)
    }

    /// Whether an address is in the pool, or in that of a parent process.
    #[inline]
    pub fn holds(&mut self, at: usize) -> bool {
        self.pool.used != 0 && self.pool.chunk_at(at).is_some()
    }

    /// A buffer from the pool; `None` if it must have pages of its own, or if there is no more
    /// memory for the pool that the policy allows.
    #[inline]
    pub fn allocate(
        &mut self,
        layout: Layout,
        policy: &Policy,
    ) -> Result<Option<NonNull<[u8]>>, SecureError> {
        if policy.is_protectable() || policy.is_shared_with_children() {
            return Ok(None);
        }
        if policy.requirements().has(Requirements::SEALED) && !self.fixed.sealed {
            return Ok(None);
        }
        let Some(class) = slots::class_of(layout.size(), layout.align()) else { return Ok(None) };
        for backing in backing::candidates(policy, None) {
            if let Some(id) = self.draw(backing, class)? {
                return self.hand_out(id, class, backing, layout, policy).map(Some);
            }
        }
        Ok(None)
    }

    /// A slot that may be handed out.
    #[inline]
    fn draw(&mut self, backing: Backing, class: usize) -> Result<Option<SlotId>, SecureError> {
        let Some(bin) = self.pool.bin(backing, class) else { return Err(torn()) };
        let mut count = bin.count;
        if count < LOW {
            count = self.refill(backing, class, wait(slots::slot(class)))?;
        }
        if count == 0 {
            count = self.stretch(backing, class)?;
        }
        if count == 0 {
            return Ok(None);
        }
        let at = self.stream.below::<Linux>(count) as usize;
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
        loop {
            let Some(bin) = self.pool.bin(backing, class) else { return Err(torn()) };
            let count = bin.count;
            let mut ready = None;
            if count >= LOW {
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

    /// Gives a block to a class. False if there is none, and no memory for more.
    fn add_block(&mut self, backing: Backing, class: usize) -> Result<bool, SecureError> {
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
        let from = (random as usize).checked_rem(blocks).unwrap_or(0);
        for step in 0..blocks {
            let at = (from + step).checked_rem(blocks).unwrap_or(0);
            if chunk.block(at).is_none_or(|block| block.class != 0) {
                continue;
            }
            let first = SlotId::new(geometry, number, at, 0);
            if !chunk.is_block_zero(geometry, at, wide) {
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
        let block_len = blocks * size_of::<super::chunk::Block>();
        let records_len = blocks * geometry.records() * size_of::<super::chunk::Record>();
        let open = round_up(round_up(block_len, 64) + records_len, page);
        let meta_len = open + 2 * page;
        let meta = super::root::reserve((page, self.fixed.bits), self.stream, meta_len, page);
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

    #[inline]
    fn hand_out(
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
        if !slot.is_zero(self.fixed.wide) {
            return Err(misuse(Kind::WriteAfterFree, slot));
        }
        record.state = SlotState::Live;
        record.size = layout.size() as u16;
        record.shift = layout.align().trailing_zeros() as u8;
        record.generation = record.generation.wrapping_add(1);
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
    fn check(&mut self, found: &Found) -> Result<(), SecureError> {
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
        found.slot.wipe(self.fixed.wide);
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

    #[inline]
    fn enqueue(&mut self, found: &Found) -> Result<(), SecureError> {
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
                if !chunk.is_block_zero(geometry, at, wide) {
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
        chunk.phase = Phase::Empty;
        let _ = Linux::unmap(old.made.map, old.made.map_len);
        let _ = Linux::unmap(old.meta, old.meta_len);
        self.supply.uncount(old.made.have, old.made.data_len);
        self.pool.chunks -= 1;
        self.pool.metadata -= old.meta_len - 2 * page;
        Ok(())
    }

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

    /// Takes every chunk's contents away, on the way to an abort. Changes no table.
    pub fn take_all_away(&mut self) {
        use crate::os::Secrets;
        for chunk in self.pool.chunk.iter().take(self.pool.used as usize) {
            if chunk.phase == Phase::Live {
                let _ = Linux::take_away(chunk.made.data, chunk.made.data_len);
            }
        }
    }
}

/// Whether the block's first buffer was just counted.
fn block_was_empty(live: u16) -> bool {
    live == 1
}
