//! Layer: faces. The process's own heap: one static start-up page, shared by every `Casemate`
//! of the process.

use crate::fatal::fatal;
use crate::heap::{Frozen, Heap, Object, Options, Outcome};
use crate::os::{Linux, Os};
use crate::policy::Policy;
use core::ptr::{NonNull, null_mut};

/// All that a program's memory corruption could look for at a fixed place: read-only once the
/// heap has started.
static PROCESS: Frozen = Frozen::new();

/// For handles made after start-up.
static STARTED: Options = Options::DEFAULT;

/// The process's start-up page.
#[inline(always)]
pub(crate) fn frozen() -> &'static Frozen {
    &PROCESS
}

/// Whether this is the process's heap and not one made by a test.
pub(crate) fn is(frozen: &Frozen) -> bool {
    core::ptr::eq(frozen, &PROCESS)
}

/// Address and length of the start-up page: for tests, which try to write to it.
#[doc(hidden)]
pub fn start_up_page() -> (usize, usize) {
    PROCESS.extent()
}

/// The process's heap, for hooks that run after it has started.
pub(crate) fn heap<O: Os, P: Policy>() -> Heap<'static, O, P> {
    Heap::new(&PROCESS, &STARTED)
}

/// What an operation of the process's heap gives, or the end.
#[inline(always)]
pub(crate) fn or_die<T>(outcome: Outcome<T>) -> T {
    match outcome {
        Ok(value) => value,
        Err(violation) => fatal::<Linux>(PROCESS.plan(), &violation),
    }
}

/// An object as callers of faces want it: null for none.
#[inline(always)]
pub(crate) fn address(object: Object) -> *mut u8 {
    object.map_or(null_mut(), NonNull::as_ptr)
}
