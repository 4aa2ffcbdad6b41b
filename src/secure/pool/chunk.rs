//! Layer: faces. A chunk of the pool: blocks of slots between two guards, with records elsewhere.
//!
//! ```text
//! data                                              metadata, a mapping of its own
//! | guard | block 0 | block 1 | ...     | guard |   | guard | blocks | records of slots | guard |
//!         | slot | slot | ...  |
//! ```
//!
//! A block serves one class at a time. Chunks lie in cells of 2 MiB of address space, one a cell,
//! so that an address leads to its chunk by one look-up.
#![expect(unsafe_code, reason = "records live in a mapping; slots are raw memory")]

use super::slots;
use crate::canary::{Key, Words};
use crate::os::pointer;
use crate::secure::backing::Made;
use crate::secure::margin::Margins;
use crate::secure::policy::{Policy, Requirements};
use crate::wipe;

/// log2 of the bytes of a cell.
pub const CELL_SHIFT: u32 = 21;
/// Largest chunk: a cell holds it at any of many places.
pub const MOST: usize = 1 << 20;
/// Bits of a slot's number in its chunk.
const SLOT_BITS: u32 = 16;

/// What a slot is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum SlotState {
    /// Never handed out since its block got its class.
    Fresh = 0,
    /// A buffer.
    Live,
    /// Freed, waiting.
    Waiting,
    /// Among those to be handed out next.
    Ready,
}

/// What is known of a slot.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct Record {
    /// The next that waits: its number plus one.
    pub next: u32,
    /// Bytes asked for.
    pub size: u16,
    /// log2 of the alignment.
    pub shift: u8,
    pub state: SlotState,
    /// Counts what was handed out there.
    pub generation: u8,
    require: Requirements,
    memfd_secret: bool,
}

impl Record {
    /// The policy of its buffer.
    pub fn policy(&self) -> Policy {
        let policy = Policy::require(self.require);
        if self.memfd_secret { policy } else { policy.hibernation_friendly() }
    }

    /// See [`policy`](Record::policy).
    #[inline]
    pub fn set_policy(&mut self, policy: &Policy) {
        self.require = policy.requirements();
        self.memfd_secret = policy.allows_memfd_secret();
    }

    /// Bytes between the slot's start and the buffer's.
    #[inline]
    pub fn front(&self) -> usize {
        slots::front(1 << (self.shift & 15))
    }
}

/// What is known of a block.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct Block {
    /// Class plus one; 0 for none.
    pub class: u8,
    /// On its way out of its class.
    pub leaving: bool,
    pub live: u16,
    /// Slots below this one were handed out, or are ready to be.
    pub fresh: u16,
    /// When the last of its slots was freed, in frees of the pool.
    pub stamp: u64,
}

/// What became of a chunk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Phase {
    Empty = 0,
    Live,
    /// The parent process's.
    Inherited,
}

/// A chunk: where everything is.
#[derive(Clone, Copy)]
pub struct Chunk {
    pub made: Made,
    /// The metadata's mapping, guards included, and where blocks and records are in it.
    pub meta: usize,
    pub meta_len: usize,
    pub block_at: usize,
    pub record_at: usize,
    pub blocks: u32,
    /// Blocks without a class.
    pub free_blocks: u32,
    pub phase: Phase,
}

/// The sizes that follow from the page size.
#[derive(Clone, Copy, Debug)]
pub struct Geometry {
    /// log2 of the bytes of a block.
    pub block_shift: u32,
}

impl Geometry {
    /// For pages of this size.
    #[inline]
    pub fn of(page: usize) -> Geometry {
        Geometry { block_shift: slots::BLOCK.max(page).trailing_zeros() }
    }

    /// Bytes of a block.
    #[inline]
    pub fn block(self) -> usize {
        1 << self.block_shift
    }

    /// Records of a block: for the smallest slots.
    #[inline]
    pub fn records(self) -> usize {
        self.block() >> 5
    }

    /// Slots of a block of this class.
    #[inline]
    pub fn slots(self, class: usize) -> usize {
        self.block().checked_div(slots::slot(class)).unwrap_or(0)
    }
}

