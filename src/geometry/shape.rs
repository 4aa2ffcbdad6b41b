//! Layer: pure. Sizes of a class's slabs, groups and metadata.

use crate::bitmap::MOST;
use crate::size_class::SizeClass;
use crate::units::{KIB, align_up, ratio_up, round_up};

/// Bytes of a slab header, of an others' part, and before the records in an owner's part.
pub const HEADER: usize = 64;
/// See [`HEADER`].
pub const OTHERS: usize = 32;
/// See [`HEADER`].
pub const OWNER: usize = 40;

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

    /// Whether each slot has a slab to itself.
    #[inline]
    pub const fn is_single(&self) -> bool {
        self.slots == 1
    }

    /// Slots of this group of a slab.
    #[inline]
    pub const fn slots_of(&self, group: usize) -> usize {
        let before = group * self.group_slots as usize;
        let left = (self.slots as usize).saturating_sub(before);
        if left < self.group_slots as usize { left } else { self.group_slots as usize }
    }
}

/// How often `part` fits into `whole`; 0 for a part of 0.
const fn per(whole: usize, part: usize) -> usize {
    match whole.checked_div(part) {
        Some(n) => n,
        None => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::size_class::CLASSES;

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
}
