//! Layer: heap. The state that all threads of a heap share, out of line: locks, counters, the
//! pool of abandoned heaps, and the word that tells that the process was forked.

#![expect(unsafe_code, reason = "makes a reference into the metadata mapping")]

use super::frozen::{Frozen, Plan};
use crate::geometry::MOST_REGIONS;
use crate::large::LargeState;
use crate::nothing::Nothing;
use crate::os::pointer;
use crate::slab::ground::Ground;
use crate::slab::lock::Lock;
use crate::slab::pool::Pool;
use crate::slab::provider::RegionState;
use crate::slab::recycler::Recycler;
use core::sync::atomic::{AtomicU32, AtomicU64, AtomicUsize};

/// Most heaps of threads that a process can have; further threads share the guest heaps.
pub const MOST_HEAPS: usize = 4096;
/// Guest heaps: numbers 1 to this many in the heap table.
pub const GUESTS: usize = 4;

/// See the module. Starts as zeros.
#[repr(C)]
pub struct SharedState {
    /// The start-up page: [`READ_ONLY`], [`SEALED`].
    pub page: AtomicU32,
    /// 1 while guard markers work.
    pub markers: AtomicU32,
    /// Heaps made, guests included; number 0 is nobody's.
    pub heaps: AtomicU32,
    /// Heaps of threads that are not in this process, which a fork made.
    pub retired: AtomicU32,
    /// Mappings split off by slabs and large objects.
    pub mappings: AtomicUsize,
    /// RLIMIT_AS for which the reservations were last cut; 0 for never.
    pub limit: AtomicUsize,
    /// Objects in slots that were freed by another interface than they were allocated with.
    pub mismatches: AtomicU64,
    /// Claims of zero-size addresses.
    pub nothing: Nothing,
    /// Forks seen, as parent or child.
    pub forks: AtomicU32,
    /// Looks at other heaps ever, see `idle`.
    pub looks: AtomicU32,
    /// Serialises making heaps and cutting reservations.
    pub lock: Lock,
    /// Heaps whose thread has ended.
    pub pool: [AtomicU64; MOST_HEAPS / 64],
    /// Wiped pages that wait for their next address.
    pub recycler: Recycler,
    /// Large objects.
    pub large: LargeState,
    /// One a region.
    pub region: [RegionState; MOST_REGIONS],
}

/// In [`SharedState::page`]: the start-up page was made read-only.
pub const READ_ONLY: u32 = 1;
/// And sealed.
pub const SEALED: u32 = 2;

/// The shared state of a heap that has started.
#[inline(always)]
pub fn shared(frozen: &Frozen) -> &SharedState {
    // SAFETY: only called after start-up, when `plan.shared` is the address of a mapping of the
    // size of `SharedState`, zero when fresh and never unmapped while the heap exists. All of it
    // is atomics.
    unsafe { &*pointer::<SharedState>(frozen.plan().shared) }
}

/// In the fork word: this process knows itself. Identities are multiples of 4.
pub const LIVE: usize = 1;

/// The word that the kernel zeroes in a forked child: [`LIVE`], or in a child 0 until a thread has
/// noticed, then that thread's identity while it starts over.
pub fn fork_word(plan: &Plan) -> &AtomicUsize {
    // SAFETY: only called once the page before the shared state is mapped for this word, which it
    // stays while the heap exists; it starts there, and only atomics use it.
    unsafe { &*pointer::<AtomicUsize>(plan.shared - (1 << plan.page_shift)) }
}

impl SharedState {
    /// The facts that the slab provider needs.
    #[inline]
    pub fn ground<'g>(&'g self, plan: &Plan) -> Ground<'g> {
        Ground {
            page: 1 << plan.page_shift,
            reserved: plan.rung.reserved,
            most_step: plan.most_step,
            markers: &self.markers,
            mappings: &self.mappings,
            most_mappings: plan.most_mappings,
            recycler: &self.recycler,
            window: plan.large,
            limit: &self.limit,
            wide: plan.features.avx2,
        }
    }

    /// The pool of abandoned heaps.
    pub fn pool(&self) -> Pool<'_> {
        Pool::new(&self.pool)
    }
}
