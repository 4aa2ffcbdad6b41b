//! Raw accesses of the cases: volatile, by address, to memory that they have no right to.
//!
//! These functions look safe and are not: they are for a process that is about to die of them.
#![expect(unsafe_code, reason = "the misuse itself")]

use std::hint::black_box;
use std::ptr::with_exposed_provenance_mut;

/// Overwrites one byte.
pub fn write(at: usize, value: u8) {
    let at = black_box(with_exposed_provenance_mut::<u8>(at));
    // SAFETY: none, deliberately: what the write does is what is tested.
    unsafe { at.write_volatile(value) }
}

/// Reads one byte.
pub fn read(at: usize) -> u8 {
    let at = black_box(with_exposed_provenance_mut::<u8>(at));
    // SAFETY: none, deliberately.
    unsafe { at.read_volatile() }
}

/// Changes one byte, whatever it was.
pub fn damage(at: usize) {
    write(at, !read(at));
}

/// Fills an object.
pub fn fill(at: usize, len: usize, value: u8) {
    (at..at + len).for_each(|at| write(at, value));
}

/// The first of these bytes that cannot be read.
pub fn first_unreadable(mut all: impl Iterator<Item = usize>) -> Option<usize> {
    let is_readable = readable();
    all.find(|&at| !is_readable(at))
}

/// Tells whether a byte can be read: found out by the kernel and without a fault.
pub fn readable() -> impl Fn(usize) -> bool {
    let mut ends = [0; 2];
    // SAFETY: two descriptors for the call to fill in.
    assert_eq!(unsafe { libc::pipe(ends.as_mut_ptr()) }, 0);
    move |at| {
        let mut back = 0u8;
        // SAFETY: the kernel reads the byte, and answers EFAULT where a load would fault; what it
        // took is drained into a local.
        unsafe {
            let written = libc::write(ends[1], with_exposed_provenance_mut(at), 1);
            written == 1 && libc::read(ends[0], (&raw mut back).cast(), 1) == 1
        }
    }
}

/// The middle of a mapping that is not the heap's.
pub fn mapped() -> usize {
    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
    let both = libc::PROT_READ | libc::PROT_WRITE;
    // SAFETY: a new mapping, at a place that the kernel chooses.
    let at = unsafe { libc::mmap(std::ptr::null_mut(), MAPPED, both, flags, -1, 0) };
    assert_ne!(at, libc::MAP_FAILED);
    at.expose_provenance() + MAPPED / 2
}

/// An address at which nothing is mapped.
pub fn unmapped() -> usize {
    let at = mapped();
    // SAFETY: the mapping was made for this, and nothing uses it.
    let status = unsafe { libc::munmap(with_exposed_provenance_mut(at - MAPPED / 2), MAPPED) };
    assert_eq!(status, 0);
    at
}

const MAPPED: usize = 1 << 20;
