//! Layer: faces. `Casemate`, the type that a program names as its global allocator.

#![expect(unsafe_code, reason = "GlobalAlloc is an unsafe trait")]

use crate::bodies::Bodies;
use crate::heap::{
    ClassStats, Heap, Hook, Options, Outcome, Overall, ProtectionReport, Request, Stats, Usage,
    Verified,
};
use crate::os::Linux;
use crate::policy::{Full, Light, Policy, Set, Strict};
use crate::process::{self, address, or_die};
use crate::record::{Manner, Origin};
use core::alloc::{GlobalAlloc, Layout};
use core::marker::PhantomData;

/// The hardened heap as a Rust global allocator.
///
/// ```
/// #[global_allocator]
/// static HEAP: casemate::Casemate = casemate::Casemate::new();
/// # fn main() { assert_eq!(vec![1, 2, 3].len(), 3); }
/// ```
///
/// A process has one heap, whatever number of `Casemate` values it has. Its policy is that of
/// the first one used; use of one with another policy ends the process.
///
/// # What ends the process
///
/// Every misuse listed in [`Kind`](crate::Kind): one line on standard error, the hook if there is
/// one, then `SIGABRT`. Accesses that meet a guard end it by `SIGSEGV`.
///
/// # Limits
///
/// Linux. Alignments beyond half the address space, and sizes that do not fit it, give null, as
/// does exhausted memory.
pub struct Casemate<P: Policy = Full> {
    options: Options,
    policy: PhantomData<P>,
}

impl<P: Policy> Default for Casemate<P> {
    fn default() -> Self {
        Self::new()
    }
}

impl<P: Policy> Casemate<P> {
    /// The allocator, without hook, whose reports name no address.
    pub const fn new() -> Self {
        let options = Options { for_good: true, ..Options::DEFAULT };
        Casemate { options, policy: PhantomData }
    }

    /// Runs `hook` after a violation was reported and before the process is aborted. Returning
    /// from it still aborts. It runs with the heap in an unknown state: it must not allocate, and
    /// should do no more than write to a descriptor or to memory that it has.
    #[must_use]
    pub const fn with_hook(mut self, hook: Hook) -> Self {
        self.options.hook = Some(hook);
        self
    }

    /// Lets reports name the address concerned. Off by default, since reports are often kept
    /// where more people can read them than may know addresses.
    #[must_use]
    pub const fn with_addresses(mut self) -> Self {
        self.options.addresses = true;
        self
    }
}

/// The heap of a borrowed allocator.
#[inline(always)]
fn heap<P: Policy>(casemate: &Casemate<P>) -> Heap<'_, Linux, P> {
    Heap::new(process::frozen(), &casemate.options)
}

#[inline(always)]
fn manner(layout: Layout) -> Manner {
    Manner::new(layout.align().trailing_zeros(), Origin::Layout)
}

// SAFETY: `Heap::allocate` gives memory of at least the size and alignment asked for that no
// other live object overlaps, until it is freed by `free` or `reallocate`; none of them unwinds.
unsafe impl<P: Policy> GlobalAlloc for Casemate<P> {
    #[inline]
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        Bodies::<P>::allocate(layout.size(), manner(layout), &self.options)
    }

    #[inline]
    unsafe fn dealloc(&self, ptr: *mut u8, layout: Layout) {
        // SAFETY: the caller's: an object of this allocator's and of this layout.
        unsafe { Bodies::<P>::free(ptr.expose_provenance(), layout.size(), manner(layout)) }
    }

    #[inline]
    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's obligations are the same.
        let ptr = unsafe { self.alloc(layout) };
        // Large objects are zero under any policy; most of their pages are not even there yet.
        if !P::SET.has(Set::WIPE) && heap(self).has_slot_at(ptr.addr()) {
            // SAFETY: `ptr` was just allocated with this many bytes: null lies in no slot.
            unsafe { ptr.write_bytes(0, layout.size()) };
        }
        ptr
    }

    #[inline]
    unsafe fn realloc(&self, ptr: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        let old = Request::layout(layout);
        let new = Request { size: new_size, ..old };
        // SAFETY: as for `dealloc`.
        let moved = unsafe { heap(self).reallocate(ptr.expose_provenance(), Some(&old), &new) };
        address(or_die(moved))
    }
}

/// A heap handle that knows the policy in force only at run time: statistics, reports and the
/// walk do not depend on it beyond what the plan records.
macro_rules! with_policy {
    ($call:ident $(, $argument:expr)?) => {{
        let set = process::frozen().plan().policy;
        if set == Strict::SET {
            process::heap::<Linux, Strict>().$call($($argument)?)
        } else if set == Light::SET {
            process::heap::<Linux, Light>().$call($($argument)?)
        } else {
            process::heap::<Linux, Full>().$call($($argument)?)
        }
    }};
}

/// Statistics of the process's heap, gathered without allocating. Everything is zero if no
/// Casemate has been used.
pub fn stats() -> Stats {
    with_policy!(stats)
}

/// The sums of [`stats`], without a system call and with little stack: for reports that are kept
/// up to date while the program runs.
pub fn usage() -> Usage {
    with_policy!(usage)
}

/// The same class by class, for the preload library: see [`crate::inside`].
pub(crate) fn each_class(tell: &mut dyn FnMut(&ClassStats)) {
    with_policy!(each_class, tell);
}

/// The rest of [`stats`].
pub(crate) fn overall() -> Overall {
    with_policy!(overall)
}

/// Which protections are in force in this process.
pub fn protections() -> ProtectionReport {
    with_policy!(protections)
}

/// Walks every invariant of the process's heap that the calling thread can look at; see
/// [`Heap::verify`]. What it finds is returned and does not end the process.
pub fn verify() -> Outcome<Verified> {
    with_policy!(verify)
}
