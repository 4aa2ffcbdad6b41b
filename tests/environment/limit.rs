//! A limit on locked memory that binds, also where tests run as root.

use casemate::secure::secure_stats;
use std::io;

/// Sets the limit and gives up every capability of this thread, for good.
pub fn limit(bytes: usize) -> io::Result<()> {
    #[repr(C)]
    struct Header {
        version: u32,
        pid: i32,
    }
    // Version 3, for the calling thread; all three sets empty.
    let header = Header { version: 0x2008_0522, pid: 0 };
    let none = [0u32; 6];
    let limit = libc::rlimit { rlim_cur: bytes as u64, rlim_max: bytes as u64 };
    // SAFETY: valid structures; both calls only take permissions away.
    let done = unsafe {
        libc::setrlimit(libc::RLIMIT_MEMLOCK, &raw const limit) == 0
            && libc::syscall(libc::SYS_capset, &raw const header, none.as_ptr()) == 0
    };
    if done { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// More than the limit cannot be locked.
pub fn expect_bound(bytes: usize) {
    let len = bytes + 4096;
    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
    let both = libc::PROT_READ | libc::PROT_WRITE;
    // SAFETY: a mapping of this function's own, removed again.
    unsafe {
        let at = libc::mmap(std::ptr::null_mut(), len, both, flags, -1, 0);
        assert_ne!(at, libc::MAP_FAILED);
        assert_ne!(libc::mlock(at, len), 0, "the limit binds");
        libc::munmap(at, len);
    }
    assert_eq!(secure_stats().locked_limit, Some(bytes));
}
