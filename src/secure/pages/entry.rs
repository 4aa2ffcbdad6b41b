//! Layer: faces. What is known of a buffer with pages of its own, and its memory.
#![expect(unsafe_code, reason = "margins are raw memory")]

use crate::canary::Words;
use crate::secure::backing::{Have, Made};
use crate::secure::margin::{Damage, Margins};
use crate::secure::policy::{Access, Policy};
use crate::secure::protections::{Backing, ForkView};
use crate::secure::root::Fixed;
use crate::violation::Kind;

/// What an entry stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Phase {
    /// Nothing.
    Empty = 0,
    /// A buffer.
    Live,
    /// A freed buffer's range, inaccessible.
    Freed,
    /// A buffer of the process that this one was forked from.
    Inherited,
}

/// One buffer.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct Entry {
    pub start: usize,
    pub size: usize,
    pub made: Made,
    /// Next in the list that it is in: number plus one.
    pub(super) next: u32,
    /// Open for reading and for writing by so many guards.
    pub readers: u32,
    pub writers: u32,
    pub align_shift: u8,
    pub generation: u8,
    pub phase: Phase,
    /// Access without guards, and now.
    pub rest: Access,
    pub now: Access,
    pub policy: Policy,
}

/// The memory of a live entry, which is open: for writing, unless it is only to be compared.
pub fn margins(entry: &Entry) -> Margins {
    let Made { data, data_len, .. } = entry.made;
    // SAFETY: the data pages are the buffer's own, and it lies in them by `Shape`; callers open
    // them for writing before they use this, but for `verify`, which compares alone and looks that
    // they are readable.
    unsafe { Margins::new(data, entry.start, entry.size, data + data_len) }
}

/// The canaries of an entry.
pub fn words(fixed: &Fixed, entry: &Entry) -> Words {
    fixed.key.words(entry.start, entry.generation)
}

impl Damage {
    /// What to call it.
    pub fn kind(self) -> Kind {
        match self {
            Damage::Front => Kind::SecretUnderflow,
            Damage::Back => Kind::Overflow,
        }
    }
}

/// No entry.
pub(super) const EMPTY: Entry = Entry {
    start: 0,
    size: 0,
    made: Made {
        map: 0,
        map_len: 0,
        data: 0,
        data_len: 0,
        have: Have {
            backing: Backing::Unlocked,
            no_dump: false,
            fork: ForkView::Copied,
            markers: false,
        },
    },
    next: 0,
    readers: 0,
    writers: 0,
    align_shift: 0,
    generation: 0,
    phase: Phase::Empty,
    rest: Access::NoAccess,
    now: Access::NoAccess,
    policy: Policy::best_effort(),
};
