//! Looking at memory that its owner has given up: through the kernel, so that what is not mapped
//! any more is an answer and not a fault.
#![expect(unsafe_code, reason = "asks the kernel to look at memory")]

use std::fs::File;
use std::io::Read;
use std::os::fd::{AsRawFd, FromRawFd};

/// What lies at an address, or why nothing does.
#[derive(Debug, PartialEq, Eq)]
pub enum Seen {
    Bytes(Vec<u8>),
    /// Not readable even for the kernel on our behalf: unmapped, a guard, or hidden memory.
    Nothing,
}

impl Seen {
    /// Whether `mark` is not to be seen there.
    pub fn is_clear_of(&self, mark: &[u8]) -> bool {
        match self {
            Seen::Bytes(bytes) => !bytes.windows(mark.len()).any(|window| window == mark),
            Seen::Nothing => true,
        }
    }
}

/// Reads `len` bytes at `address` by way of a pipe: `write` copies them as any instruction would,
/// hidden memory too, and gives EFAULT where an instruction would fault.
pub fn at(address: usize, len: usize) -> Seen {
    let mut ends = [0; 2];
    // SAFETY: two places for two descriptors.
    assert_eq!(unsafe { libc::pipe2(ends.as_mut_ptr(), libc::O_CLOEXEC) }, 0);
    let (from, to) = (owned(ends[0]), owned(ends[1]));
    let mut bytes = vec![0; len];
    // SAFETY: the kernel reads the bytes on our behalf and says so if it cannot; nothing is
    // dereferenced here. A pipe takes 64 KiB without anybody reading.
    let count =
        unsafe { libc::write(to.as_raw_fd(), std::ptr::with_exposed_provenance(address), len) };
    if count != len as isize {
        return Seen::Nothing;
    }
    (&from).read_exact(&mut bytes).unwrap();
    Seen::Bytes(bytes)
}

fn owned(fd: i32) -> File {
    // SAFETY: just opened, and nobody else's.
    unsafe { File::from_raw_fd(fd) }
}

#[test]
fn the_control_sees_what_is_there() {
    let here = *b"something to be seen";
    let seen = at(here.as_ptr().expose_provenance(), here.len());
    assert_eq!(seen, Seen::Bytes(here.to_vec()));
    assert!(!seen.is_clear_of(b"thing"));
    assert_eq!(at(8, 8), Seen::Nothing);
}
