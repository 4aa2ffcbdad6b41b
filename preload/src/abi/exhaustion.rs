//! What `operator new` does when there is no memory: it calls the program's new-handler as long as
//! there is one, then throws `std::bad_alloc`, or gives null.
//!
//! Handler and exception are libstdc++'s (or libc++'s) business. They are found by weak references,
//! which the loader leaves at zero in a program without C++. No Rust frame is on the stack when an
//! exception may pass: the loop and the functions that call it are assembly, with unwind
//! information.

use core::arch::global_asm;

/// `std::new_handler`.
type Handler = unsafe extern "C" fn();

// A reference from Rust would be strong; one from assembly can be weak on stable Rust.
macro_rules! weak {
    ($($symbol:literal as $name:literal,)*) => {
        global_asm!(
            ".pushsection .data.rel.ro.casemate_weak,\"aw\",@progbits",
            ".balign 8",
            $(
                concat!(".weak ", $symbol),
                concat!(".globl ", $name),
                concat!(".hidden ", $name),
                concat!($name, ": .8byte ", $symbol),
            )*
            ".popsection",
        );
    };
}

weak! {
    "_ZSt15get_new_handlerv" as "casemate_get_new_handler",
    "_ZSt17__throw_bad_allocv" as "casemate_throw_bad_alloc",
    "__cxa_begin_catch" as "casemate_begin_catch",
    "__cxa_end_catch" as "casemate_end_catch",
    "_Unwind_SetGR" as "casemate_set_register",
    "_Unwind_SetIP" as "casemate_set_place",
}

/// An exception, and the frame that an exception passes, as the unwinder knows them.
type Opaque = *mut u8;

unsafe extern "C" {
    static casemate_get_new_handler: Option<unsafe extern "C" fn() -> Option<Handler>>;
    static casemate_throw_bad_alloc: Option<unsafe extern "C" fn()>;
    static casemate_begin_catch: Option<unsafe extern "C" fn(Opaque) -> Opaque>;
    static casemate_end_catch: Option<unsafe extern "C" fn()>;
    static casemate_set_register: Option<unsafe extern "C" fn(Opaque, i32, usize)>;
    static casemate_set_place: Option<unsafe extern "C" fn(Opaque, usize)>;
}

/// The program's new-handler, or null.
pub(super) extern "C" fn handler() -> Option<Handler> {
    // SAFETY: a word in a section that the loader has filled in and made read-only; the function
    // takes nothing.
    unsafe { casemate_get_new_handler.and_then(|get| get()) }
}

/// The function that throws `std::bad_alloc`; the end, where there is none.
pub(super) extern "C" fn thrower() -> unsafe extern "C" fn() {
    // SAFETY: as in `handler`; `abort` ends the process.
    unsafe { casemate_throw_bad_alloc.unwrap_or_else(|| libc::abort()) }
}

/// Where an exception from the handler is caught: `std::bad_alloc` means null there, and `noexcept`
/// that nothing gets out. A thread that is being cancelled is let through.
pub(super) unsafe extern "C" fn personality(
    _version: i32,
    actions: i32,
    _class: u64,
    exception: Opaque,
    frame: Opaque,
) -> i32 {
    const SEARCH: i32 = 1;
    const HANDLER_FRAME: i32 = 4;
    const FOUND: i32 = 6;
    const INSTALL: i32 = 7;
    const GO_ON: i32 = 8;
    // SAFETY: as in `handler`. The unwinder calls this for a frame of `or_null` only, which it has
    // described; the register is the one that its landing place expects the exception in.
    unsafe {
        let (Some(set_register), Some(set_place)) = (casemate_set_register, casemate_set_place)
        else {
            return GO_ON;
        };
        if actions & SEARCH != 0 {
            return FOUND;
        }
        if actions & HANDLER_FRAME == 0 {
            return GO_ON;
        }
        set_register(frame, 0, exception.expose_provenance());
        set_place(frame, super::frames::landing as *const () as usize);
        INSTALL
    }
}

/// The caught exception is done with.
pub(super) unsafe extern "C" fn dispose(exception: Opaque) {
    // SAFETY: as in `handler`; the exception was thrown and caught above.
    unsafe {
        if let (Some(begin), Some(end)) = (casemate_begin_catch, casemate_end_catch) {
            begin(exception);
            end();
        }
    }
}
