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

use crate::bitmap::MOST;
use crate::size_class::{CANARY, CLASSES, SizeClass};
use crate::units::{KIB, align_up, ratio_up, round_up};

/// Most partitions a class can have.
pub const MOST_PARTITIONS: usize = 4;
/// Most regions a plan can have.
pub const MOST_REGIONS: usize = CLASSES * MOST_PARTITIONS;

/// Bytes of a slab header, of an others' part, and before the records in an owner's part.
pub const HEADER: usize = 64;
/// See [`HEADER`].
pub const OTHERS: usize = 32;
/// See [`HEADER`].
pub const OWNER: usize = 32;

/// Sizes that hold for every slab of a class.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    /// Slot size in bytes.
    pub slot: u32,
    /// Slots in a slab.
    pub slots: u16,
    /// Slots in a group; the last group may have fewer.
    pub group_slots: u8,
    /// Groups in a slab, at most 64.
    pub groups: u8,
    /// log2 of the bytes from one slab to the next.
    pub stride_shift: u8,
    /// Bytes from the slab's start to its guard.
    pub data: u32,
    /// Metadata bytes of a group.
    pub group_meta: u32,
    /// Metadata bytes of a slab.
    pub slab_meta: u32,
}

impl Shape {
    /// The shape of a class's slabs for pages of `1 << page_shift` bytes.
    pub const fn of(class: SizeClass, page_shift: u32) -> Shape {
        let page = 1usize << page_shift;
        let slot = class.slot(page_shift);
        // Small slots get small slabs: a slab is the unit that is given back.
        let wanted = match slot {
            0..=512 => 32 * KIB,
            513..=2112 => 64 * KIB,
            2113..=8256 => 128 * KIB,
            8257..=32832 => 256 * KIB,
            _ => 0,
        };
        let single = slot > 32832 || !class.has_canary();
        let least = match align_up(slot, page) {
            Some(bytes) => (bytes + page).next_power_of_two(),
            None => page,
        };
        let stride = if single || wanted < least { least } else { wanted };
        let room = per(stride - page, slot);
        let slots = if single {
            1
        } else if room > MOST * 64 {
            MOST * 64
        } else {
            room
        };
        // A group is a window of some pages, so that few objects do not touch many; slots of a page
        // or more touch no page but their own.
        let window = if slot >= page { MOST } else { per(32 * KIB, slot) };
        let most = if window < 8 {
            8
        } else if window > MOST {
            MOST
        } else {
            window
        };
        let groups = ratio_up(slots, most);
        let group_slots = ratio_up(slots, groups);
        let data = match align_up(slots * slot, page) {
            Some(bytes) => bytes,
            None => 0,
        };
        let group_meta = round_up(OTHERS + OWNER + 4 * group_slots, 64);
        Shape {
            slot: slot as u32,
            slots: slots as u16,
            group_slots: group_slots as u8,
            groups: groups as u8,
            stride_shift: stride.trailing_zeros() as u8,
            data: data as u32,
            group_meta: group_meta as u32,
            slab_meta: (HEADER + groups * group_meta) as u32,
        }
    }

    /// Slots of this group of a slab.
    #[inline]
    pub const fn slots_of(&self, group: usize) -> usize {
        let before = group * self.group_slots as usize;
        let left = (self.slots as usize).saturating_sub(before);
        if left < self.group_slots as usize { left } else { self.group_slots as usize }
    }
}

/// A region: its shape, its place, and the reciprocals that decode addresses in it.
#[derive(Clone, Copy, Debug)]
#[repr(C, align(64))]
pub struct Region {
    /// Address of its first slab.
    pub base: usize,
    /// Address of its first slab's metadata.
    pub meta: usize,
    /// 2^40 / slot size, rounded up.
    slot_reciprocal: u64,
    /// 2^20 / slots of a group, rounded up.
    group_reciprocal: u32,
    /// Most slabs it can have.
    pub limit: u32,
    /// The shape of its slabs.
    pub shape: Shape,
    /// Bytes of a slot that an object can have: all but the canary.
    pub room: u32,
    /// The bits of an offset that lie inside a slab.
    mask: u32,
}

