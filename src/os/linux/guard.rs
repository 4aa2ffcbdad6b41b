//! Layer: os. Guards kept in page tables, which cost no mapping. Uses `map`.

use super::{cause, map};
use crate::os::MapError;
use libc::c_int;

/// `MADV_GUARD_INSTALL` of `include/uapi/asm-generic/mman-common.h` (Linux 6.13).
const MADV_GUARD_INSTALL: c_int = 102;
/// `MADV_GUARD_REMOVE`, from the same place.
const MADV_GUARD_REMOVE: c_int = 103;

/// How often a call that was disturbed is made again. The kernel restarts it on its own when
/// another thread faults pages in at the same time, so one is rarely needed.
const ATTEMPTS: u32 = 16;

/// Drops the contents of the range and makes any access to it a fault. After an error the range
/// has no guards, but may have lost its contents.
pub(super) fn install(at: usize, len: usize) -> Result<(), MapError> {
    let done = repeat(at, len, MADV_GUARD_INSTALL);
    if done.is_err() {
        // The kernel goes page by page and stops where it gets no page table, or at a mapping that
        // is locked. What it left would outlive every later `mprotect`.
        let _ = repeat(at, len, MADV_GUARD_REMOVE);
    }
    done
}

/// Makes guarded pages ordinary again, reading as zeros.
pub(super) fn remove(at: usize, len: usize) -> Result<(), MapError> {
    repeat(at, len, MADV_GUARD_REMOVE)
}

/// Both calls can be repeated: a page that is done already is not changed again.
fn repeat(at: usize, len: usize, advice: c_int) -> Result<(), MapError> {
    let mut left = ATTEMPTS;
    loop {
        match map::advise(at, len, advice) {
            Ok(()) => return Ok(()),
            Err(libc::EAGAIN | libc::EINTR) if left > 0 => left -= 1,
            Err(libc::EINTR) => return Err(MapError::Exhausted),
            Err(other) => return Err(cause(other)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{child, exited, free_range, lock, peek, poke, signal, touch};
    use crate::os::{Linux, MapError, Os};

    #[test]
    fn a_guard_faults_until_it_is_removed() {
        let page = Linux::page_size();
        let at = free_range();
        Linux::map(at, 3 * page).unwrap();
        if !Linux::probe().guards {
            assert_eq!(Linux::guard(at, page), Err(MapError::Unsupported));
            Linux::unmap(at, 3 * page).unwrap();
            return;
        }
        for index in 0..3 {
            poke(at + index * page, 8);
        }
        Linux::guard(at + page, page).unwrap();
        Linux::guard(at + page, page).unwrap();
        assert_eq!(signal(child(|| touch(at + page))), libc::SIGSEGV);
        assert_eq!(signal(child(|| poke(at + 2 * page - 1, 1))), libc::SIGSEGV);
        let neighbours = || assert_eq!((peek(at), peek(at + 2 * page)), (8, 8));
        assert_eq!(exited(child(neighbours)), 0);
        // Discarding and opening leave a guard where it is.
        Linux::discard(at + page, page).unwrap();
        Linux::open(at, 3 * page).unwrap();
        assert_eq!(signal(child(|| touch(at + page))), libc::SIGSEGV);
        Linux::unguard(at, 3 * page).unwrap();
        neighbours();
        assert_eq!(peek(at + page), 0);
        Linux::unmap(at, 3 * page).unwrap();
    }

    #[test]
    fn locked_memory_takes_no_guard() {
        let page = Linux::page_size();
        let at = free_range();
        Linux::map(at, page).unwrap();
        poke(at, 2);
        if lock(at, page) {
            assert_eq!(Linux::guard(at, page), Err(MapError::Unsupported));
            assert_eq!(peek(at), 2);
        }
        Linux::unmap(at, page).unwrap();
    }

    /// The kernel guards what lies before the locked page and then refuses.
    #[test]
    fn a_refusal_half_way_leaves_no_guard() {
        let page = Linux::page_size();
        let at = free_range();
        Linux::map(at, 4 * page).unwrap();
        if Linux::probe().guards && lock(at + 2 * page, page) {
            assert_eq!(Linux::guard(at, 4 * page), Err(MapError::Unsupported));
            assert_eq!(exited(child(|| (0..4).for_each(|i| touch(at + i * page)))), 0);
        }
        Linux::unmap(at, 4 * page).unwrap();
    }
}
