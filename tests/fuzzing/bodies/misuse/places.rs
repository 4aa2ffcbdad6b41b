//! What an address is, by the plan's arithmetic alone.

use casemate::heap::Plan;

/// A slot, handed out or not, and its slab.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Slot {
    /// Its first byte.
    pub start: usize,
    /// Behind its last byte.
    pub end: usize,
    /// Whether its last word is a canary.
    pub has_canary: bool,
    /// Its slab's first byte, and so the first slot's.
    pub slab: usize,
    /// The next slab's.
    pub next_slab: usize,
    /// Its size class's number, for statistics.
    pub class: usize,
}

/// What lies at an address of the slot span.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// A slot.
    Slot(Slot),
    /// Behind a slab's last slot, in its last page: up to here.
    Rest(usize),
    /// A guard, up to here.
    Guard(usize),
    /// Before a region's first slab, or in no region: inaccessible.
    Nowhere,
}

/// What lies at `at`, as if every slab of the plan were open.
pub fn place(plan: &Plan, partitions: usize, at: usize) -> Place {
    let number = at.wrapping_sub(plan.slots) >> plan.region_shift;
    let Some(region) = plan.region.get(number).filter(|_| number < plan.regions) else {
        return Place::Nowhere;
    };
    if at < region.base {
        return Place::Nowhere;
    }
    if let Some((_, offset)) = region.locate(at, region.limit) {
        let start = at - offset;
        let slab = at - ((at - region.base) & ((1 << region.shape.stride_shift) - 1));
        return Place::Slot(Slot {
            start,
            end: start + region.shape.slot as usize,
            has_canary: region.has_canary(),
            slab,
            next_slab: slab + (1 << region.shape.stride_shift),
            class: number / partitions,
        });
    }
    let inside = (at - region.base) & ((1 << region.shape.stride_shift) - 1);
    let slab = at - inside;
    if inside < region.shape.data as usize {
        Place::Rest(slab + region.shape.data as usize)
    } else {
        Place::Guard(slab + (1 << region.shape.stride_shift))
    }
}

/// The pages of a large object.
pub fn pages(at: usize, size: usize, page: usize) -> (usize, usize) {
    (at & !(page - 1), (at + size).next_multiple_of(page))
}
