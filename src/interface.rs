//! Layer: faces. The process's heap for interfaces other than `GlobalAlloc`: the C ABI.
//!
//! Programs use [`Casemate`](crate::Casemate).

#![expect(unsafe_code, reason = "frees; zeroes what a policy that does not wipe hands out")]

use crate::bodies::Bodies;
use crate::heap::{Heap, Hook, Options};
use crate::os::Linux;
use crate::policy::{Policy, Set};
use crate::process::{self, address, or_die};
use crate::record::Manner;
use core::marker::PhantomData;

pub use crate::heap::Access;
pub use crate::record::Origin;
pub use crate::request::{Claim, Request};

/// The process's heap under a policy. Misuse ends the process, as with
/// [`Casemate`](crate::Casemate), of which this is the form for other interfaces.
///
/// What acts upon an address is unsafe, here and in [`Heap`]: it may be that of an object which
/// other code uses.
///
/// ```
/// # use casemate::interface::{Claim, Interface};
/// static HEAP: Interface<casemate::Full> = Interface::new(|_| {}, |_| {}, || {});
/// let free = |object: *mut u8| unsafe { HEAP.free(object, Claim::ANY) };
/// let resize = |object, to| unsafe { HEAP.reallocate(object, Claim::ANY, to) };
/// let take_over = |object| unsafe { HEAP.take_over(object) };
/// # let _ = (free, resize, take_over);
/// ```
/// ```compile_fail,E0133
/// # use casemate::interface::{Claim, Interface};
/// # static HEAP: Interface<casemate::Full> = Interface::new(|_| {}, |_| {}, || {});
/// let free = |object: *mut u8| HEAP.free(object, Claim::ANY);
/// ```
/// ```compile_fail,E0133
/// # use casemate::interface::{Claim, Interface};
/// # static HEAP: Interface<casemate::Full> = Interface::new(|_| {}, |_| {}, || {});
/// let resize = |object, to| HEAP.reallocate(object, Claim::ANY, to);
/// ```
/// ```compile_fail,E0133
/// # use casemate::interface::{Claim, Interface};
/// # static HEAP: Interface<casemate::Full> = Interface::new(|_| {}, |_| {}, || {});
/// let take_over = |object| HEAP.take_over(object);
/// ```
pub struct Interface<P: Policy> {
    options: Options,
    policy: PhantomData<P>,
}

impl<P: Policy> Interface<P> {
    /// A heap that runs `witness` when it has found a violation, `hook` between the report of it
    /// and the end, and `tick` on slow paths of allocation, see [`Options`].
    pub const fn new(witness: Hook, hook: Hook, tick: fn()) -> Self {
        let options = Options {
            witness: Some(witness),
            hook: Some(hook),
            tick: Some(tick),
            addresses: false,
            for_good: true,
        };
        Interface { options, policy: PhantomData }
    }

    #[inline(always)]
    fn heap(&self) -> Heap<'_, Linux, P> {
        Heap::new(process::frozen(), &self.options)
    }

    /// Memory for a request, or null. All zero, unless the policy does not wipe.
    #[inline(always)]
    pub fn allocate(&self, request: Request) -> *mut u8 {
        if request.size == 0 {
            return self.allocate_nothing(request.align, request.origin);
        }
        // An alignment that is none counts as the power of two that divides it.
        let manner = Manner::new(request.align.trailing_zeros() & 63, request.origin);
        Bodies::<P>::allocate(request.size, manner, &self.options)
    }

    #[cold]
    fn allocate_nothing(&self, align: usize, origin: Origin) -> *mut u8 {
        let align = 1 << (align.trailing_zeros() & 63);
        address(or_die(self.heap().allocate_nothing(Request { size: 0, align, origin })))
    }

    /// The same, all zero under any policy.
    #[inline(always)]
    pub fn allocate_zeroed(&self, request: Request) -> *mut u8 {
        let object = self.allocate(request);
        // Large objects are zero under any policy; most of their pages are not even there yet.
        if !P::SET.has(Set::WIPE) && self.heap().has_slot_at(object.addr()) {
            // SAFETY: just allocated with this many bytes: neither null nor the address of an
            // object of none lies in a slot.
            unsafe { object.write_bytes(0, request.size) };
        }
        object
    }

    /// Frees an object of which the caller says this. Not null.
    ///
    /// # Safety
    /// That of [`Heap::free`].
    #[inline(always)]
    pub unsafe fn free(&self, object: *mut u8, claim: Claim) {
        let at = object.expose_provenance();
        // SAFETY: the caller's.
        unsafe {
            match claim.manner() {
                Some((manner, Some(size), true)) => Bodies::<P>::free(at, size, manner),
                Some((manner, None, align)) => Bodies::<P>::free_any(at, manner, align),
                _ => or_die(self.heap().free_claiming(at, claim)),
            }
        }
    }

    /// Gives an object, of which the caller says this, another size. Null: no memory, and the
    /// object stays as it is.
    ///
    /// # Safety
    /// That of [`Heap::reallocate`].
    pub unsafe fn reallocate(&self, object: *mut u8, claim: Claim, new: Request) -> *mut u8 {
        let at = object.expose_provenance();
        // SAFETY: the caller's.
        address(or_die(unsafe { self.heap().reallocate_claiming(at, claim, &new) }))
    }

    /// The bytes of an object that the program may use, and does from now on; see
    /// [`Heap::take_over`].
    ///
    /// # Safety
    /// That of [`Heap::take_over`].
    pub unsafe fn take_over(&self, object: *mut u8) -> usize {
        // SAFETY: the caller's.
        or_die(unsafe { self.heap().take_over(object.expose_provenance()) })
    }

    /// The most bytes that may be accessed from here on; see [`Heap::bytes_behind`].
    #[inline(always)]
    pub fn bytes_behind(&self, at: *const u8) -> usize {
        self.heap().bytes_behind(at.expose_provenance())
    }

    /// The same, with large objects; see [`Heap::object_size`].
    pub fn object_size(&self, at: *const u8) -> usize {
        self.heap().object_size(at.expose_provenance())
    }

    /// Whether the address lies where this heap's slots are, and is worth the following looks.
    #[inline(always)]
    pub fn has_slot_at<T>(&self, at: *const T) -> bool {
        self.heap().has_slot_at(at.addr())
    }

    /// Whether `len` bytes from `at` on may be read or written, as far as this heap can tell at
    /// once; see [`Heap::may_access`].
    #[inline(always)]
    pub fn may_access<T>(&self, at: *const T, len: usize) -> bool {
        self.heap().may_access(at.addr(), len)
    }

    /// Ends the process if an access to these bytes is wrong.
    #[cold]
    #[inline(never)]
    pub fn check_access(&self, at: usize, len: usize, access: Access) {
        or_die(self.heap().check_access(at, len, access));
    }

    /// Gives back the memory of every empty slab that the calling thread can reach. False if there
    /// was none. In slabs without objects 8 younger frees of the class end the wait of a freed slot;
    /// what goes on waiting there has its memory given back, which is not told.
    pub fn trim(&self) -> bool {
        or_die(self.heap().trim())
    }
}
