//! Layer: pure. The address plan: where a class's slabs lie and how an address is decoded.
//!
//! ```text
//! one span of address space, 1 << region_shift bytes a region, at a random address
//! +-----------+-----------+-----------+-- ...
//! | region 0  | region 1  | region 2  |          one region a size class (and partition)
//! +-----------+-----------+-----------+-- ...
//!
//! a region
//! +---------------+--------+--------+--------+---------------------------+
//! | random offset | slab 0 | slab 1 | slab 2 |  ... not committed yet    |
//! | inaccessible  |        |        |        |  inaccessible             |
//! +---------------+--------+--------+--------+---------------------------+
//!                 base              frontier ^
//!
//! a slab: 1 << stride_shift bytes
//! +------+------+------+-- ... --+------+-----------------+
//! | slot | slot | slot |         | slot |      guard      |
//! +------+------+------+-- ... --+------+-----------------+
//! |  group 0    |  group 1  ...         |
//!
//! its metadata, in another span at another random address
//! +--------+---------------+--------------+---------------+-- ...
//! | header | others' part  | owner's part | others' part  |
//! |        |     group 0   + records      |     group 1   |
//! +--------+---------------+--------------+---------------+-- ...
//! ```
//!
//! Decoding an address is arithmetic on the read-only plan; nothing is looked up and there is no
//! header in user memory to forge.

mod ladder;
mod region;
mod shape;

pub use ladder::{Rung, ladder};
pub use region::Region;
pub use shape::{HEADER, OTHERS, OWNER, Shape};

use crate::size_class::CLASSES;

/// Most partitions a class can have.
pub const MOST_PARTITIONS: usize = 4;
/// Most regions a plan can have.
pub const MOST_REGIONS: usize = CLASSES * MOST_PARTITIONS;

/// A slab of a region: below the region's frontier when the value was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SlabId(pub u32);

/// A group of a region: `slab * groups + group`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GroupId(pub u32);

/// A slot of a region, decoded from the address of its exact start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SlotId {
    /// The slab.
    pub slab: SlabId,
    /// The group in the slab.
    pub group: u8,
    /// The slot in the group.
    pub slot: u8,
}

/// Why an address inside a region is not the start of a slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotASlot {
    /// Before the first slab or beyond the committed frontier.
    Beyond,
    /// In a guard or in the rest behind the last slot.
    Guard,
    /// Not at a multiple of the slot size.
    Interior,
}
