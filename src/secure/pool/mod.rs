//! Layer: faces. Small buffers: slots drawn at random, checked, wiped, and reused late.
//!
//! A bin serves one class on one backing. A freed slot waits in the bin's queue until [`wait`]
//! younger frees of the bin are behind it; then it comes among up to [`MAGAZINE`] slots that are
//! ready, and each allocation draws one of these at random. When memory is refused,
//! [`LEAST_WAIT`] younger frees are enough.
//!
//! Chunks grow with the pool, by a quarter of what there is: from 64 KiB to 1 MiB, less where the
//! limit on locked memory leaves less.

mod all;
mod buffer;
mod chunk;
mod grow;
mod magazine;
mod reclaim;
pub mod slots;

use super::backing::{self, Supply};
use super::error::{ErrorKind, SecureError};
use super::index::Index;
use super::policy::{Policy, Requirements};
use super::protections::Backing;
use super::root::Fixed;
use crate::rng::Stream;
use crate::units::KIB;
use crate::violation::{Kind, Place, Violation};
pub use all::each_live;
use chunk::{CELL_SHIFT, Chunk, Geometry, Slot, SlotId};
use core::alloc::Layout;
use core::ptr::NonNull;
use slots::CLASSES;

/// Slots that are ready at most.
pub const MAGAZINE: usize = 64;
/// Younger frees after which a slot may be reused when memory is refused: of its bin, or of the whole
/// pool where that gives up blocks.
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
    /// Bytes of the blocks that classes have and no buffer uses.
    pub fn empty_bytes(&self, page: usize) -> usize {
        self.empty_blocks as usize * slots::BLOCK.max(page)
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
        if policy.requirements().has(Requirements::SEALED) && !self.fixed.is_sealed() {
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
}
