//! Layer: pure. A region: where its slabs lie, and decoding of addresses in it.

use super::{GroupId, NotASlot, Shape, SlabId, SlotId};
use crate::size_class::{CANARY, SizeClass};
use crate::units::ratio_up;

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
        let (id, offset) = self.locate(address, frontier)?;
        if offset != 0 {
            return None;
        }
        Some([id.slab.0 as usize, id.group as usize, id.slot as usize])
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::size_class::CLASSES;
    use proptest::prelude::*;

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
