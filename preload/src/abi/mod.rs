//! The C and C++ allocation functions. What is exported is what has an export attribute here, and
//! nothing else; in a fuzz target, which has this as a module, nothing is.
//!
//! | file | functions |
//! |---|---|
//! | `malloc` | `malloc`, `calloc`, `realloc`, `reallocarray`, `free`, `free_sized` |
//! | `aligned` | `posix_memalign`, `aligned_alloc`, `memalign`, `valloc`, `pvalloc`, `free_aligned_sized` |
//! | `sizes` | `malloc_usable_size`, `malloc_object_size` |
//! | `tuning` | `mallopt`, `malloc_trim`, `mallinfo`, `mallinfo2`, `malloc_info`, `malloc_stats` |
//! | `operators` | C++ `operator new` and `operator delete`, in all standard forms |
//! | `replaced` | which of those forms the program has of its own |
//! | `exhaustion` | what `operator new` does when there is no memory |
//! | `frames` | the functions that a C++ exception may pass |
//! | `internal` | glibc's second names of the same functions |
//! | `life` | what runs when the library is loaded, when the process ends, and on a panic |

pub mod aligned;
mod exhaustion;
mod frames;
#[cfg(not(fuzzing))]
mod internal;
#[cfg(not(fuzzing))]
mod life;
pub mod malloc;
pub mod operators;
mod replaced;
pub mod sizes;
pub mod tuning;

use crate::Chosen;
use casemate_report::library;
use heap::interface::{Interface, Origin, Request};

/// The process's heap.
pub(crate) static HEAP: Interface<Chosen> =
    Interface::new(library::witness, library::on_violation, library::tick);

/// The alignment of what is allocated without one.
const USUAL: usize = 16;

/// A request through `malloc` and its relatives.
#[inline(always)]
const fn request(size: usize, align: usize) -> Request {
    Request { size, align, origin: Origin::Malloc }
}

/// The object, or null with `errno` saying that memory is exhausted.
#[inline(always)]
fn or_exhausted(object: *mut u8) -> *mut u8 {
    if object.is_null() {
        return fail(libc::ENOMEM);
    }
    object
}

/// Null, with this `errno`.
#[cold]
#[inline(never)]
fn fail(errno: libc::c_int) -> *mut u8 {
    // SAFETY: libc gives the address of the calling thread's errno.
    unsafe { *libc::__errno_location() = errno };
    core::ptr::null_mut()
}
