//! The heap under test, called directly, from threads that have heaps of their own.
#![expect(unsafe_code, reason = "calls the allocator directly")]

use casemate::{Casemate, Full};
use std::alloc::{GlobalAlloc, Layout};
use std::sync::{Mutex, MutexGuard, PoisonError};

pub static HEAP: Casemate<Full> = Casemate::new();

pub fn layout(size: usize) -> Layout {
    Layout::from_size_align(size, 8).unwrap()
}

pub fn allocate(size: usize) -> *mut u8 {
    // SAFETY: the size is not zero.
    let object = unsafe { HEAP.alloc(layout(size)) };
    assert!(!object.is_null());
    object
}

pub fn free(object: *mut u8, size: usize) {
    // SAFETY: every caller frees what it allocated with this size, once.
    unsafe { HEAP.dealloc(object, layout(size)) }
}

/// Runs in a thread that owns a heap: its first allocations came from shared ones.
pub fn in_own_heap<T: Send>(body: impl FnOnce() -> T + Send) -> T {
    std::thread::scope(|scope| {
        let settled = move || {
            for _ in 0..200 {
                free(allocate(8), 8);
            }
            body()
        };
        scope.spawn(settled).join().unwrap()
    })
}

/// Held by whoever makes heaps of their own: they need room, and none may come to lie where another
/// one places its large objects. The heap of this file has its place before.
pub fn alone() -> MutexGuard<'static, ()> {
    static ONE: Mutex<()> = Mutex::new(());
    let guard = ONE.lock().unwrap_or_else(PoisonError::into_inner);
    free(allocate(8), 8);
    guard
}