/// A slot by number: chunk and place in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SlotId(pub u32);

impl SlotId {
    /// The slot of a block.
    #[inline]
    pub fn new(geometry: Geometry, chunk: u32, block: usize, slot: usize) -> SlotId {
        SlotId(chunk << SLOT_BITS | (block * geometry.records() + slot) as u32)
    }

    /// Its chunk.
    #[inline]
    pub fn chunk(self) -> u32 {
        self.0 >> SLOT_BITS
    }

    /// Its record's place in the chunk.
    #[inline]
    pub fn place(self) -> usize {
        (self.0 & ((1 << SLOT_BITS) - 1)) as usize
    }

    /// Its block in the chunk.
    #[inline]
    pub fn block(self, geometry: Geometry) -> usize {
        self.place() >> (geometry.block_shift - 5)
    }
}

impl Chunk {
    /// A block's record.
    #[inline]
    pub fn block(&mut self, number: usize) -> Option<&mut Block> {
        // SAFETY: the metadata holds so many of them from its making until the chunk is gone; the
        // borrow is of the chunk, which the pool's lock gives to one thread.
        (number < self.blocks as usize)
            .then(|| unsafe { &mut *pointer::<Block>(self.block_at).add(number) })
    }

    /// A slot's record.
    #[inline]
    pub fn record(&mut self, geometry: Geometry, id: SlotId) -> Option<&mut Record> {
        // SAFETY: as for `block`; there are `records` of them for every block.
        (id.place() < self.blocks as usize * geometry.records())
            .then(|| unsafe { &mut *pointer::<Record>(self.record_at).add(id.place()) })
    }

    /// Where a slot of a block of this class lies.
    #[inline]
    pub fn slot(&self, geometry: Geometry, id: SlotId, class: usize) -> Slot {
        let block = id.block(geometry);
        let slot = id.place() & (geometry.records() - 1);
        let len = slots::slot(class);
        Slot { at: self.made.data + (block << geometry.block_shift) + slot * len, len }
    }

    /// Whether an address is in the chunk's data.
    #[inline]
    pub fn contains(&self, at: usize) -> bool {
        at.wrapping_sub(self.made.data) < self.made.data_len
    }

    /// Whether a block's bytes are all zero.
    pub fn is_block_zero(&self, geometry: Geometry, block: usize, wide: bool) -> bool {
        let at = self.made.data + (block << geometry.block_shift);
        // SAFETY: a block of a live chunk is mapped and aligned; its length is a multiple of 16.
        unsafe { wipe::is_zero(pointer(at), geometry.block(), wide) }
    }
}

/// The memory of a slot of a live chunk. The pool makes them for the slots of its blocks alone.
#[derive(Clone, Copy, Debug)]
pub struct Slot {
    /// Where it starts; aligned to 16.
    pub at: usize,
    /// Its bytes, a multiple of 16.
    pub len: usize,
}

impl Slot {
    /// The buffer with its gaps, as recorded.
    #[inline]
    pub fn margins(self, record: &Record) -> Margins {
        let start = self.at + record.front();
        let size = usize::from(record.size).min(self.len - record.front().min(self.len));
        // SAFETY: a slot of a live chunk is readable, writable and one buffer's alone; front and
        // size were found to fit when they were recorded, and are cut to the slot here.
        unsafe { Margins::new(self.at, start, size, self.at + self.len) }
    }

    /// Its canaries.
    #[inline]
    pub fn words(self, key: &Key, record: &Record) -> Words {
        key.words(self.at, record.generation)
    }

    /// Whether it holds nothing but zeros.
    #[inline]
    pub fn is_zero(self, wide: bool) -> bool {
        // SAFETY: mapped, aligned, and not empty, see `margins`.
        unsafe { wipe::is_zero(pointer(self.at), self.len, wide) }
    }

    /// Overwrites all of it with zeros.
    #[inline]
    pub fn wipe(self, wide: bool) {
        // SAFETY: as for `is_zero`; the buffer is given up.
        unsafe { wipe::wipe(pointer(self.at), self.len, wide) }
    }
}
