//! Layer: heap. What is fixed at start-up: the plan, the secrets and the user's hook, in pages of
//! their own that are read-only afterwards.

#![expect(unsafe_code, reason = "interior mutability of the start-up page")]

use super::small::PAGE_SHIFT;
use super::thread_heap::ThreadHeap;
use crate::canary::Key;
use crate::geometry::{MOST_REGIONS, Region, Rung};
use crate::nothing::Extent;
use crate::os::Features;
use crate::policy::Set;
use crate::size_class::CLASSES;
use crate::violation::Violation;
use core::cell::UnsafeCell;
use core::sync::atomic::{AtomicPtr, AtomicU32, AtomicUsize, Ordering};

/// Runs after a violation was reported and before the process is aborted.
pub type Hook = fn(&Violation);

/// Everything that does not change once the heap has started.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct Plan {
    /// Canary key.
    pub key: Key,
    /// Address of the slot span.
    pub slots: usize,
    /// Regions in it.
    pub regions: usize,
    /// log2 of the bytes of a region.
    pub region_shift: u32,
    /// log2 of the page size.
    pub page_shift: u32,
    /// The rung of the ladder that held.
    pub rung: Rung,
    /// What the kernel and the CPU offer.
    pub features: Features,
    /// Address of the state that all threads share.
    pub shared: usize,
    /// Address and length of the metadata span.
    pub meta: (usize, usize),
    /// Start and length of the window of address space for large objects.
    pub large: (usize, usize),
    /// Address and most entries of the table of large objects.
    pub large_table: (usize, usize),
    /// Addresses for objects of no bytes.
    pub nothing: Extent,
    /// Most bytes that a region grows by at once.
    pub most_step: usize,
    /// Most mappings before guards are left out.
    pub most_mappings: usize,
    /// Processors that the process had at its start, at least 2.
    pub processors: usize,
    /// The policy it was started with.
    pub policy: Set,
    /// The policy's name.
    pub policy_name: &'static str,
    /// Runs before a violation is reported.
    pub witness: Option<Hook>,
    /// Runs before the abort.
    pub hook: Option<Hook>,
    /// Runs on slow paths of allocation.
    pub tick: Option<fn()>,
    /// Whether reports name addresses.
    pub addresses: bool,
    /// The regions, one a class and partition.
    pub region: [Region; MOST_REGIONS],
}

impl Plan {
    /// Before start-up: no region, nothing decodes.
    pub const EMPTY: Plan = Plan {
        key: Key::ZERO,
        slots: 0,
        regions: 0,
        region_shift: 12,
        page_shift: 12,
        rung: Rung { region_shift: 0, reserved: false },
        features: Features {
            guards: false,
            seal: false,
            wipe_on_fork: false,
            aes: false,
            avx2: false,
            emulated: false,
        },
        shared: 0,
        meta: (0, 0),
        large: (0, 0),
        large_table: (0, 0),
        nothing: Extent::NONE,
        most_step: 0,
        most_mappings: 0,
        processors: 0,
        policy: Set::NONE,
        policy_name: "",
        witness: None,
        hook: None,
        tick: None,
        addresses: false,
        region: [Region::EMPTY; MOST_REGIONS],
    };
}

/// The start-up page of a heap. A static of this type is a heap that has not started.
///
/// Aligned to the largest page size of the target, and a multiple of it long, so that it shares
/// no page with anything that must stay writable.
#[cfg_attr(target_arch = "x86_64", repr(C, align(4096)))]
#[cfg_attr(not(target_arch = "x86_64"), repr(C, align(65536)))]
pub struct Frozen {
    heaps: AtomicPtr<ThreadHeap>,
    mask: AtomicUsize,
    quick: AtomicUsize,
    ready: AtomicU32,
    plan: UnsafeCell<Plan>,
}

// SAFETY: `plan` is written only by a thread that has a `Turn`, of which there is one, and has then
// found `ready` to be 0, before it sets that with Release; it is read by others only after they
// loaded it with Acquire, or through the heap table, which they reach only after that.
unsafe impl Sync for Frozen {}
// SAFETY: holds no thread's data.
unsafe impl Send for Frozen {}

/// Stands in for the heap table before start-up: nobody owns it.
static NOBODY: ThreadHeap = ThreadHeap::EMPTY;

impl Default for Frozen {
    fn default() -> Self {
        Self::new()
    }
}

