//! Layer: os. Memory for secrets: hidden, locked, kept from children, taken away. Uses `map`.
//!
//! Every call may be refused by an older kernel or a filter; the error is the `errno`, since the
//! caller tells a limit from a missing feature by it.
#![expect(unsafe_code, reason = "memfd_secret, mmap over own ranges, mlock, getrlimit")]

use super::{Linux, errno, file::File, kept, kernel, limits, map, outcome};
use crate::os::{Secrets, pointer};
use libc::{c_int, c_long};

/// Descriptor of a new file, closed on drop.
struct Descriptor(c_long);

impl Drop for Descriptor {
    fn drop(&mut self) {
        // SAFETY: the descriptor is open and this value's own.
        unsafe { numbered!(libc::SYS_close, self.0) };
    }
}

impl Secrets for Linux {
    fn map_secret(at: usize, len: usize) -> Result<(), i32> {
        kept(|| {
            // By number: glibc has no wrapper. A flag that is not known would be EINVAL.
            let flags = libc::O_CLOEXEC as libc::c_uint;
            // SAFETY: makes a descriptor; no memory is involved.
            let file = unsafe { numbered!(libc::SYS_memfd_secret, flags) };
            if file < 0 {
                return Err(errno());
            }
            let file = Descriptor(file);
            let length = libc::off_t::try_from(len).map_err(|_| libc::EINVAL)?;
            // SAFETY: the descriptor is this function's own.
            outcome(unsafe { kernel::ftruncate(file.0 as c_int, length) })?;
            let (protection, flags) =
                (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_SHARED | libc::MAP_FIXED);
            // SAFETY: replaces a reservation of the caller's, which holds nothing.
            let mapped =
                unsafe { kernel::mmap(pointer(at), len, protection, flags, file.0 as c_int, 0) };
            if mapped == libc::MAP_FAILED { Err(errno()) } else { Ok(()) }
        })
    }

    fn map_over(at: usize, len: usize) -> Result<(), i32> {
        kept(|| over(at, len, libc::PROT_READ | libc::PROT_WRITE, 0))
    }

    fn take_away(at: usize, len: usize) -> Result<(), i32> {
        kept(|| over(at, len, libc::PROT_NONE, libc::MAP_NORESERVE))
    }

    fn make_present(at: usize, len: usize) -> Result<(), i32> {
        kept(|| {
            let page = limits::page_size().max(1);
            (0..len).step_by(page).try_for_each(|offset| touch(at + offset))
        })
    }

    fn lock(at: usize, len: usize) -> Result<(), i32> {
        kept(|| {
            // SAFETY: changes no contents; the range is the caller's own, readable and writable.
            outcome(unsafe { kernel::mlock(pointer(at), len) })
        })
    }

    fn no_fork(at: usize, len: usize) -> Result<(), i32> {
        kept(|| map::advise(at, len, libc::MADV_DONTFORK))
    }

    fn lock_limit() -> Option<usize> {
        kept(|| {
            let infinity = libc::RLIM_INFINITY;
            let mut limit = libc::rlimit { rlim_cur: infinity, rlim_max: infinity };
            // SAFETY: `limit` is a valid place for the answer for the length of the call.
            let status = unsafe { kernel::getrlimit(libc::RLIMIT_MEMLOCK, &raw mut limit) };
            if status != 0 || limit.rlim_cur == infinity {
                return None;
            }
            usize::try_from(limit.rlim_cur).ok()
        })
    }

    fn physical_bytes() -> Option<usize> {
        kept(|| {
            let mut info = core::mem::MaybeUninit::<libc::sysinfo>::zeroed();
            // SAFETY: a valid place for the answer; zeros are one as well.
            let info = unsafe {
                outcome(kernel::sysinfo(info.as_mut_ptr())).ok()?;
                info.assume_init()
            };
            usize::try_from(info.totalram).ok()?.checked_mul(info.mem_unit as usize)
        })
    }

    fn locked_bytes() -> Option<usize> {
        kept(|| {
            File::open(c"/proc/self/status")
                .and_then(|file| limits::number_after(b"\nVmLck:", |take| file.each_byte(take)))
                .and_then(|kib| kib.checked_mul(crate::units::KIB))
        })
    }
}