const _: () = assert!(size_of::<Region>() == 64);

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

impl Region {
    /// A region of no class: decodes nothing.
    pub const EMPTY: Region = Region {
        base: usize::MAX,
        meta: 0,
        slot_reciprocal: 0,
        group_reciprocal: 0,
        limit: 0,
        shape: Shape {
            slot: 16,
            slots: 0,
            group_slots: 0,
            groups: 0,
            stride_shift: 12,
            data: 0,
            group_meta: 0,
            slab_meta: 0,
        },
        room: 0,
        mask: 0,
    };

    /// Lays out a region whose first slab is at `base`, with `bytes` from there to its end, and
    /// whose metadata is at `meta`.
    pub const fn new(
        class: SizeClass,
        page_shift: u32,
        base: usize,
        bytes: usize,
        meta: usize,
    ) -> Self {
        let shape = Shape::of(class, page_shift);
        Region {
            base,
            meta,
            slot_reciprocal: ratio_up(1 << 40, shape.slot as usize) as u64,
            group_reciprocal: ratio_up(1 << 20, shape.group_slots as usize) as u32,
            limit: (bytes >> shape.stride_shift) as u32,
            shape,
            room: shape.slot - if class.has_canary() { CANARY as u32 } else { 0 },
            mask: (1u32 << shape.stride_shift) - 1,
        }
    }

    /// The slot that starts exactly at `address`, given the region's frontier in slabs.
    #[inline(always)]
    pub fn decode(&self, address: usize, frontier: u32) -> Result<SlotId, NotASlot> {
        let offset = address.wrapping_sub(self.base);
        let slab = offset >> self.shape.stride_shift;
        if slab >= frontier as usize {
            return Err(NotASlot::Beyond);
        }
        let inside = offset & self.mask as usize;
        let slot = ((inside as u64).wrapping_mul(self.slot_reciprocal) >> 40) as usize;
        if slot * self.shape.slot as usize != inside {
            return Err(if inside < self.shape.slots as usize * self.shape.slot as usize {
                NotASlot::Interior
            } else {
                NotASlot::Guard
            });
        }
        if slot >= self.shape.slots as usize {
            return Err(NotASlot::Guard);
        }
        let group = ((slot as u32).wrapping_mul(self.group_reciprocal) >> 20) as usize;
        let slot = slot - group * self.shape.group_slots as usize;
        Ok(SlotId { slab: SlabId(slab as u32), group: group as u8, slot: slot as u8 })
    }

    /// The same for the fast path: slab, group and slot in the group, or nothing.
    #[inline(always)]
    pub fn decode_fast(&self, address: usize, frontier: u32) -> Option<[usize; 3]> {
        self.decode_known(address, frontier, self.shape.slot as usize)
    }

    /// The same where the caller knows the slot size.
    #[inline(always)]
    pub fn decode_known(&self, address: usize, frontier: u32, size: usize) -> Option<[usize; 3]> {
        let offset = address.wrapping_sub(self.base);
        let slab = offset >> (self.shape.stride_shift & 63);
        let inside = offset & self.mask as usize;
        let slot = ((inside as u64).wrapping_mul(self.slot_reciprocal) >> 40) as usize;
        if slab >= frontier as usize || slot * size != inside || slot >= self.shape.slots as usize {
            return None;
        }
        let group = ((slot as u32).wrapping_mul(self.group_reciprocal) >> 20) as usize;
        Some([slab, group, slot - group * self.shape.group_slots as usize])
    }

