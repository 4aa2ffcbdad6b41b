//! C++ `operator new` and `operator delete`, under the names that the Itanium ABI gives them where
//! `size_t` is `unsigned long`.
//!
//! A form that names a size or an alignment is checked against the allocation. `new`, `new[]` and
//! `malloc` are told apart, and the aligned forms, but for alignment 16: what is freed by another of them
//! is counted, and fatal under the strict policy.
//!
//! A form that C++ makes of another is served here directly, unless the program has replaced that
//! other one: then it is called (`replaced`).

use super::aligned::named;
use super::frames::{
    alias, forward, operator, operator_aligned, or_null, or_program, or_program_null, or_throw,
};
use super::{HEAP, USUAL, replaced};
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

/// Null for an alignment that is no power of two, as without memory: the new-handler is called, which
/// libstdc++'s own functions do not do before they throw or give null.
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

/// A label by which this library's own function is known, whatever the program exports.
macro_rules! label {
    ($own:literal) => {
        concat!(".globl ", $own, "\n.hidden ", $own, "\n", $own, ":")
    };
}

/// The functions of one of the two kinds: `new` and `delete`, `new[]` and `delete[]`. `before` is
/// what their code begins with: the label of those that a program may replace, or the way to them.
macro_rules! operators {
    ($origin:expr, $program:ident, $program_aligned:ident, {
        $new:ident = $new_name:literal, before $new_before:expr,
        $new_nothrow:ident = $new_nothrow_name:literal, before $new_nothrow_before:expr,
        $new_aligned:ident = $new_aligned_name:literal, before $new_aligned_before:expr,
        $new_aligned_nothrow:ident = $new_aligned_nothrow_name:literal,
            before $new_aligned_nothrow_before:expr,
        $delete:ident = $delete_name:literal, before $delete_before:expr, is $delete_here:ident,
        $delete_nothrow:ident = $delete_nothrow_name:literal,
        $delete_sized:ident = $delete_sized_name:literal,
        $delete_aligned:ident = $delete_aligned_name:literal, before $delete_aligned_before:expr,
            is $delete_aligned_here:ident,
        $delete_aligned_nothrow:ident = $delete_aligned_nothrow_name:literal,
        $delete_aligned_sized:ident = $delete_aligned_sized_name:literal,
    }) => {
        #[unsafe(naked)]
        #[cfg_attr(not(fuzzing), unsafe(export_name = $new_name))]
        pub extern "C-unwind" fn $new(size: usize) -> *mut u8 {
            operator!(
                $new_before,
                allocate::<{ $origin as u32 }>,
                allocate_aligned::<{ $origin as u32 }>,
                or_throw
            )
        }

        #[unsafe(naked)]
        #[cfg_attr(not(fuzzing), unsafe(export_name = $new_nothrow_name))]
        pub extern "C" fn $new_nothrow(size: usize, _: NoThrow) -> *mut u8 {
            operator!(
                $new_nothrow_before,
                allocate::<{ $origin as u32 }>,
                allocate_aligned::<{ $origin as u32 }>,
                or_null,
                forward
            )
        }

        #[unsafe(naked)]
        #[cfg_attr(not(fuzzing), unsafe(export_name = $new_aligned_name))]
        pub extern "C-unwind" fn $new_aligned(size: usize, align: usize) -> *mut u8 {
            operator_aligned!($new_aligned_before, allocate_aligned::<{ $origin as u32 }>, or_throw)
        }

        #[unsafe(naked)]
        #[cfg_attr(not(fuzzing), unsafe(export_name = $new_aligned_nothrow_name))]
        pub extern "C" fn $new_aligned_nothrow(size: usize, align: usize, _: NoThrow) -> *mut u8 {
            operator_aligned!(
                $new_aligned_nothrow_before,
                allocate_aligned::<{ $origin as u32 }>,
                or_null,
                forward
            )
        }

        /// # Safety
        /// C++'s: `object` is null or one that its caller may delete.
        #[unsafe(naked)]
        #[cfg_attr(not(fuzzing), unsafe(export_name = $delete_name))]
        pub unsafe extern "C" fn $delete(object: *mut u8) {
            alias!($delete_before, $delete_here)
        }

        /// # Safety
        /// C++'s: `object` is null or one that its caller may delete.
        #[cfg_attr(not(fuzzing), unsafe(export_name = $delete_nothrow_name))]
        pub unsafe extern "C" fn $delete_nothrow(object: *mut u8, _: NoThrow) {
            // SAFETY: the caller's.
            unsafe {
                match replaced::$program() {
                    Some(program) => program(object),
                    None => delete(object, usual($origin)),
                }
            }
        }

        /// # Safety
        /// C++'s: `object` is null or one that its caller may delete.
        #[cfg_attr(not(fuzzing), unsafe(export_name = $delete_sized_name))]
        pub unsafe extern "C" fn $delete_sized(object: *mut u8, size: usize) {
            // SAFETY: the caller's.
            unsafe {
                match replaced::$program() {
                    Some(program) => program(object),
                    None => delete(object, usual($origin).sized(size)),
                }
            }
        }

        /// # Safety
        /// C++'s: `object` is null or one that its caller may delete.
        #[unsafe(naked)]
        #[cfg_attr(not(fuzzing), unsafe(export_name = $delete_aligned_name))]
        pub unsafe extern "C" fn $delete_aligned(object: *mut u8, align: usize) {
            alias!($delete_aligned_before, $delete_aligned_here)
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
            unsafe {
                match replaced::$program_aligned() {
                    Some(program) => program(object, align),
                    None => delete(object, aligned($origin, align)),
                }
            }
        }

        /// # Safety
        /// C++'s: `object` is null or one that its caller may delete.
        #[cfg_attr(not(fuzzing), unsafe(export_name = $delete_aligned_sized_name))]
        pub unsafe extern "C" fn $delete_aligned_sized(object: *mut u8, size: usize, align: usize) {
            // SAFETY: the caller's.
            unsafe {
                match replaced::$program_aligned() {
                    Some(program) => program(object, align),
                    None => delete(object, aligned($origin, align).sized(size)),
                }
            }
        }
    };
}

