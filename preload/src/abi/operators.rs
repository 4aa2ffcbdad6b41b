//! C++ `operator new` and `operator delete`, under the names that the Itanium ABI gives them where
//! `size_t` is `unsigned long`.
//!
//! A form that names a size or an alignment is checked against the allocation. `new`, `new[]` and
//! `malloc` are told apart: what is freed by another of them is counted, and fatal under the strict
//! policy.

use super::aligned::named;
use super::frames::{operator, operator_aligned, or_null, or_throw};
use super::{HEAP, USUAL};
use heap::interface::{Claim, Origin, Request};

#[cfg(not(target_pointer_width = "64"))]
compile_error!("the names below say that size_t is unsigned long");

/// `std::nothrow_t const&`.
type NoThrow = *const u8;

/// A request by `new` or `new[]`. A record keeps `new[]` of alignment 1 as 2.
const fn request(size: usize, align: usize, origin: Origin) -> Request {
    let align = if align < 2 { 2 } else { align };
    Request { size, align, origin }
}

/// The origin by its number, as a parameter of functions that assembly names.
extern "C" fn allocate<const ORIGIN: u32>(size: usize) -> *mut u8 {
    HEAP.allocate(request(size, USUAL, Origin::of(ORIGIN)))
}

/// Null for an alignment that is no power of two, which for libstdc++'s own functions too is the
/// same as no memory.
extern "C" fn allocate_aligned<const ORIGIN: u32>(size: usize, align: usize) -> *mut u8 {
    if align.is_power_of_two() {
        HEAP.allocate(request(size, align, Origin::of(ORIGIN)))
    } else {
        core::ptr::null_mut()
    }
}

/// # Safety
/// C++'s: `object` is null or one that its caller may delete.
#[inline(always)]
unsafe fn delete(object: *mut u8, claim: Claim) {
    if !object.is_null() {
        // SAFETY: the caller's.
        unsafe { HEAP.free(object, claim) };
    }
}

/// `delete` in the forms without an alignment.
const fn usual(origin: Origin) -> Claim {
    Claim::usual(origin, USUAL)
}

/// `delete` in the forms with one.
fn aligned(origin: Origin, align: usize) -> Claim {
    named(origin, if align == 1 { 2 } else { align })
}

