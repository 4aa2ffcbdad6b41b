//! Standard streams that the launcher was started without: `std` opens `/dev/null` in their place
//! before `main`, which the program shall not find there.
#![expect(unsafe_code, reason = "asks for descriptors and closes them; .init_array")]

use libc::c_int;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

/// Input, output, errors: whether it was closed.
static CLOSED: [AtomicBool; 3] = [const { AtomicBool::new(false) }; 3];

extern "C" fn before_main() {
    for (descriptor, closed) in CLOSED.iter().enumerate() {
        // SAFETY: numbers.
        let flags = unsafe { libc::fcntl(descriptor as c_int, libc::F_GETFD) };
        closed.store(flags < 0, Relaxed);
    }
}

// SAFETY: libc calls every function of this section once, before `main`; this one makes system
// calls and stores bytes.
#[unsafe(link_section = ".init_array")]
#[used]
static BEFORE_MAIN: extern "C" fn() = before_main;

/// Closes them again. For the child, before it executes the program: async-signal-safe.
pub fn restore() {
    for (descriptor, closed) in CLOSED.iter().enumerate() {
        if closed.load(Relaxed) {
            // SAFETY: numbers; what `std` opened in the place of nothing, and nobody needs here.
            unsafe { libc::close(descriptor as c_int) };
        }
    }
}