    /// The slot that `address` lies in, and how far from its start; nothing in guards, before the
    /// first slab and beyond the frontier.
    #[inline(always)]
    pub fn locate(&self, address: usize, frontier: u32) -> Option<(SlotId, usize)> {
        let offset = address.wrapping_sub(self.base);
        let slab = offset >> (self.shape.stride_shift & 63);
        let inside = offset & self.mask as usize;
        let slot = ((inside as u64).wrapping_mul(self.slot_reciprocal) >> 40) as usize;
        if slab >= frontier as usize || slot >= self.shape.slots as usize {
            return None;
        }
        let group = ((slot as u32).wrapping_mul(self.group_reciprocal) >> 20) as usize;
        let in_group = slot - group * self.shape.group_slots as usize;
        let id = SlotId { slab: SlabId(slab as u32), group: group as u8, slot: in_group as u8 };
        Some((id, inside - slot * self.shape.slot as usize))
    }

    /// Whether its slots end in a canary.
    #[inline(always)]
    pub const fn has_canary(&self) -> bool {
        self.room != self.shape.slot
    }

    /// Address of a slab.
    #[inline]
    pub const fn slab(&self, slab: SlabId) -> usize {
        self.base.wrapping_add((slab.0 as usize) << self.shape.stride_shift)
    }

    /// Address of the first slot of a group.
    #[inline]
    pub const fn group(&self, slab: SlabId, group: usize) -> usize {
        self.slab(slab)
            .wrapping_add(group * self.shape.group_slots as usize * self.shape.slot as usize)
    }

    /// Address of a slab's metadata.
    #[inline]
    pub const fn slab_meta(&self, slab: SlabId) -> usize {
        self.meta.wrapping_add(slab.0 as usize * self.shape.slab_meta as usize)
    }

    /// The group's number in the region.
    #[inline]
    pub const fn group_id(&self, slab: SlabId, group: usize) -> GroupId {
        GroupId(slab.0.wrapping_mul(self.shape.groups as u32).wrapping_add(group as u32))
    }

    /// Slab and group in it.
    #[inline]
    pub const fn split(&self, id: GroupId) -> (SlabId, usize) {
        let groups = if self.shape.groups == 0 { 1 } else { self.shape.groups as u32 };
        (SlabId(id.0 / groups), (id.0 % groups) as usize)
    }
}

/// How often `part` fits into `whole`; 0 for a part of 0.
const fn per(whole: usize, part: usize) -> usize {
    match whole.checked_div(part) {
        Some(n) => n,
        None => 0,
    }
}

/// A step of the ladder: how large the plan is, and whether its address space is reserved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rung {
    /// log2 of the bytes of a region.
    pub region_shift: u32,
    /// Reserved at start-up; otherwise the plan is only a plan, and each step of each region is
    /// mapped when it is first needed.
    pub reserved: bool,
}