unsafe extern "C" fn delete_here(object: *mut u8) {
    // SAFETY: the caller's.
    unsafe { delete(object, usual(Origin::New)) };
}

unsafe extern "C" fn delete_aligned_here(object: *mut u8, align: usize) {
    // SAFETY: the caller's.
    unsafe { delete(object, aligned(Origin::New, align)) };
}

unsafe extern "C" fn delete_array_here(object: *mut u8) {
    // SAFETY: the caller's.
    unsafe {
        match replaced::delete() {
            Some(program) => program(object),
            None => delete(object, usual(Origin::NewArray)),
        }
    }
}

unsafe extern "C" fn delete_array_aligned_here(object: *mut u8, align: usize) {
    // SAFETY: the caller's.
    unsafe {
        match replaced::delete_aligned() {
            Some(program) => program(object, align),
            None => delete(object, aligned(Origin::NewArray, align)),
        }
    }
}

operators!(Origin::New, delete, delete_aligned, {
    new = "_Znwm", before label!("casemate_own_new"),
    new_nothrow = "_ZnwmRKSt9nothrow_t",
        before or_program_null!("casemate_word_new", "casemate_own_new"),
    new_aligned = "_ZnwmSt11align_val_t", before label!("casemate_own_new_aligned"),
    new_aligned_nothrow = "_ZnwmSt11align_val_tRKSt9nothrow_t",
        before or_program_null!("casemate_word_new_aligned", "casemate_own_new_aligned"),
    delete_one = "_ZdlPv", before label!("casemate_own_delete"), is delete_here,
    delete_nothrow = "_ZdlPvRKSt9nothrow_t",
    delete_sized = "_ZdlPvm",
    delete_aligned = "_ZdlPvSt11align_val_t", before label!("casemate_own_delete_aligned"),
        is delete_aligned_here,
    delete_aligned_nothrow = "_ZdlPvSt11align_val_tRKSt9nothrow_t",
    delete_aligned_sized = "_ZdlPvmSt11align_val_t",
});

operators!(Origin::NewArray, delete_array, delete_array_aligned, {
    new_array = "_Znam", before concat!(
        label!("casemate_own_new_array"),
        "\n",
        or_program!("casemate_word_new", "casemate_own_new")
    ),
    new_array_nothrow = "_ZnamRKSt9nothrow_t", before concat!(
        or_program_null!("casemate_word_new_array", "casemate_own_new_array"),
        "\n",
        or_program_null!("casemate_word_new", "casemate_own_new")
    ),
    new_array_aligned = "_ZnamSt11align_val_t", before concat!(
        label!("casemate_own_new_array_aligned"),
        "\n",
        or_program!("casemate_word_new_aligned", "casemate_own_new_aligned")
    ),
    new_array_aligned_nothrow = "_ZnamSt11align_val_tRKSt9nothrow_t", before concat!(
        or_program_null!("casemate_word_new_array_aligned", "casemate_own_new_array_aligned"),
        "\n",
        or_program_null!("casemate_word_new_aligned", "casemate_own_new_aligned")
    ),
    delete_array = "_ZdaPv", before label!("casemate_own_delete_array"), is delete_array_here,
    delete_array_nothrow = "_ZdaPvRKSt9nothrow_t",
    delete_array_sized = "_ZdaPvm",
    delete_array_aligned = "_ZdaPvSt11align_val_t",
        before label!("casemate_own_delete_array_aligned"), is delete_array_aligned_here,
    delete_array_aligned_nothrow = "_ZdaPvSt11align_val_tRKSt9nothrow_t",
    delete_array_aligned_sized = "_ZdaPvmSt11align_val_t",
});
