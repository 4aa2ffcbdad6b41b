//! What a load or a store at an address would meet, asked of the kernel: it answers EFAULT where
//! the program would get a signal.

#![expect(unsafe_code, reason = "system calls")]

use std::cell::OnceCell;
use std::os::fd::{AsRawFd, OwnedFd};
use std::ptr::with_exposed_provenance;

/// Bytes of a page of this machine.
pub fn page() -> usize {
    casemate::inside::page_size()
}

thread_local! {
    static PIPE: OnceCell<(OwnedFd, OwnedFd)> = const { OnceCell::new() };
}

fn pipe() -> (OwnedFd, OwnedFd) {
    use std::os::fd::FromRawFd;
    let mut ends = [0; 2];
    // SAFETY: two descriptors for the call to fill in; nobody else has them.
    unsafe {
        assert_eq!(libc::pipe2(ends.as_mut_ptr(), libc::O_CLOEXEC), 0);
        (OwnedFd::from_raw_fd(ends[0]), OwnedFd::from_raw_fd(ends[1]))
    }
}

/// Whether a byte can be read, and so written where the heap keeps objects: there nothing is
/// read-only.
pub fn is_accessible(at: usize) -> bool {
    PIPE.with(|cell| {
        let (reads, writes) = cell.get_or_init(pipe);
        let mut back = 0u8;
        // SAFETY: the kernel reads the byte, or refuses; what it took is drained into a local.
        unsafe {
            libc::write(writes.as_raw_fd(), with_exposed_provenance(at), 1) == 1
                && libc::read(reads.as_raw_fd(), (&raw mut back).cast(), 1) == 1
        }
    })
}

/// How many of these bytes a store that goes upwards reaches before it faults.
pub fn reach(at: usize, len: usize) -> usize {
    let (page, end) = (page(), at + len);
    let mut from = at;
    while from < end {
        if !is_accessible(from) {
            return from - at;
        }
        from = (from & !(page - 1)) + page;
    }
    len
}
