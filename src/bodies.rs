//! Layer: faces. Which body of allocate and free serves a small request: one indirect jump by the
//! size in units of 8 bytes or, where the caller does not tell the size, by the region.
//!
//! The tables lie in memory that is read-only once the program is loaded. Bodies are entered by a
//! jump and leave what they cannot do to a `rest` in the same way, so they need no stack of their
//! own up to 528 bytes.

#![expect(unsafe_code, reason = "the tables promise their bodies the size; frees")]

use crate::geometry::SlotId;
use crate::heap::{Claim, Freed, Heap, Options, PAGE_SHIFT, Request, SMALL};
use crate::os::Linux;
use crate::policy::Policy;
use crate::process::{self, address, or_die};
use crate::record::{Manner, Origin};
use crate::size_class::{SizeClass, classify};
use core::marker::PhantomData;

type Allocate = fn(usize, Manner, &Options) -> *mut u8;
type Free = unsafe fn(usize, usize, Manner);
type FreeAny = unsafe fn(usize, Manner, bool);

/// Entries of the tables by size, and by region.
const SIZES: usize = 1 + SMALL / 8;
const REGIONS: usize = match classify(SMALL, 1, PAGE_SHIFT) {
    Some(class) => class.index() + 1,
    None => panic!(),
};

/// The slot of the class that serves a request, at alignments up to 16.
const fn slot_for(size: usize) -> usize {
    match classify(size, 1, PAGE_SHIFT) {
        Some(class) => class.slot(PAGE_SHIFT),
        None => 0,
    }
}

/// The slot of a region: where there are no partitions, regions are numbered as classes are.
const fn slot_in(region: usize) -> usize {
    match SizeClass::new(region) {
        Some(class) => class.slot(PAGE_SHIFT),
        None => 0,
    }
}

/// The body for a slot of this size, if there is one.
macro_rules! body_for {
    ($slot:expr, $body:ident, $rest:ident) => {
        match $slot {
            16 => Self::$body::<16>,
            32 => Self::$body::<32>,
            48 => Self::$body::<48>,
            64 => Self::$body::<64>,
            80 => Self::$body::<80>,
            96 => Self::$body::<96>,
            112 => Self::$body::<112>,
            128 => Self::$body::<128>,
            144 => Self::$body::<144>,
            160 => Self::$body::<160>,
            176 => Self::$body::<176>,
            192 => Self::$body::<192>,
            224 => Self::$body::<224>,
            240 => Self::$body::<240>,
            272 => Self::$body::<272>,
            320 => Self::$body::<320>,
            384 => Self::$body::<384>,
            448 => Self::$body::<448>,
            528 => Self::$body::<528>,
            640 => Self::$body::<640>,
            752 => Self::$body::<752>,
            912 => Self::$body::<912>,
            1088 => Self::$body::<1088>,
            1280 => Self::$body::<1280>,
            1536 => Self::$body::<1536>,
            1792 => Self::$body::<1792>,
            2112 => Self::$body::<2112>,
            2496 => Self::$body::<2496>,
            2944 => Self::$body::<2944>,
            3520 => Self::$body::<3520>,
            4160 => Self::$body::<4160>,
            _ => Self::$rest,
        }
    };
}

/// See the module.
pub(crate) struct Bodies<P: Policy>(PhantomData<P>);

impl<P: Policy> Bodies<P> {
    const ALLOCATE: [Allocate; SIZES] = {
        let mut table: [Allocate; SIZES] = [Self::allocate_rest; SIZES];
        let mut i = 1;
        while i < table.len() {
            table[i] = body_for!(slot_for(i * 8), allocate_of, allocate_rest);
            i += 1;
        }
        table
    };

    const FREE: [Free; SIZES] = {
        let mut table: [Free; SIZES] = [Self::free_rest; SIZES];
        let mut i = 1;
        while i < table.len() {
            table[i] = body_for!(slot_for(i * 8), free_of, free_rest);
            i += 1;
        }
        table
    };

    const FREE_ANY: [FreeAny; REGIONS] = {
        let mut table: [FreeAny; REGIONS] = [Self::free_any_rest; REGIONS];
        let mut i = 0;
        while i < table.len() {
            table[i] = body_for!(slot_in(i), free_any_of, free_any_rest);
            i += 1;
        }
        table
    };

    /// Memory for a request, or null.
    #[inline(always)]
    pub(crate) fn allocate(size: usize, manner: Manner, options: &Options) -> *mut u8 {
        match Self::ALLOCATE.get(size.wrapping_add(7) >> 3) {
            Some(body) if manner.align() <= 16 => body(size, manner, options),
            _ => Self::allocate_rest(size, manner, options),
        }
    }