/// The rungs to try, widest first. `span_bits` is the log2 of the bytes that the slot span may
/// take, `reserve` whether reserving that much is worth trying.
pub fn ladder(regions: usize, span_bits: u32, reserve: bool) -> impl Iterator<Item = Rung> {
    let log = usize::BITS - regions.saturating_sub(1).leading_zeros();
    let widest = span_bits.saturating_sub(log).clamp(22, 36);
    let reserved = (28..=widest)
        .rev()
        .step_by(2)
        .take(if reserve { usize::MAX } else { 0 })
        .map(|region_shift| Rung { region_shift, reserved: true });
    let planned =
        (22..=widest).rev().step_by(2).map(|region_shift| Rung { region_shift, reserved: false });
    reserved.chain(planned)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn check(class: SizeClass, page_shift: u32) -> Shape {
        let shape = Shape::of(class, page_shift);
        let page = 1usize << page_shift;
        let stride = 1usize << shape.stride_shift;
        assert!(shape.slots >= 1 && shape.groups >= 1 && shape.groups <= 64);
        assert!(shape.group_slots as usize <= MOST);
        assert!(shape.data as usize + page <= stride, "a guard page fits");
        assert_eq!(shape.data as usize % page, 0);
        assert!(shape.slots as usize * shape.slot as usize <= shape.data as usize);
        let all: usize = (0..shape.groups as usize).map(|g| shape.slots_of(g)).sum();
        assert_eq!(all, shape.slots as usize, "groups cover the slab exactly");
        assert!((0..shape.groups as usize).all(|g| shape.slots_of(g) > 0));
        assert_eq!(shape.group_meta % 64, 0);
        shape
    }

    #[test]
    fn shapes_hold_for_all_classes_and_page_sizes() {
        for page_shift in [12, 14, 16] {
            for i in 0..CLASSES {
                check(SizeClass::new(i).unwrap(), page_shift);
            }
        }
    }

    #[test]
    fn metadata_is_less_than_two_fifths_even_for_the_smallest_slots() {
        for i in 0..CLASSES {
            let shape = check(SizeClass::new(i).unwrap(), 12);
            let most = if shape.slot < 32 { 0.41 } else { 0.21 };
            assert!(f64::from(shape.slab_meta) <= f64::from(shape.data) * most, "{shape:?}");
        }
    }

    #[test]
    fn the_ladder_descends_and_ends_unreserved() {
        let all: std::vec::Vec<_> = ladder(84, 43, true).collect();
        assert_eq!(all[0], Rung { region_shift: 36, reserved: true });
        assert!(all.windows(2).all(|w| w[0].reserved >= w[1].reserved));
        assert!(!all.last().unwrap().reserved);
        assert!(ladder(84, 43, false).all(|rung| !rung.reserved));
        assert!(ladder(336, 36, true).all(|rung| rung.region_shift <= 27));
    }

    proptest! {
        #[test]
        fn decode_inverts_layout(
            i in 0usize..CLASSES, page_shift in prop::sample::select(std::vec![12u32, 14, 16]),
            slab in 0u32..1000, pick: u32, off in 0usize..1 << 21,
        ) {
            let class = SizeClass::new(i).unwrap();
            let base = 0x7654_3210_0000usize;
            let region = Region::new(class, page_shift, base, 1 << 36, 0x1000);
            let shape = region.shape;
            let n = pick as usize % shape.slots as usize;
            let at = region.slab(SlabId(slab)) + n * shape.slot as usize;
            let id = region.decode(at, 1000).unwrap();
            prop_assert_eq!(id.slab, SlabId(slab));
            prop_assert_eq!(
                id.group as usize * shape.group_slots as usize + id.slot as usize, n);
            prop_assert!((id.slot as usize) < shape.slots_of(id.group as usize));
            let start = region.group(id.slab, id.group as usize)
                + id.slot as usize * shape.slot as usize;
            prop_assert_eq!(start, at);
            prop_assert_eq!(
                region.decode_fast(at, 1000),
                Some([slab as usize, id.group as usize, id.slot as usize]));
            prop_assert_eq!(
                region.split(region.group_id(id.slab, id.group as usize)),
                (id.slab, id.group as usize));
            prop_assert_eq!(region.decode(at, slab), Err(NotASlot::Beyond));
            // Any other address decodes to its slot's exact start or not at all.
            let any = region.slab(SlabId(slab)) + off % (1 << shape.stride_shift);
            prop_assert_eq!(
                region.decode_fast(any, 1000),
                region.decode(any, 1000).ok().map(|id| {
                    [id.slab.0 as usize, id.group as usize, id.slot as usize]
                }));
            // And every address is found in the slot that covers it.
            let inside = off % (1 << shape.stride_shift);
            let covering = inside / shape.slot as usize;
            let located = region.locate(any, 1000).map(|(id, offset)| {
                let n = id.group as usize * shape.group_slots as usize + id.slot as usize;
                (id.slab, n, offset)
            });
            let expected = (covering < shape.slots as usize)
                .then(|| (SlabId(slab), covering, inside - covering * shape.slot as usize));
            prop_assert_eq!(located, expected);
            if let Ok(id) = region.decode(any, 1000) {
                prop_assert_eq!((any - region.slab(id.slab)) % shape.slot as usize, 0);
            }
        }
    }
}
