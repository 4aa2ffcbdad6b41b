//! Layer: faces. `Casemate`, the type that a program names as its global allocator.

#![expect(unsafe_code, reason = "GlobalAlloc is an unsafe trait")]

use crate::fatal::fatal;
use crate::geometry::SlotId;
use crate::heap::{
    Freed, Heap, Hook, Options, Outcome, PAGE_SHIFT, ProtectionReport, Request, SMALL, Stats,
    Verified,
};
use crate::os::Linux;
use crate::policy::{Full, Light, Policy, Set, Strict};
use crate::process;
use crate::record::Origin;
use crate::size_class::classify;
use core::alloc::{GlobalAlloc, Layout};
use core::marker::PhantomData;
use core::ptr::{NonNull, null_mut};

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
        let options = Options { hook: None, addresses: false, for_good: true };
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

/// What an operation gives, or the end.
#[inline(always)]
fn or_die<T>(outcome: Outcome<T>) -> T {
    match outcome {
        Ok(value) => value,
        Err(violation) => fatal::<Linux>(process::frozen().plan(), &violation),
    }
}

#[inline(always)]
fn address(object: Option<NonNull<u8>>) -> *mut u8 {
    object.map_or(null_mut(), NonNull::as_ptr)
}

/// What the small forms leave. Not inlined, and called last, so that these need no stack.
#[inline(never)]
fn alloc_rest<P: Policy>(size: usize, align: usize, options: &Options) -> *mut u8 {
    let heap = Heap::<Linux, P>::new(process::frozen(), options);
    address(or_die(heap.allocate(Request { size, align, origin: Origin::Layout })))
}

/// See [`alloc_rest`].
#[inline(never)]
fn free_rest<P: Policy>(at: usize, size: usize, align: usize) {
    let heap = process::heap::<Linux, P>();
    or_die(heap.free(at, Some(Request { size, align, origin: Origin::Layout })));
}

/// See [`alloc_rest`].
#[inline(never)]
fn free_remote<P: Policy>(at: usize, size: usize, align: usize, id: SlotId) {
    let request = Request { size, align, origin: Origin::Layout };
    or_die(process::heap::<Linux, P>().free_remote(at, id, Some(request)));
}

type Alloc = fn(usize, usize, &Options) -> *mut u8;
type Free = fn(usize, usize, usize);

/// The slot that serves a request, at alignments up to 16.
const fn slot_of(size: usize) -> usize {
    match classify(size, 1, PAGE_SHIFT) {
        Some(class) => class.slot(PAGE_SHIFT),
        None => 0,
    }
}

/// Allocation and free by size in units of 8 bytes, rounded up: one body a slot size. The tables
/// lie in memory that is read-only once the program is loaded.
struct Small<P>(PhantomData<P>);

impl<P: Policy> Small<P> {
    const ALLOC: [Alloc; 1 + SMALL / 8] = {
        let mut table = [alloc_rest::<P> as Alloc; 1 + SMALL / 8];
        let mut i = 1;
        while i < table.len() {
            table[i] = match slot_of(i * 8) {
                16 => Self::alloc::<16>,
                32 => Self::alloc::<32>,
                48 => Self::alloc::<48>,
                64 => Self::alloc::<64>,
                80 => Self::alloc::<80>,
                96 => Self::alloc::<96>,
                112 => Self::alloc::<112>,
                128 => Self::alloc::<128>,
                144 => Self::alloc::<144>,
                160 => Self::alloc::<160>,
                176 => Self::alloc::<176>,
                192 => Self::alloc::<192>,
                224 => Self::alloc::<224>,
                240 => Self::alloc::<240>,
                272 => Self::alloc::<272>,
                320 => Self::alloc::<320>,
                384 => Self::alloc::<384>,
                448 => Self::alloc::<448>,
                528 => Self::alloc::<528>,
                _ => panic!(),
            };
            i += 1;
        }
        table
    };

