//! Layer: os. Mappings: making, protecting, emptying and moving them. Uses `libc`.
//!
//! Nothing here reads or writes through an address: it is a number for the kernel to check. That
//! a range taken from under a mapping has no references into it is the heap's part, which keeps
//! its own ranges as numbers and hands in no others.
#![expect(unsafe_code, reason = "mmap, munmap, mprotect, mremap, madvise and mseal")]

use super::{cause, errno, kernel, outcome};
use crate::os::{MapError, pointer};
use core::ffi::c_void;
use libc::c_int;

const ANONYMOUS: c_int = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;

/// Reserves address space: inaccessible, not charged and left out of core dumps. The kernel's own
/// dumps skip it anyway; a debugger's write it out as zeros, terabytes of them (gdb's
/// `generate-core-file`), unless the mapping is marked so.
pub(super) fn reserve(at: usize, len: usize) -> Result<(), MapError> {
    place(at, len, libc::PROT_NONE, libc::MAP_NORESERVE)?;
    let _ = advise(at, len, libc::MADV_DONTDUMP);
    Ok(())
}

/// Makes mapped memory readable and writable. Whether core dumps have it stays as it was.
pub(super) fn open(at: usize, len: usize) -> Result<(), MapError> {
    protect(at, len, libc::PROT_READ | libc::PROT_WRITE)
}

/// Makes mapped memory inaccessible. Marked as reservations are, so that the kernel can join them.
pub(super) fn close(at: usize, len: usize) -> Result<(), MapError> {
    protect(at, len, libc::PROT_NONE)?;
    let _ = advise(at, len, libc::MADV_DONTDUMP);
    Ok(())
}

/// Puts a reservation in the place of mapped memory, in one step: what was writable stays charged
/// when it is only protected, which counts under strict overcommit (mm/mprotect.c).
pub(super) fn withdraw(at: usize, len: usize) -> Result<(), MapError> {
    let flags = ANONYMOUS | libc::MAP_FIXED | libc::MAP_NORESERVE;
    // SAFETY: the range is the heap's own: see the head of this file. What the call replaces is
    // given up.
    let mapped = unsafe { kernel::mmap(pointer(at), len, libc::PROT_NONE, flags, -1, 0) };
    if mapped == libc::MAP_FAILED {
        let errno = errno();
        // One that fails late has removed what was there; the hole must not be given to others.
        return reserve(at, len).map_err(|_| cause(errno));
    }
    let _ = advise(at, len, libc::MADV_DONTDUMP);
    Ok(())
}

/// Maps zero-filled memory.
pub(super) fn map(at: usize, len: usize) -> Result<(), MapError> {
    place(at, len, libc::PROT_READ | libc::PROT_WRITE, 0)
}

/// Maps at `at` exactly, never over anything.
fn place(at: usize, len: usize, protection: c_int, extra: c_int) -> Result<(), MapError> {
    let flags = ANONYMOUS | libc::MAP_FIXED_NOREPLACE | extra;
    // SAFETY: without MAP_FIXED no existing mapping is replaced, so no memory in use changes; an
    // anonymous mapping needs no descriptor.
    let mapped = unsafe { kernel::mmap(pointer(at), len, protection, flags, -1, 0) };
    if mapped == libc::MAP_FAILED {
        return Err(cause(errno()));
    }
    let got = mapped.expose_provenance();
    if got == at {
        return Ok(());
    }
    // Before Linux 4.17 the flag is unknown and the address a hint.
    unmap(got, len)?;
    Err(MapError::Occupied)
}

/// Maps `len` readable and writable bytes wherever the kernel likes, for trials.
pub(super) fn scratch(len: usize) -> Result<usize, MapError> {
    anywhere(len, libc::PROT_READ | libc::PROT_WRITE)
}

fn anywhere(len: usize, protection: c_int) -> Result<usize, MapError> {
    // SAFETY: the kernel chooses a free range, so no memory in use changes.
    let mapped = unsafe { kernel::mmap(pointer(0), len, protection, ANONYMOUS, -1, 0) };
    if mapped == libc::MAP_FAILED {
        return Err(cause(errno()));
    }
    Ok(mapped.expose_provenance())
}

/// Maps a page anywhere and removes it.
pub(super) fn is_page_to_be_had() -> bool {
    let page = super::limits::page_size();
    scratch(page).is_ok_and(|at| unmap(at, page).is_ok())
}

/// Maps three pages anywhere, protects the one in the middle and removes them. None is writable:
/// the kernel charges for those, and memory that ran out would look like mappings that ran out.
pub(super) fn is_split_to_be_had() -> bool {
    let page = super::limits::page_size();
    let Ok(at) = anywhere(3 * page, libc::PROT_NONE) else { return false };
    let split = protect(at + page, page, libc::PROT_READ).is_ok();
    // Without a split the first may have become part of a neighbour: all of it goes at once.
    unmap(at, 3 * page).is_ok() && split
}

