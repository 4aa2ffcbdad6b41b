//! What runs when the library is loaded, when the process ends in an orderly way, and on a panic.

use casemate_report::library;

/// The loader runs it after the constructors of the C library.
#[used]
#[unsafe(link_section = ".init_array")]
static LOADED: extern "C" fn() = loaded;

#[used]
#[unsafe(link_section = ".fini_array")]
static ENDS: extern "C" fn() = ends;

extern "C" fn loaded() {
    // The heap starts here, on the stack of the process: that takes 30 KiB, which a coroutine or a
    // signal handler may not have.
    // SAFETY: an object of this library's own.
    unsafe { super::malloc::free(core::hint::black_box(super::malloc::malloc(1))) };
    library::start();
}

extern "C" fn ends() {
    library::end();
}

// In a build that unwinds (the development profile) a shared object cannot do without the standard
// library.
#[cfg(not(panic = "abort"))]
extern crate std;

/// No function here can panic; `tests/exports.rs` looks.
#[cfg(panic = "abort")]
#[panic_handler]
fn panicked(_: &core::panic::PanicInfo<'_>) -> ! {
    // SAFETY: ends the process.
    unsafe { libc::abort() }
}
