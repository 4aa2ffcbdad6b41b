//! What `operator new` does when there is no memory: it calls the program's new-handler as long as
//! there is one, then throws `std::bad_alloc`.
//!
//! Handler and exception are libstdc++'s (or libc++'s) business. They are found by weak references,
//! which the loader leaves at zero in a program without C++.

use core::arch::global_asm;

type Handler = extern "C-unwind" fn();

// A reference from Rust would be strong; one from assembly can be weak on stable Rust.
global_asm!(
    ".weak _ZSt15get_new_handlerv",
    ".weak _ZSt17__throw_bad_allocv",
    ".pushsection .data.rel.ro.casemate_weak,\"aw\",@progbits",
    ".balign 8",
    ".globl casemate_get_new_handler",
    ".hidden casemate_get_new_handler",
    "casemate_get_new_handler: .8byte _ZSt15get_new_handlerv",
    ".globl casemate_throw_bad_alloc",
    ".hidden casemate_throw_bad_alloc",
    "casemate_throw_bad_alloc: .8byte _ZSt17__throw_bad_allocv",
    ".popsection",
);

unsafe extern "C" {
    static casemate_get_new_handler: Option<extern "C" fn() -> Option<Handler>>;
    static casemate_throw_bad_alloc: Option<extern "C-unwind" fn() -> !>;
}

/// The program's new-handler.
fn handler() -> Option<Handler> {
    // SAFETY: a word in a section that the loader has filled in and made read-only.
    unsafe { casemate_get_new_handler }.and_then(|get| get())
}

/// Tries again after each call of the handler; throws, or aborts, when there is none.
#[cold]
#[inline(never)]
pub(super) fn or_throw(size: usize, align: usize, again: fn(usize, usize) -> *mut u8) -> *mut u8 {
    while let Some(handler) = handler() {
        handler();
        let object = again(size, align);
        if !object.is_null() {
            return object;
        }
    }
    // SAFETY: as in `handler`.
    match unsafe { casemate_throw_bad_alloc } {
        Some(throw) => throw(),
        // SAFETY: ends the process.
        None => unsafe { libc::abort() },
    }
}

/// Tries again after each call of the handler; null when there is none.
#[cold]
#[inline(never)]
pub(super) fn or_null(size: usize, align: usize, again: fn(usize, usize) -> *mut u8) -> *mut u8 {
    while let Some(handler) = handler() {
        handler();
        let object = again(size, align);
        if !object.is_null() {
            return object;
        }
    }
    core::ptr::null_mut()
}
