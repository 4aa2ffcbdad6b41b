//! What `operator new` does when there is no memory: it calls the program's new-handler as long as
//! there is one, then throws `std::bad_alloc`, or gives null.
//!
//! Handler and exception are libstdc++'s (or libc++'s) business. They are found by weak references,
//! which the loader leaves at zero in a program without C++; where C++ comes with a plug-in later,
//! the plug-in's libstdc++ is asked for them each time (a place to keep them would be one to
//! overwrite). No Rust frame is on the stack when an exception may pass: the loop and the functions
//! that call it are assembly, with unwind information.

use core::arch::global_asm;
use core::ffi::{CStr, c_char, c_int, c_void};
use core::mem::transmute;

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
    "dlopen" as "casemate_dlopen",
    "dlsym" as "casemate_dlsym",
    "dlclose" as "casemate_dlclose",
}

/// An exception, and the frame that an exception passes, as the unwinder knows them.
type Opaque = *mut u8;

type Plain = unsafe extern "C" fn();
type GetHandler = unsafe extern "C" fn() -> Option<Handler>;
type BeginCatch = unsafe extern "C" fn(Opaque) -> Opaque;
type SetRegister = unsafe extern "C" fn(Opaque, i32, usize);
type SetPlace = unsafe extern "C" fn(Opaque, usize);

unsafe extern "C" {
    static casemate_get_new_handler: Option<GetHandler>;
    static casemate_throw_bad_alloc: Option<Plain>;
    static casemate_begin_catch: Option<BeginCatch>;
    static casemate_end_catch: Option<Plain>;
    static casemate_set_register: Option<SetRegister>;
    static casemate_set_place: Option<SetPlace>;
    static casemate_dlopen: Option<unsafe extern "C" fn(*const c_char, c_int) -> *mut c_void>;
    static casemate_dlsym: Option<unsafe extern "C" fn(*mut c_void, *const c_char) -> *mut c_void>;
    static casemate_dlclose: Option<unsafe extern "C" fn(*mut c_void) -> c_int>;
}

const CXX: &CStr = c"libstdc++.so.6";
const UNWINDER: &CStr = c"libgcc_s.so.1";

/// A function of a library that was loaded after this one, perhaps where others do not see it. Null
/// if there is none, or no memory to look. The caller of `operator new` depends on that library, so
/// it is there until the caller has gone on.
fn loaded_later(library: &CStr, name: &CStr) -> *mut c_void {
    // SAFETY: words that the loader has filled in and made read-only, of functions with these
    // types; both texts are C strings. Nothing is loaded.
    unsafe {
        let (Some(open), Some(find), Some(close)) =
            (casemate_dlopen, casemate_dlsym, casemate_dlclose)
        else {
            return core::ptr::null_mut();
        };
        let library = open(library.as_ptr(), libc::RTLD_LAZY | libc::RTLD_NOLOAD);
        if library.is_null() {
            return library;
        }
        let found = find(library, name.as_ptr());
        close(library);
        found
    }
}

/// What a weak reference found, or else a function of a library that was loaded later; `$of` is
/// the type of both.
macro_rules! function {
    ($word:ident: $of:ty, $library:expr, $name:literal) => {
        // SAFETY: a word in a section that the loader has filled in and made read-only, or the
        // address of a function of that type; null is `None`.
        unsafe {
            match $word {
                None => transmute::<*mut c_void, Option<$of>>(loaded_later($library, $name)),
                found => found,
            }
        }
    };
}

/// The program's new-handler, or null.
pub(super) extern "C" fn handler() -> Option<Handler> {
    let get = function!(casemate_get_new_handler: GetHandler, CXX, c"_ZSt15get_new_handlerv");
    // SAFETY: it takes nothing.
    get.and_then(|get| unsafe { get() })
}

/// The function that throws `std::bad_alloc`; the end, where there is none.
pub(super) extern "C" fn thrower() -> unsafe extern "C" fn() {
    let throw = function!(casemate_throw_bad_alloc: Plain, CXX, c"_ZSt17__throw_bad_allocv");
    // SAFETY: `abort` ends the process.
    throw.unwrap_or_else(|| unsafe { libc::abort() })
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
    let set_register = function!(casemate_set_register: SetRegister, UNWINDER, c"_Unwind_SetGR");
    let set_place = function!(casemate_set_place: SetPlace, UNWINDER, c"_Unwind_SetIP");
    let (Some(set_register), Some(set_place)) = (set_register, set_place) else {
        return GO_ON;
    };
    // SAFETY: the unwinder calls this for frames of `or_null` and `forward` only, which it has
    // described; the register is the one that their landing place expects the exception in.
    unsafe {
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
    let begin = function!(casemate_begin_catch: BeginCatch, CXX, c"__cxa_begin_catch");
    let end = function!(casemate_end_catch: Plain, CXX, c"__cxa_end_catch");
    if let (Some(begin), Some(end)) = (begin, end) {
        // SAFETY: the exception was thrown, and caught by the frame above.
        unsafe {
            begin(exception);
            end();
        }
    }
}
