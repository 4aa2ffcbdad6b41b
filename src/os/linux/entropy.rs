//! Layer: os. Random bytes from the kernel. Uses `file`.
//!
//! By number and not by `libc::getrandom`, which older C libraries lack and which may be looked up
//! at run time through a pointer that an attacker could change.
#![expect(unsafe_code, reason = "getrandom by number")]

use super::{errno, file::File};

/// Fills all of `out`, or answers false. Sleeps at boot until the kernel has been seeded.
pub(super) fn fill(out: &mut [u8]) -> bool {
    complete(out, by_call) || complete(out, device())
}

/// Asks `source` until `out` is full; false as soon as it gives nothing.
fn complete(out: &mut [u8], source: impl Fn(&mut [u8]) -> Option<usize>) -> bool {
    let mut rest = out;
    while !rest.is_empty() {
        let count = match source(rest) {
            None | Some(0) => return false,
            Some(count) => count,
        };
        match rest.split_at_mut_checked(count) {
            Some((_, unfilled)) => rest = unfilled,
            None => return false,
        }
    }
    true
}

/// The system call; `None` where it is missing or a filter forbids it.
fn by_call(out: &mut [u8]) -> Option<usize> {
    let flags: libc::c_uint = 0;
    loop {
        // SAFETY: the kernel writes at most `out.len()` bytes, into memory borrowed for us.
        let count = unsafe { numbered!(libc::SYS_getrandom, out.as_mut_ptr(), out.len(), flags) };
        if let Ok(count) = usize::try_from(count) {
            return Some(count);
        }
        if errno() != libc::EINTR {
            return None;
        }
    }
}

/// The device that every kernel has, opened each time it is asked.
fn device() -> impl Fn(&mut [u8]) -> Option<usize> {
    |out| File::open(c"/dev/urandom")?.read(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::os::{Linux, Os};

    #[test]
    fn differs_and_is_not_zero() {
        let (mut first, mut second) = ([0u8; 40], [0u8; 40]);
        assert!(Linux::entropy(&mut first) && Linux::entropy(&mut second));
        assert_ne!(first, second);
        assert_ne!(first, [0; 40]);
        assert!(Linux::entropy(&mut []));
    }

    #[test]
    fn the_device_gives_bytes_too() {
        let mut bytes = [0u8; 40];
        assert!(complete(&mut bytes, device()));
        assert_ne!(bytes, [0; 40]);
    }

    #[test]
    fn short_answers_are_completed() {
        let mut bytes = [0u8; 40];
        let short = |out: &mut [u8]| {
            let count = out.len().min(7);
            out[..count].fill(1);
            Some(count)
        };
        assert!(complete(&mut bytes, short));
        assert_eq!(bytes, [1; 40]);
    }

    #[test]
    fn a_source_that_fails_or_lies_is_refused() {
        assert!(!complete(&mut [0; 8], |_| None));
        assert!(!complete(&mut [0; 8], |_| Some(0)));
        assert!(!complete(&mut [0; 8], |out| Some(out.len() + 1)));
    }
}
