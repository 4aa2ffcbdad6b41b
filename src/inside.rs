//! Layer: faces. What this repository's tests, fuzzers and examples need of the inside of a heap, and
//! its report channel of system calls; no program does, and none of it is kept stable. What could harm a program is unsafe:
//!
//! ```
//! # use casemate::{Full, heap::{Claim, Heap, Request}, inside::{Linux, replace_thread_word, unmap}};
//! type Its = Heap<'static, Linux, Full>;
//! let free = |heap: Its, at| unsafe { heap.free(at, None) };
//! let claiming = |heap: Its, at| unsafe { heap.free_claiming(at, Claim::ANY) };
//! let resize = |heap: Its, at, to: &Request| unsafe { heap.reallocate(at, None, to) };
//! let take_over = |heap: Its, at| unsafe { heap.take_over(at) };
//! let forge = |word| unsafe { replace_thread_word(word) };
//! let gone = |at, len| unsafe { unmap(at, len) };
//! # let _ = (free, claiming, resize, take_over, forge, gone);
//! ```
//! ```compile_fail,E0133
//! # use casemate::{Full, heap::Heap, inside::Linux};
//! let free = |heap: Heap<'static, Linux, Full>, at| heap.free(at, None);
//! ```
//! ```compile_fail,E0133
//! # use casemate::{Full, heap::{Claim, Heap}, inside::Linux};
//! let free = |heap: Heap<'static, Linux, Full>, at| heap.free_claiming(at, Claim::ANY);
//! ```
//! ```compile_fail,E0133
//! # use casemate::{Full, heap::{Heap, Request}, inside::Linux};
//! let resize = |heap: Heap<'static, Linux, Full>, at, to: &Request| heap.reallocate(at, None, to);
//! ```
//! ```compile_fail,E0133
//! # use casemate::{Full, heap::Heap, inside::Linux};
//! let take_over = |heap: Heap<'static, Linux, Full>, at| heap.take_over(at);
//! ```
//! ```compile_fail,E0133
//! let forge = |word| casemate::inside::replace_thread_word(word);
//! ```
//! ```compile_fail,E0133
//! let gone = |at, len| casemate::inside::unmap(at, len);
//! ```
//! ```compile_fail,E0133
//! let call = |number| casemate::inside::system_call(number, [0; 6]);
//! ```
//!
//! The heap's system calls and its records cannot be named:
//!
//! ```compile_fail,E0603
//! use casemate::os::Os;
//! ```
//! ```compile_fail,E0603
//! use casemate::slab::meta::header;
//! ```
//! ```compile_fail,E0603
//! use casemate::heap::thread_heap::ThreadHeap;
//! ```
//! ```compile_fail,E0599
//! let gone = |at, len| casemate::inside::Linux::unmap(at, len);
//! ```

#![expect(unsafe_code, reason = "forges what the heap does not trust, and unmaps heaps of tests")]

use crate::heap::thread_heap::ThreadHeap;
use crate::os::Os;

pub use crate::heap::{Overall, table};
pub use crate::os::Linux;
pub use crate::process::start_up_page;

/// By how many bits the number of a thread's heap is shifted up in the thread's word.
pub const HEAP_SHIFT: u32 = ThreadHeap::SHIFT;

/// Bytes of a page.
pub fn page_size() -> usize {
    Linux::page_size()
}

/// Tells of each size class of the process's heap. With [`overall`] it is what [`crate::stats`] gives,
/// in little stack.
pub fn each_class(tell: &mut dyn FnMut(&crate::ClassStats)) {
    crate::global_alloc::each_class(tell);
}

/// The rest of the process's statistics.
pub fn overall() -> Overall {
    crate::global_alloc::overall()
}

/// The calling thread's word in thread-local storage: the number of its heap, and a state.
pub fn thread_word() -> u32 {
    Linux::thread().word.get()
}

/// Overwrites that word, as an overflow could; what it was.
///
/// # Safety
/// A heap looks at the place of that number in its table for whose it is. The table's rest is
/// inaccessible if it is reserved; if it is not, the number must be that of a heap. Below 1 <<
/// [`HEAP_SHIFT`] a thread has no heap, and this many of its first allocations are counted.
pub unsafe fn replace_thread_word(word: u32) -> u32 {
    Linux::thread().word.replace(word)
}

/// Removes the mappings in a range of whole pages. False if the kernel refuses.
///
/// # Safety
/// Nobody uses what is mapped there any more.
pub unsafe fn unmap(at: usize, len: usize) -> bool {
    Linux::unmap(at, len).is_ok()
}

/// Makes a system call by its number: what it gives, or -1 with `errno` set. No function of the C
/// library's is called for it, which a program may have replaced.
///
/// # Safety
/// That of the call.
#[cfg(not(test))]
pub unsafe fn system_call(number: core::ffi::c_long, arguments: [usize; 6]) -> core::ffi::c_long {
    // SAFETY: the caller's.
    unsafe { crate::os::linux::by_number::by_number(number, arguments) }
}