/// Removes mappings.
pub(super) fn unmap(at: usize, len: usize) -> Result<(), MapError> {
    // SAFETY: the range is one that the heap mapped and has given up: see the head of this file.
    outcome(unsafe { kernel::munmap(pointer(at), len) }).map_err(cause)
}

/// Changes what may be done with mapped memory.
pub(super) fn protect(at: usize, len: usize, protection: c_int) -> Result<(), MapError> {
    // SAFETY: the range is the heap's own: see the head of this file. No protection passed here
    // makes memory executable.
    outcome(unsafe { kernel::mprotect(pointer(at), len, protection) }).map_err(cause)
}

/// Forbids further changes of a mapping.
pub(super) fn seal(at: usize, len: usize) -> Result<(), MapError> {
    let flags: libc::c_ulong = 0;
    // SAFETY: sealing takes permissions from later calls and touches no memory; the arguments are
    // of the widths that the kernel reads.
    let status = unsafe { numbered!(libc::SYS_mseal, at, len, flags) };
    if status == 0 { Ok(()) } else { Err(cause(errno())) }
}

/// Gives advice about a range; the error is the `errno`.
pub(super) fn advise(at: usize, len: usize, advice: c_int) -> Result<(), c_int> {
    // SAFETY: the range is the heap's own: see the head of this file. Advice that drops contents
    // leaves zeros or a fault behind, both valid for memory that nothing refers to.
    outcome(unsafe { kernel::madvise(pointer(at), len, advice) })
}

/// Drops contents; the pages read as zeros when next touched.
pub(super) fn discard(at: usize, len: usize) -> Result<(), MapError> {
    match advise(at, len, libc::MADV_DONTNEED) {
        // Locked memory refuses the plain advice.
        Err(libc::EINVAL) => advise(at, len, libc::MADV_DONTNEED_LOCKED).map_err(cause),
        other => other.map_err(cause),
    }
}

/// Moves pages, leaving `from` mapped and empty.
pub(super) fn move_pages(from: usize, to: usize, len: usize) -> Result<(), MapError> {
    let flags = libc::MREMAP_MAYMOVE | libc::MREMAP_FIXED | libc::MREMAP_DONTUNMAP;
    // SAFETY: both ranges are the heap's own: see the head of this file. `to` is a reservation,
    // so the contents that the call replaces are nobody's.
    let moved = unsafe { kernel::mremap(pointer(from), len, len, flags, pointer::<c_void>(to)) };
    if moved == libc::MAP_FAILED {
        let errno = errno();
        // A move that fails late has unmapped `to` already; the hole must not be given to others.
        let is_whole = reserve(to, len) == Err(MapError::Occupied)
            // What an old kernel and a filter say, before they look at the ranges.
            && (matches!(errno, libc::EINVAL | libc::EPERM | libc::ENOSYS) || is_mapped(to, len));
        return Err(if is_whole { cause(errno) } else { MapError::Occupied });
    }
    moved.expose_provenance();
    Ok(())
}

/// Whether there is no hole in a range, as far as the kernel tells: something may have been mapped
/// into one in the meantime.
fn is_mapped(at: usize, len: usize) -> bool {
    // Advice that changes nothing here; a hole gives ENOMEM.
    advise(at, len, libc::MADV_NORMAL).is_ok()
}

#[cfg(test)]
mod tests {
    use super::super::testing::{child, exited, free_range, lock, peek, poke, signal, touch};
    use crate::os::{Linux, MapError, Os};

    #[test]
    fn nothing_is_replaced() {
        let page = Linux::page_size();
        let at = free_range();
        Linux::map(at, 2 * page).unwrap();
        poke(at + page, 7);
        assert_eq!(Linux::map(at + page, page), Err(MapError::Occupied));
        assert_eq!(Linux::reserve(at, page), Err(MapError::Occupied));
        assert_eq!(Linux::reserve(at - page, 4 * page), Err(MapError::Occupied));
        assert_eq!(peek(at + page), 7);
        Linux::unmap(at, 2 * page).unwrap();
        Linux::reserve(at, 2 * page).unwrap();
        Linux::unmap(at, 2 * page).unwrap();
    }

    #[test]
    fn protections_hold() {
        let page = Linux::page_size();
        let at = free_range();
        Linux::reserve(at, page).unwrap();
        assert_eq!(signal(child(|| touch(at))), libc::SIGSEGV);
        Linux::open(at, page).unwrap();
        poke(at, 5);
        Linux::read_only(at, page).unwrap();
        assert_eq!(peek(at), 5);
        assert_eq!(signal(child(|| poke(at, 6))), libc::SIGSEGV);
        Linux::close(at, page).unwrap();
        assert_eq!(signal(child(|| touch(at))), libc::SIGSEGV);
        Linux::open(at, page).unwrap();
        assert_eq!(peek(at), 5);
        Linux::unmap(at, page).unwrap();
    }