impl Frozen {
    /// A heap that has not started.
    pub const fn new() -> Self {
        Frozen {
            heaps: AtomicPtr::new((&raw const NOBODY).cast_mut()),
            mask: AtomicUsize::new(0),
            quick: AtomicUsize::new(0),
            ready: AtomicU32::new(0),
            plan: UnsafeCell::new(Plan::EMPTY),
        }
    }

    /// Whether the heap has started.
    #[inline]
    pub fn is_ready(&self) -> bool {
        self.ready.load(Ordering::Acquire) != 0
    }

    /// Writes the plan, of a heap that has not started.
    pub(super) fn publish(&self, _: &Turn, plan: &Plan, heaps: usize, most_heaps: usize) {
        // SAFETY: there is one turn, so no other writes, and none reads before `set_ready`.
        unsafe { *self.plan.get() = *plan };
        self.mask.store(most_heaps - 1, Ordering::Relaxed);
        // They know regions by the number of the class.
        let whole = plan.regions == CLASSES;
        let quick = whole && plan.page_shift == PAGE_SHIFT && plan.key.is_fast();
        self.quick.store(
            if quick { (most_heaps - 1) << ThreadHeap::SHIFT } else { 0 },
            Ordering::Relaxed,
        );
        self.heaps.store(crate::os::pointer(heaps), Ordering::Release);
    }

    /// Lets everyone in. Last, after the heap table can be used.
    pub(super) fn set_ready(&self, _: &Turn) {
        self.ready.store(1, Ordering::Release);
    }

    /// The plan of a heap that has started.
    pub fn started(&self) -> Option<&Plan> {
        self.is_ready().then(|| self.plan())
    }

    /// The plan: [`Plan::EMPTY`] before start-up.
    ///
    /// A thread that has not yet seen the heap started may see an unfinished plan while another
    /// starts it; every entry therefore goes through [`is_ready`](Frozen::is_ready) or a thread
    /// heap of its own first, except the class look-up, which needs only the page size.
    #[inline(always)]
    pub(crate) fn plan(&self) -> &Plan {
        // SAFETY: see the `Sync` implementation.
        unsafe { &*self.plan.get() }
    }

    /// A heap of the table by number, cut to the table's size.
    #[inline(always)]
    pub(super) fn heap(&self, index: usize) -> &ThreadHeap {
        let table = self.heaps.load(Ordering::Relaxed);
        let index = index & self.mask.load(Ordering::Relaxed);
        // SAFETY: before start-up the mask is 0 and the table is `NOBODY`. Afterwards the index is
        // inside the table; numbers up to the count of heaps made are mapped, and only a corrupted
        // thread-local word holds another: then the access faults, which is the intended end,
        // unless somebody else has mapped memory there, as can be where the table is not (or no
        // longer) reserved. All of it is atomics or guarded by the heap's gate.
        unsafe { &*table.byte_add(index * ThreadHeap::STRIDE) }
    }

    /// The heap that a thread's word names, where the forms for known slot sizes hold; else the
    /// table's first entry, which nobody owns.
    #[inline(always)]
    pub(super) fn quick_heap(&self, word: u32) -> &ThreadHeap {
        let offset = word as usize & self.quick.load(Ordering::Relaxed);
        // SAFETY: as for `heap`: the mask leaves a multiple of the stride below the table's size.
        unsafe { &*self.heaps.load(Ordering::Relaxed).byte_add(offset) }
    }

    /// Most heaps the table can hold.
    pub(super) fn most_heaps(&self) -> usize {
        self.mask.load(Ordering::Relaxed) + 1
    }

    /// Where the page lies, for making it read-only.
    pub(crate) fn extent(&self) -> (usize, usize) {
        ((&raw const *self).expose_provenance(), size_of::<Frozen>())
    }
}

/// The identity of the thread whose turn it is to start a heap, or 0.
///
/// Not in the page that is closed: threads that come just too late still exchange it. Who
/// overwrites it gains nothing: whether a heap has started is in its closed page and is asked
/// first, and again by whose turn it is.
static STARTER: AtomicUsize = AtomicUsize::new(0);

/// The right to start heaps, of which a process has one.
#[must_use]
pub(super) struct Turn(());

impl Turn {
    /// Takes it; otherwise the identity of the thread that has it.
    pub(super) fn take(identity: usize) -> Result<Turn, usize> {
        STARTER
            .compare_exchange(0, identity, Ordering::Acquire, Ordering::Relaxed)
            .map(|_| Turn(()))
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        STARTER.store(0, Ordering::Release);
    }
}
