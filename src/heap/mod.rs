//! Layer: heap. The heap as a value: routing of requests, thread heaps, guests, delayed reuse,
//! adoption, forks, statistics.
//!
//! ```text
//! alloc ──► class ──► own heap? ──yes──► magazine ──► slot            alloc.rs
//!                        │no                └─empty──► refill.rs
//!                        └──► guest heap, under its lock              entry.rs
//! free ───► decode ──► own group? ──yes──► check, wipe, clear live    free.rs
//!             │           └──no──► claim, check, wipe, hand over
//!             └──► not in a region: large object or violation
//! ```

mod alloc;
mod bin;
mod claim;
mod decay;
mod earn;
#[cfg(test)]
mod emptied;
mod entry;
mod fast;
mod fold;
mod fork;
mod free;
mod frozen;
mod guarded;
#[cfg(test)]
mod held;
mod idle;
mod list;
#[cfg(test)]
mod lost;
mod nothing;
mod overall;
mod patience;
mod queue;
mod realloc;
mod refill;
mod reuse;
mod shared;
mod slabs;
mod small;
mod start;
#[cfg(test)]
mod starting;
mod stats;
pub(crate) mod thread_heap;
mod trim;
mod usable;
mod usage;
mod verify;

pub use crate::request::{Claim, Outcome, Request};
pub use alloc::Object;
pub(crate) use fast::Freed;
pub use frozen::{Frozen, Hook, Plan};
pub use guarded::Access;
pub use overall::{Overall, table};
pub use patience::quarantine;
pub use small::{PAGE_SHIFT, SMALL};
pub use start::Options;
pub use stats::{ClassStats, ProtectionReport, Stats};
pub use usage::Usage;
pub use verify::Verified;

use crate::geometry::MOST_PARTITIONS;
use crate::os::Os;
use crate::policy::Policy;
use crate::size_class::{CLASSES, SizeClass};
use core::marker::PhantomData;
use shared::SharedState;

/// A heap over an operating system, under a policy: a handle to its start-up page.
///
/// A process has one as its allocator ([`crate::Casemate`]); fuzzers and tests make their own
/// from a [`Frozen`] of theirs.
pub struct Heap<'f, O: Os, P: Policy> {
    frozen: &'f Frozen,
    options: &'f Options,
    kind: PhantomData<(O, P)>,
}

impl<O: Os, P: Policy> Clone for Heap<'_, O, P> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<O: Os, P: Policy> Copy for Heap<'_, O, P> {}

impl<'f, O: Os, P: Policy> Heap<'f, O, P> {
    /// The heap of this start-up page, started with these options at its first use.
    #[inline(always)]
    pub const fn new(frozen: &'f Frozen, options: &'f Options) -> Self {
        const { assert!(P::PARTITIONS >= 1 && P::PARTITIONS <= MOST_PARTITIONS) };
        Heap { frozen, options, kind: PhantomData }
    }

    #[inline(always)]
    fn plan(&self) -> &'f Plan {
        self.frozen.plan()
    }

    /// The shared state; the heap has started.
    #[inline(always)]
    fn shared(&self) -> &'f SharedState {
        shared::shared(self.frozen)
    }

    /// Whether regions are numbered as under this policy: not before start-up, nor in a heap that
    /// was started under one with another number of partitions.
    #[inline(always)]
    fn has_regions_of_policy(&self) -> bool {
        self.plan().regions == CLASSES * P::PARTITIONS
    }

    /// The region that serves a class, for a request: with partitions, one of several, chosen by
    /// a keyed function of size and alignment.
    #[inline(always)]
    fn region_of(&self, class: SizeClass, request: &Request) -> usize {
        if P::PARTITIONS == 1 {
            return class.index();
        }
        let which = self.plan().key.words(request.size << 8 | request.align & 0xff, 0).tail() >> 16;
        class.index() * P::PARTITIONS + which as usize % P::PARTITIONS
    }
}
