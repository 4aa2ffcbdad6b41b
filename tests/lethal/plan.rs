//! What the heap keeps to itself, for cases that must aim: the start-up page, read in place.
#![expect(unsafe_code, reason = "reads the start-up page")]

use casemate::geometry::{Region, SlabId};
use casemate::heap::{Frozen, Plan};
use std::ptr::with_exposed_provenance;

/// Address and length of the start-up page.
pub fn start_up_page() -> (usize, usize) {
    casemate::inside::start_up_page()
}

/// The plan of this process's heap, which has started.
pub fn plan() -> &'static Plan {
    let frozen = with_exposed_provenance::<Frozen>(start_up_page().0);
    // SAFETY: the address is that of the process's static `Frozen`.
    unsafe { &*frozen }.started().expect("a heap that has started")
}

/// The region that an address lies in, and the slab.
pub fn slab_of(at: usize) -> (&'static Region, SlabId) {
    let plan = plan();
    let region = &plan.region[(at - plan.slots) >> plan.region_shift];
    (region, SlabId(((at - region.base) >> region.shape.stride_shift) as u32))
}

/// Whether two slots of a region are in one group.
pub fn share_group(one: usize, other: usize) -> bool {
    let (region, slab) = slab_of(one);
    let group = |at| region.decode(at, u32::MAX).map(|id| id.group).ok();
    slab_of(other).1 == slab && group(one).is_some() && group(one) == group(other)
}

/// Whether it lies in any region.
pub fn is_in_regions(at: usize) -> bool {
    at.wrapping_sub(plan().slots) >> plan().region_shift < plan().regions
}