/// The functions of one of the two kinds: `new` and `delete`, `new[]` and `delete[]`.
macro_rules! operators {
    ($origin:expr, {
        $new:ident = $new_name:literal,
        $new_nothrow:ident = $new_nothrow_name:literal,
        $new_aligned:ident = $new_aligned_name:literal,
        $new_aligned_nothrow:ident = $new_aligned_nothrow_name:literal,
        $delete:ident = $delete_name:literal,
        $delete_nothrow:ident = $delete_nothrow_name:literal,
        $delete_sized:ident = $delete_sized_name:literal,
        $delete_aligned:ident = $delete_aligned_name:literal,
        $delete_aligned_nothrow:ident = $delete_aligned_nothrow_name:literal,
        $delete_aligned_sized:ident = $delete_aligned_sized_name:literal,
    }) => {
        #[unsafe(naked)]
        #[cfg_attr(not(fuzzing), unsafe(export_name = $new_name))]
        pub extern "C-unwind" fn $new(size: usize) -> *mut u8 {
            operator!(
                allocate::<{ $origin as u32 }>,
                allocate_aligned::<{ $origin as u32 }>,
                or_throw
            )
        }

        #[unsafe(naked)]
        #[cfg_attr(not(fuzzing), unsafe(export_name = $new_nothrow_name))]
        pub extern "C" fn $new_nothrow(size: usize, _: NoThrow) -> *mut u8 {
            operator!(
                allocate::<{ $origin as u32 }>,
                allocate_aligned::<{ $origin as u32 }>,
                or_null
            )
        }

        #[unsafe(naked)]
        #[cfg_attr(not(fuzzing), unsafe(export_name = $new_aligned_name))]
        pub extern "C-unwind" fn $new_aligned(size: usize, align: usize) -> *mut u8 {
            operator_aligned!(allocate_aligned::<{ $origin as u32 }>, or_throw)
        }

        #[unsafe(naked)]
        #[cfg_attr(not(fuzzing), unsafe(export_name = $new_aligned_nothrow_name))]
        pub extern "C" fn $new_aligned_nothrow(size: usize, align: usize, _: NoThrow) -> *mut u8 {
            operator_aligned!(allocate_aligned::<{ $origin as u32 }>, or_null)
        }

        /// # Safety
        /// C++'s: `object` is null or one that its caller may delete.
        #[cfg_attr(not(fuzzing), unsafe(export_name = $delete_name))]
        pub unsafe extern "C" fn $delete(object: *mut u8) {
            // SAFETY: the caller's.
            unsafe { delete(object, usual($origin)) };
        }

        /// # Safety
        /// C++'s: `object` is null or one that its caller may delete.
        #[cfg_attr(not(fuzzing), unsafe(export_name = $delete_nothrow_name))]
        pub unsafe extern "C" fn $delete_nothrow(object: *mut u8, _: NoThrow) {
            // SAFETY: the caller's.
            unsafe { delete(object, usual($origin)) };
        }

        /// # Safety
        /// C++'s: `object` is null or one that its caller may delete.
        #[cfg_attr(not(fuzzing), unsafe(export_name = $delete_sized_name))]
        pub unsafe extern "C" fn $delete_sized(object: *mut u8, size: usize) {
            // SAFETY: the caller's.
            unsafe { delete(object, usual($origin).sized(size)) };
        }

        /// # Safety
        /// C++'s: `object` is null or one that its caller may delete.
        #[cfg_attr(not(fuzzing), unsafe(export_name = $delete_aligned_name))]
        pub unsafe extern "C" fn $delete_aligned(object: *mut u8, align: usize) {
            // SAFETY: the caller's.
            unsafe { delete(object, aligned($origin, align)) };
        }

        /// # Safety
        /// C++'s: `object` is null or one that its caller may delete.
        #[cfg_attr(not(fuzzing), unsafe(export_name = $delete_aligned_nothrow_name))]
        pub unsafe extern "C" fn $delete_aligned_nothrow(
            object: *mut u8,
            align: usize,
            _: NoThrow,
        ) {
            // SAFETY: the caller's.
            unsafe { delete(object, aligned($origin, align)) };
        }

        /// # Safety
        /// C++'s: `object` is null or one that its caller may delete.
        #[cfg_attr(not(fuzzing), unsafe(export_name = $delete_aligned_sized_name))]
        pub unsafe extern "C" fn $delete_aligned_sized(object: *mut u8, size: usize, align: usize) {
            // SAFETY: the caller's.
            unsafe { delete(object, aligned($origin, align).sized(size)) };
        }
    };
}

operators!(Origin::New, {
    new = "_Znwm",
    new_nothrow = "_ZnwmRKSt9nothrow_t",
    new_aligned = "_ZnwmSt11align_val_t",
    new_aligned_nothrow = "_ZnwmSt11align_val_tRKSt9nothrow_t",
    delete_one = "_ZdlPv",
    delete_nothrow = "_ZdlPvRKSt9nothrow_t",
    delete_sized = "_ZdlPvm",
    delete_aligned = "_ZdlPvSt11align_val_t",
    delete_aligned_nothrow = "_ZdlPvSt11align_val_tRKSt9nothrow_t",
    delete_aligned_sized = "_ZdlPvmSt11align_val_t",
});

operators!(Origin::NewArray, {
    new_array = "_Znam",
    new_array_nothrow = "_ZnamRKSt9nothrow_t",
    new_array_aligned = "_ZnamSt11align_val_t",
    new_array_aligned_nothrow = "_ZnamSt11align_val_tRKSt9nothrow_t",
    delete_array = "_ZdaPv",
    delete_array_nothrow = "_ZdaPvRKSt9nothrow_t",
    delete_array_sized = "_ZdaPvm",
    delete_array_aligned = "_ZdaPvSt11align_val_t",
    delete_array_aligned_nothrow = "_ZdaPvSt11align_val_tRKSt9nothrow_t",
    delete_array_aligned_sized = "_ZdaPvmSt11align_val_t",
});
