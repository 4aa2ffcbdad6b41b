//! Work for a heap: objects of all sizes that know their contents, threads, and exhaustion.

use std::alloc::{Layout, alloc, dealloc};
use std::ptr::NonNull;

/// An object whose first and last bytes are its mark.
pub struct Object {
    at: NonNull<u8>,
    layout: Layout,
    mark: u8,
}

// SAFETY: an object is its holder's alone; any thread may free memory.
unsafe impl Send for Object {}

impl Object {
    /// `None` if memory is exhausted. What is handed out must be zero at both ends.
    pub fn new(size: usize, align: usize) -> Option<Object> {
        let layout = Layout::from_size_align(size, align).expect("a layout");
        // SAFETY: no size passed here is zero.
        let at = NonNull::new(unsafe { alloc(layout) })?;
        assert_eq!(at.addr().get() % align, 0, "aligned to {align}");
        let object = Object { at, layout, mark: (size as u8) ^ 0x5a };
        assert_eq!(object.ends(), (0, 0), "size {size}");
        // SAFETY: both bytes are the object's own.
        unsafe {
            at.write(object.mark);
            at.add(size - 1).write(object.mark);
        }
        Some(object)
    }

    fn ends(&self) -> (u8, u8) {
        // SAFETY: both bytes are the object's own and were initialised by the heap.
        unsafe { (self.at.read(), self.at.add(self.layout.size() - 1).read()) }
    }

    /// Its address.
    pub fn address(&self) -> usize {
        self.at.addr().get()
    }
}

impl Drop for Object {
    fn drop(&mut self) {
        assert_eq!(self.ends(), (self.mark, self.mark), "contents stay");
        // SAFETY: allocated with this layout, and freed only here.
        unsafe { dealloc(self.at.as_ptr(), self.layout) };
    }
}

/// Whether a request that cannot be met is answered by null.
pub fn is_null(size: usize, align: usize) -> bool {
    // Behind a black box, or the compiler removes the allocation and takes it for a success.
    let layout = std::hint::black_box(Layout::from_size_align(size, align).expect("a layout"));
    // SAFETY: the layout's size is not zero.
    std::hint::black_box(unsafe { alloc(layout) }).is_null()
}

/// Room for that many objects, so that exhaustion meets the heap and not this vector.
pub fn room(objects: usize) -> Vec<Object> {
    Vec::with_capacity(objects)
}

/// Allocates objects of one size until memory is exhausted or `most` are there.
pub fn fill(objects: &mut Vec<Object>, size: usize, align: usize, most: usize) -> usize {
    let before = objects.len();
    let most = most.min(objects.capacity() - before);
    objects.extend(std::iter::from_fn(|| Object::new(size, align)).take(most));
    objects.len() - before
}

/// Small and large objects, in this thread and in others, freed here and there. Takes up to about
/// 40 MiB.
pub fn everyday() {
    let sizes = |i: usize| [16, 100, 700, 3000, 20_000, 90_000, 300_000][i % 7] + i % 13;
    let kept: Vec<Object> = (0..350).map(|i| Object::new(sizes(i), 8).expect("memory")).collect();
    let workers: Vec<_> = (0..4)
        .map(|_| {
            std::thread::Builder::new()
                .stack_size(256 << 10)
                .spawn(move || {
                    let mut held = std::collections::VecDeque::new();
                    for i in 0..20_000 {
                        let size = if i % 500 == 0 { 400_000 } else { 16 + i * 37 % 2500 };
                        held.push_back(Object::new(size, 16).expect("memory"));
                        if held.len() > 300 {
                            held.pop_front();
                        }
                    }
                    held
                })
                .expect("a thread")
        })
        .collect();
    for worker in workers {
        drop(worker.join().expect("no panic"));
    }
    drop(kept);
    casemate::verify().expect("every invariant");
}

/// Exhausts memory with objects of one size, frees them and does the same again: what was freed is
/// usable. Returns how many objects there were. `most` ends the first filling where exhaustion
/// must not be waited for.
pub fn exhaust(objects: &mut Vec<Object>, size: usize) -> usize {
    let first = fill(objects, size, 8, usize::MAX);
    assert!(objects.len() < objects.capacity(), "size {size}: exhausted, not out of room");
    // Exhausted is exhausted, also through the other doors.
    let again = is_null(1 << 46, 8);
    objects.clear();
    assert!(again);
    let second = fill(objects, size, 8, usize::MAX);
    objects.clear();
    println!("size {size}: {first} objects until null, then {second}");
    assert!(second >= first / 2, "size {size}: {first}, then {second}");
    casemate::verify().expect("every invariant");
    first
}
