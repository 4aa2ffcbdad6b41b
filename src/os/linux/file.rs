//! Layer: os. Reading a small file of the kernel's, without buffers on a heap. Uses `libc`.
#![expect(unsafe_code, reason = "openat, read and close by number")]

use super::errno;
use core::ffi::CStr;
use libc::c_long;

/// An open file, closed on drop.
pub(super) struct File(c_long);

impl File {
    /// Opens for reading; not inherited by a program that is executed meanwhile.
    pub(super) fn open(path: &CStr) -> Option<File> {
        let flags = libc::O_RDONLY | libc::O_CLOEXEC;
        loop {
            // SAFETY: the path ends in a zero and outlives the call, which only reads it.
            let file = unsafe { numbered!(libc::SYS_openat, libc::AT_FDCWD, path.as_ptr(), flags) };
            if file >= 0 {
                return Some(File(file));
            }
            if errno() != libc::EINTR {
                return None;
            }
        }
    }

    /// Reads once; how many bytes, zero at the end, `None` on an error.
    pub(super) fn read(&self, out: &mut [u8]) -> Option<usize> {
        loop {
            // SAFETY: the kernel writes at most `out.len()` bytes, into memory borrowed for us.
            let count = unsafe { numbered!(libc::SYS_read, self.0, out.as_mut_ptr(), out.len()) };
            if let Ok(count) = usize::try_from(count) {
                return Some(count);
            }
            if errno() != libc::EINTR {
                return None;
            }
        }
    }

    /// Hands every byte to `take` until it answers false or the file ends.
    pub(super) fn each_byte(&self, mut take: impl FnMut(u8) -> bool) {
        let mut buffer = [0u8; 256];
        while let Some(count) = self.read(&mut buffer) {
            let read = buffer.get(..count).unwrap_or_default();
            if read.is_empty() || !read.iter().all(|&byte| take(byte)) {
                return;
            }
        }
    }
}

impl Drop for File {
    fn drop(&mut self) {
        // SAFETY: the descriptor is open and this value's own; after an error it is gone too.
        unsafe { numbered!(libc::SYS_close, self.0) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_all_bytes_in_order() {
        let file = File::open(c"/proc/self/cmdline").unwrap();
        let mut bytes = std::vec::Vec::new();
        file.each_byte(|byte| {
            bytes.push(byte);
            true
        });
        assert_eq!(bytes, std::fs::read("/proc/self/cmdline").unwrap());
    }

    #[test]
    fn a_missing_file_is_none() {
        assert!(File::open(c"/proc/self/no such file").is_none());
    }

    #[test]
    fn a_failing_read_is_none() {
        let directory = File::open(c"/proc/self").unwrap();
        assert_eq!(directory.read(&mut [0; 8]), None);
    }
}