    /// Frees an object of this size.
    ///
    /// # Safety
    /// That of [`Heap::free`].
    #[inline(always)]
    pub(crate) unsafe fn free(at: usize, size: usize, manner: Manner) {
        // SAFETY: the caller's; the table is entered by the size.
        unsafe {
            match Self::FREE.get(size.wrapping_add(7) >> 3) {
                Some(body) => body(at, size, manner),
                None => Self::free_rest(at, size, manner),
            }
        }
    }

    /// Frees an object of this origin and, if `align`, this alignment.
    ///
    /// # Safety
    /// That of [`Heap::free`].
    #[inline(always)]
    pub(crate) unsafe fn free_any(at: usize, manner: Manner, align: bool) {
        let plan = process::frozen().plan();
        // SAFETY: the caller's.
        unsafe {
            match Self::FREE_ANY.get(at.wrapping_sub(plan.slots) >> (plan.region_shift & 63)) {
                Some(body) => body(at, manner, align),
                None => Self::free_any_rest(at, manner, align),
            }
        }
    }

    #[inline(always)]
    fn heap() -> Heap<'static, Linux, P> {
        process::heap()
    }

    fn allocate_of<const LEN: usize>(size: usize, manner: Manner, options: &Options) -> *mut u8 {
        // SAFETY: the table has this body for sizes of its class only, and `allocate` comes here by
        // the size, with alignments up to 16.
        match unsafe { Self::heap().allocate_of::<LEN>(size, manner) } {
            Some(object) => object.as_ptr(),
            None => Self::allocate_rest(size, manner, options),
        }
    }

    /// # Safety
    /// That of [`Heap::free`], and the size is one of the body's class: so for those that follow.
    unsafe fn free_of<const LEN: usize>(at: usize, size: usize, manner: Manner) {
        // SAFETY: the table has this body for sizes of its class only, and `free` comes here by the
        // size; the rest is the caller's.
        unsafe {
            match Self::heap().free_of::<LEN>(at, size, manner) {
                Some(Freed::Done) => {}
                Some(Freed::Ripe) => Self::free_ripe(at),
                Some(Freed::Remote(id)) => Self::free_remote(at, size, manner, id),
                None => Self::free_rest(at, size, manner),
            }
        }
    }

    unsafe fn free_any_of<const LEN: usize>(at: usize, manner: Manner, align: bool) {
        // SAFETY: the caller's.
        unsafe {
            match Self::heap().free_any_of::<LEN>(at, manner, align) {
                Some(Freed::Done) => {}
                Some(Freed::Ripe) => Self::free_ripe(at),
                Some(Freed::Remote(id)) => Self::free_any_remote(at, manner, align, id),
                None => Self::free_any_rest(at, manner, align),
            }
        }
    }

    #[inline(never)]
    fn allocate_rest(size: usize, manner: Manner, options: &Options) -> *mut u8 {
        let heap = Heap::<Linux, P>::new(process::frozen(), options);
        let request = Request { size, align: manner.align(), origin: manner.origin() };
        address(or_die(heap.allocate(request)))
    }

    #[cold]
    #[inline(never)]
    fn free_ripe(at: usize) {
        or_die(Self::heap().free_ripe(at));
    }

    #[inline(never)]
    unsafe fn free_rest(at: usize, size: usize, manner: Manner) {
        // SAFETY: the caller's.
        or_die(unsafe { Self::heap().free_claiming(at, sized(manner).sized(size)) });
    }

    #[inline(never)]
    unsafe fn free_remote(at: usize, size: usize, manner: Manner, id: SlotId) {
        or_die(Self::heap().free_remote(at, id, sized(manner).sized(size)));
    }

    #[inline(never)]
    unsafe fn free_any_rest(at: usize, manner: Manner, align: bool) {
        // SAFETY: the caller's.
        or_die(unsafe { Self::heap().free_claiming(at, unsized_claim(manner, align)) });
    }

    #[inline(never)]
    unsafe fn free_any_remote(at: usize, manner: Manner, align: bool, id: SlotId) {
        or_die(Self::heap().free_remote(at, id, unsized_claim(manner, align)));
    }
}

/// A caller that names the size names the alignment too, but for C and C++: there it is the one of
/// the forms without.
fn sized(manner: Manner) -> Claim {
    match manner.origin() {
        Origin::Layout => Claim::aligned(Origin::Layout, manner.align()),
        origin => Claim::usual(origin, manner.align()),
    }
}

fn unsized_claim(manner: Manner, align: bool) -> Claim {
    if align { Claim::usual(manner.origin(), manner.align()) } else { Claim::from(manner.origin()) }
}