/// Has the kernel write to a page, and makes it zero again.
///
/// The kernel has no call that makes hidden pages present: populating, locking and allocating are
/// refused or ignored for them. But where a write of its own meets a page that is not to be had,
/// the call fails with EFAULT. This one writes the thread's signal mask, and works under any filter
/// that lets a program raise a signal.
fn touch(at: usize) -> Result<(), i32> {
    let nothing = pointer::<u64>(0).cast_const();
    let (first, len) = (pointer::<u64>(at), size_of::<u64>());
    // SAFETY: null: the mask is not changed. The kernel writes `len` bytes at the start of a page
    // of the caller's, which nobody else knows, and so does this when the page is there.
    unsafe {
        let status = numbered!(libc::SYS_rt_sigprocmask, libc::SIG_BLOCK, nothing, first, len);
        if status != 0 {
            return Err(errno());
        }
        first.write_volatile(0);
    }
    Ok(())
}

/// Maps anonymous memory over a range that the caller has reserved or filled itself.
fn over(at: usize, len: usize, protection: c_int, extra: c_int) -> Result<(), i32> {
    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_FIXED | extra;
    // SAFETY: the range is the caller's own and what was in it is given up.
    let mapped = unsafe { kernel::mmap(pointer(at), len, protection, flags, -1, 0) };
    if mapped == libc::MAP_FAILED { Err(errno()) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{child, exited, free_range, peek, poke, signal, touch};
    use crate::os::{Linux, Os, Secrets};

    #[test]
    fn secret_memory_is_not_in_a_child_and_is_taken_away() {
        let page = Linux::page_size();
        let at = free_range();
        Linux::reserve(at, 3 * page).unwrap();
        match Linux::map_secret(at + page, page) {
            Ok(()) => {}
            Err(errno) => {
                assert!([libc::ENOSYS, libc::EPERM, libc::EAGAIN].contains(&errno), "{errno}");
                return;
            }
        }
        poke(at + page, 7);
        assert_eq!(exited(child(|| assert_eq!(peek(at + page), 7))), 0);
        Linux::no_fork(at + page, page).unwrap();
        assert_eq!(signal(child(|| touch(at + page))), libc::SIGSEGV);
        assert_eq!(peek(at + page), 7);
        for outside in [at, at + 2 * page] {
            assert_eq!(signal(child(|| touch(outside))), libc::SIGSEGV);
        }
        Linux::take_away(at + page, page).unwrap();
        assert_eq!(signal(child(|| touch(at + page))), libc::SIGSEGV);
        Linux::unmap(at, 3 * page).unwrap();
    }

    /// A file that ends before the mapping does: a page that is not to be had.
    #[test]
    fn pages_are_made_present_or_refused() {
        let page = Linux::page_size();
        let at = free_range();
        // SAFETY: a descriptor of this test's own, mapped at addresses of this test's own.
        unsafe {
            let file = libc::memfd_create(c"short".as_ptr(), libc::MFD_CLOEXEC);
            assert_eq!(libc::ftruncate(file, page as libc::off_t), 0);
            let both = libc::PROT_READ | libc::PROT_WRITE;
            let flags = libc::MAP_SHARED | libc::MAP_FIXED_NOREPLACE;
            let mapped = libc::mmap(crate::os::pointer(at), 2 * page, both, flags, file, 0);
            assert_ne!(mapped, libc::MAP_FAILED);
            libc::close(file);
        }
        assert_eq!(Linux::make_present(at, page), Ok(()));
        assert_eq!((peek(at), peek(at + 7)), (0, 0));
        assert_eq!(Linux::make_present(at, 2 * page), Err(libc::EFAULT));
        assert_eq!(signal(child(|| touch(at + page))), libc::SIGBUS);
        Linux::unmap(at, 2 * page).unwrap();
    }

    #[test]
    fn locked_memory_counts() {
        let page = Linux::page_size();
        let at = free_range();
        Linux::reserve(at, page).unwrap();
        Linux::map_over(at, page).unwrap();
        if Linux::lock(at, page).is_ok() {
            assert!(Linux::locked_bytes().unwrap() >= page);
        }
        assert_eq!(peek(at), 0);
        Linux::unmap(at, page).unwrap();
    }

    #[test]
    fn the_limit_is_read() {
        let status = child(|| {
            let limit = libc::rlimit { rlim_cur: 65536, rlim_max: 65536 };
            // SAFETY: a valid structure; this child's own limit.
            unsafe { libc::setrlimit(libc::RLIMIT_MEMLOCK, &raw const limit) };
            assert_eq!(Linux::lock_limit(), Some(65536));
        });
        assert_eq!(exited(status), 0);
    }
}
