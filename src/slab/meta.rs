//! Layer: mechanisms. From numbers to the out-of-line metadata of a slab.

#![expect(unsafe_code, reason = "makes references into the metadata mapping")]

use super::group::{Group, OthersPart, OwnerPart};
use crate::geometry::{HEADER, OTHERS, OWNER, Region, SlabId};
use crate::os::pointer;
use core::sync::atomic::{AtomicU32, AtomicU64};

/// What is known of a slab as a whole. Written by its owner, or under its region's lock while it
/// belongs to none.
#[repr(C, align(64))]
pub struct SlabHeader {
    /// Groups that can be taken up: fresh, or empty and past quarantine.
    pub spare: AtomicU64,
    /// Groups that were not used since the slab was opened: known to be zero.
    pub fresh: AtomicU64,
    /// The list of all slabs of a heap's bin: [`Link`]s.
    pub next: AtomicU32,
    /// See [`next`](SlabHeader::next).
    pub previous: AtomicU32,
    /// The list of those with spare groups, or of those with nothing else.
    pub next_spare: AtomicU32,
    /// See [`next_spare`](SlabHeader::next_spare).
    pub previous_spare: AtomicU32,
    /// One cell of the region's array of free slabs, which is spread over the headers.
    pub free_cell: AtomicU32,
    /// A [`Backing`], [`OPEN`], [`SPLIT`] and [`INSIDE`]; 0 for a slab that nobody has had.
    pub state: AtomicU32,
    /// Index of the heap it belongs to; 0 for none.
    pub owner: AtomicU32,
}

/// The slab's memory is accessible. In [`SlabHeader::state`].
pub const OPEN: u32 = 0x100;

/// Memory from elsewhere was moved into the slab, which is several mappings since. In
/// [`SlabHeader::state`].
pub const SPLIT: u32 = 0x200;

/// The slab is closed by `mprotect` inside a step that is writable, so that it is closed, and not
/// open, that it splits off mappings: the step was locked after it was made. In
/// [`SlabHeader::state`].
pub const INSIDE: u32 = 0x400;

/// The slab was used and stayed accessible when it was closed: what it holds may have been written to
/// since. In [`SlabHeader::state`].
pub const USED: u32 = 0x800;

/// How a slab's memory is made inaccessible.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Backing {
    /// Guard markers in the page table of a writable mapping.
    Marked = 1,
    /// `mprotect` on a part of a reservation.
    Protected = 2,
    /// Mapped when opened, unmapped when closed; nothing is reserved.
    Mapped = 3,
    /// Always accessible: no guard could be had.
    Bare = 4,
}

impl Backing {
    /// From the low byte of [`SlabHeader::state`].
    pub fn of(state: u32) -> Self {
        match state & 0xff {
            1 => Backing::Marked,
            2 => Backing::Protected,
            3 => Backing::Mapped,
            _ => Backing::Bare,
        }
    }
}

/// A slab in a list, or none: its number plus one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Link(pub u32);

impl Link {
    /// A link to this slab.
    pub const fn to(slab: SlabId) -> Link {
        Link(slab.0 + 1)
    }

    /// The slab it leads to.
    pub const fn slab(self) -> Option<SlabId> {
        if self.0 == 0 { None } else { Some(SlabId(self.0 - 1)) }
    }
}

const _: () = assert!(size_of::<SlabHeader>() == HEADER);
const _: () = assert!(size_of::<OwnerPart>() == OWNER && align_of::<OwnerPart>() <= 64);
const _: () = assert!(size_of::<OthersPart>() <= OTHERS && align_of::<OthersPart>() <= 64);

/// The header of a slab.
#[inline]
pub fn header(region: &Region, slab: SlabId) -> &SlabHeader {
    // SAFETY: a `SlabId` is below its region's frontier, up to which metadata is mapped, zeroed
    // when fresh, and never unmapped while the region's plan exists; the plan aligns it to 64;
    // all fields are atomics, so shared references suffice for every access.
    unsafe { &*pointer::<SlabHeader>(region.slab_meta(slab)) }
}

/// The state of one group of a slab. `group` is below the number of groups; one that is not is
/// answered with the group 0, whose records then do not fit (never with foreign memory).
#[inline]
pub fn group(region: &Region, slab: SlabId, group: usize) -> Group<'_> {
    let group = if group < region.shape.groups as usize { group } else { 0 };
    // SAFETY: `at` is inside the slab's metadata by the bound above; otherwise as for `header`.
    unsafe { group_at(group_meta(region, slab, group), region.shape.slots_of(group)) }
}

/// Address of a group's metadata.
#[inline(always)]
pub fn group_meta(region: &Region, slab: SlabId, group: usize) -> usize {
    region.slab_meta(slab) + HEADER + group * region.shape.group_meta as usize
}

/// The group whose metadata is at `at`.
///
/// # Safety
/// `at` came from [`group_meta`] for a slab below its region's frontier, and `slots` is at most the
/// region's `group_slots`: each group has that many records, also a last one with fewer slots.
#[inline(always)]
pub unsafe fn group_at<'m>(at: usize, slots: usize) -> Group<'m> {
    // SAFETY: the caller's; alignment: slab metadata and group metadata are multiples of 64, the
    // owner's part follows 32 bytes later, the records 40 after it, a multiple of 4. All of it is
    // atomics.
    unsafe {
        Group {
            others: &*pointer::<OthersPart>(at),
            own: &*pointer::<OwnerPart>(at + OTHERS),
            records: core::slice::from_raw_parts(
                pointer::<AtomicU32>(at + OTHERS + OWNER).cast_const(),
                slots,
            ),
        }
    }
}