    const FREE: [Free; 1 + SMALL / 8] = {
        let mut table = [free_rest::<P> as Free; 1 + SMALL / 8];
        let mut i = 1;
        while i < table.len() {
            table[i] = match slot_of(i * 8) {
                16 => Self::free::<16>,
                32 => Self::free::<32>,
                48 => Self::free::<48>,
                64 => Self::free::<64>,
                80 => Self::free::<80>,
                96 => Self::free::<96>,
                112 => Self::free::<112>,
                128 => Self::free::<128>,
                144 => Self::free::<144>,
                160 => Self::free::<160>,
                176 => Self::free::<176>,
                192 => Self::free::<192>,
                224 => Self::free::<224>,
                240 => Self::free::<240>,
                272 => Self::free::<272>,
                320 => Self::free::<320>,
                384 => Self::free::<384>,
                448 => Self::free::<448>,
                528 => Self::free::<528>,
                _ => panic!(),
            };
            i += 1;
        }
        table
    };

    fn alloc<const LEN: usize>(size: usize, align: usize, options: &Options) -> *mut u8 {
        let heap = process::heap::<Linux, P>();
        // SAFETY: by its place in the table.
        match unsafe { heap.allocate_of::<LEN>(size, align, Origin::Layout) } {
            Some(object) => object.as_ptr(),
            None => alloc_rest::<P>(size, align, options),
        }
    }

    fn free<const LEN: usize>(at: usize, size: usize, align: usize) {
        let heap = process::heap::<Linux, P>();
        // SAFETY: by its place in the table.
        match unsafe { heap.free_of::<LEN>(at, size, align, Origin::Layout) } {
            Some(Freed::Done) => {}
            Some(Freed::Remote(id)) => free_remote::<P>(at, size, align, id),
            _ => free_rest::<P>(at, size, align),
        }
    }
}

// SAFETY: `Heap::allocate` gives memory of at least the size and alignment asked for that no
// other live object overlaps, until it is freed by `free` or `reallocate`; none of them unwinds.
unsafe impl<P: Policy> GlobalAlloc for Casemate<P> {
    #[inline]
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let (size, align) = (layout.size(), layout.align());
        match Small::<P>::ALLOC.get(size.wrapping_add(7) >> 3) {
            Some(alloc) => alloc(size, align, &self.options),
            None => alloc_rest::<P>(size, align, &self.options),
        }
    }

    #[inline]
    unsafe fn dealloc(&self, ptr: *mut u8, layout: Layout) {
        let (at, size, align) = (ptr.expose_provenance(), layout.size(), layout.align());
        match Small::<P>::FREE.get(size.wrapping_add(7) >> 3) {
            Some(free) => free(at, size, align),
            None => free_rest::<P>(at, size, align),
        }
    }

    #[inline]
    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's obligations are the same.
        let ptr = unsafe { self.alloc(layout) };
        if !P::SET.has(Set::WIPE) && !ptr.is_null() {
            // SAFETY: `ptr` was just allocated with this many bytes.
            unsafe { ptr.write_bytes(0, layout.size()) };
        }
        ptr
    }

    #[inline]
    unsafe fn realloc(&self, ptr: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        let old = Request::layout(layout);
        let new = Request { size: new_size, ..old };
        address(or_die(heap(self).reallocate(ptr.expose_provenance(), Some(&old), &new)))
    }
}

/// A heap handle that knows the policy in force only at run time: statistics, reports and the
/// walk do not depend on it beyond what the plan records.
macro_rules! with_policy {
    ($call:ident) => {{
        let set = process::frozen().plan().policy;
        if set == Strict::SET {
            process::heap::<Linux, Strict>().$call()
        } else if set == Light::SET {
            process::heap::<Linux, Light>().$call()
        } else {
            process::heap::<Linux, Full>().$call()
        }
    }};
}

/// Statistics of the process's heap, gathered without allocating. Everything is zero if no
/// Casemate has been used.
pub fn stats() -> Stats {
    with_policy!(stats)
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
