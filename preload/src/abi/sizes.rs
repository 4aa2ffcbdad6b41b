//! How large objects are.

use super::HEAP;

/// The bytes of an object that the program may use. It may write to all of them from now on: what
/// was watched behind the object's end becomes part of it.
///
/// # Safety
/// `object` is null or one that its caller may free.
#[cfg_attr(not(fuzzing), unsafe(no_mangle))]
pub unsafe extern "C" fn malloc_usable_size(object: *mut u8) -> usize {
    if object.is_null() {
        return 0;
    }
    // SAFETY: the caller's.
    unsafe { HEAP.take_over(object) }
}

/// The most bytes that may be accessed from `at`, which may lie inside an object: to the object's
/// end as it was asked for; 0 in memory of the heap that belongs to no object; `SIZE_MAX` where the
/// heap knows nothing of the address.
#[cfg_attr(not(fuzzing), unsafe(no_mangle))]
pub extern "C" fn malloc_object_size(at: *const u8) -> usize {
    HEAP.object_size(at)
}