    #[test]
    fn what_is_withdrawn_is_a_reservation_again() {
        let page = Linux::page_size();
        let at = free_range();
        Linux::reserve(at, 3 * page).unwrap();
        Linux::open(at, 3 * page).unwrap();
        (0..3).for_each(|i| poke(at + i * page, 5));
        Linux::withdraw(at + page, page).unwrap();
        assert_eq!(signal(child(|| touch(at + page))), libc::SIGSEGV);
        assert_eq!((peek(at), peek(at + 2 * page)), (5, 5));
        assert_eq!(Linux::reserve(at + page, page), Err(MapError::Occupied));
        Linux::open(at + page, page).unwrap();
        assert_eq!(peek(at + page), 0);
        // What is not mapped, or is in part, is all one.
        Linux::unmap(at, page).unwrap();
        Linux::withdraw(at, 3 * page).unwrap();
        assert_eq!(signal(child(|| touch(at + 2 * page))), libc::SIGSEGV);
        Linux::unmap(at, 3 * page).unwrap();
    }

    #[test]
    fn discarded_memory_is_zero_even_when_locked() {
        let page = Linux::page_size();
        let at = free_range();
        Linux::map(at, page).unwrap();
        poke(at, 9);
        Linux::discard(at, page).unwrap();
        assert_eq!(peek(at), 0);
        poke(at, 9);
        if lock(at, page) && Linux::discard(at, page).is_ok() {
            assert_eq!(peek(at), 0);
        }
        Linux::unmap(at, page).unwrap();
    }

    #[test]
    fn sealed_memory_stays() {
        if !Linux::probe().seal {
            return;
        }
        // In a child, since what is sealed cannot be removed again.
        let at = free_range();
        let status = child(|| {
            let page = Linux::page_size();
            Linux::map(at, page).unwrap();
            Linux::read_only(at, page).unwrap();
            Linux::seal(at, page).unwrap();
            assert_eq!(Linux::unmap(at, page), Err(MapError::Unsupported));
            assert_eq!(Linux::open(at, page), Err(MapError::Unsupported));
        });
        assert_eq!(exited(status), 0);
    }

    #[test]
    fn pages_move_and_leave_zeros() {
        let page = Linux::page_size();
        let (from, to) = (free_range(), free_range());
        Linux::map(from, 2 * page).unwrap();
        Linux::reserve(to, 2 * page).unwrap();
        poke(from + page, 3);
        if Linux::move_pages(from, to, 2 * page).is_ok() {
            assert_eq!(peek(to + page), 3);
            poke(to, 1);
            assert_eq!(peek(from + page), 0);
        }
        Linux::unmap(from, 2 * page).unwrap();
        Linux::unmap(to, 2 * page).unwrap();
    }

    #[test]
    fn a_failed_move_leaves_the_reservation() {
        let page = Linux::page_size();
        let (from, to) = (free_range(), free_range());
        Linux::reserve(to, page).unwrap();
        // Nothing is mapped at `from`.
        assert!(Linux::move_pages(from, to, page).is_err());
        assert_eq!(Linux::reserve(to, page), Err(MapError::Occupied));
        Linux::unmap(to, page).unwrap();
    }

    #[test]
    fn a_forked_child_finds_zeros() {
        let page = Linux::page_size();
        let at = free_range();
        Linux::map(at, page).unwrap();
        if Linux::wipe_on_fork(at, page).is_ok() {
            poke(at, 4);
            assert_eq!(exited(child(|| assert_eq!(peek(at), 0))), 0);
            assert_eq!(peek(at), 4);
        }
        Linux::unmap(at, page).unwrap();
    }

    /// Whether core dumps leave out the mapping that starts here (`VmFlags` of smaps).
    fn is_left_out(at: usize) -> bool {
        let maps = std::fs::read_to_string("/proc/self/smaps").unwrap();
        let own = maps.split_once(&std::format!("{at:x}-")).expect("a mapping starts there").1;
        let flags = own.lines().find(|line| line.starts_with("VmFlags:")).expect("flags");
        flags.split(' ').any(|flag| flag == "dd")
    }

    #[test]
    fn core_dumps_have_what_is_said() {
        let page = Linux::page_size();
        let at = free_range();
        Linux::reserve(at, 4 * page).unwrap();
        assert!(is_left_out(at));
        Linux::open(at + page, page).unwrap();
        Linux::dump(at + page, page);
        assert!(is_left_out(at) && !is_left_out(at + page) && is_left_out(at + 2 * page));
        Linux::close(at + page, page).unwrap();
        // Closed, it is one mapping with what is around it.
        assert!(is_left_out(at));
        let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
        assert!(!maps.contains(&std::format!("{:x}-", at + page)));
        Linux::unmap(at, 4 * page).unwrap();
    }

    #[test]
    fn hints_are_accepted() {
        let page = Linux::page_size();
        let at = free_range();
        Linux::map(at, page).unwrap();
        Linux::populate(at, page);
        Linux::no_dump(at, page).unwrap();
        assert_eq!(peek(at), 0);
        Linux::unmap(at, page).unwrap();
    }
}
