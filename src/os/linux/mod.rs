//! Layer: os. Linux, by system calls through `libc`, for glibc and musl. Uses `os` and `core`.
//!
//! | file | subject |
//! |---|---|
//! | `map` | mappings: making, protecting, emptying, moving |
//! | `guard` | guards kept in page tables |
//! | `probe` | what this kernel and processor offer |
//! | `limits` | how much the process may use |
//! | `file` | reading a small kernel file |
//! | `entropy` | random bytes |
//! | `futex` | sleeping and waking |
//! | `thread` | thread identity, thread exit |
//! | `words` | the heap's words in thread-local storage |
//! | `fork` | fork handlers |
//! | `secret` | memory for secrets: hidden, locked, kept from children |
//! | `terminal` | a terminal while a password is typed |
//! | `report` | the last words, and the end |
//!
//! A call that is a thread cancellation point in libc (`open`, `read`, `write`, `close`) is made by
//! number: a cancelled thread must not unwind out of an allocation. So are those about memory, whose
//! names a program may have given to functions of its own; and not by `syscall`, which is one, too.
#![expect(unsafe_code, reason = "errno, and the promise that is the `Os` trait")]

/// A system call by number, to be made in an unsafe block; -1 and `errno` if it fails.
#[cfg(not(test))]
macro_rules! numbered {
    ($number:expr $(, $argument:expr)* $(,)?) => {{
        let mut all = [0usize; 6];
        for (cell, argument) in all.iter_mut().zip([$($argument as usize),*] as [usize; _]) {
            *cell = argument;
        }
        super::by_number::by_number($number, all)
    }};
}
#[cfg(test)]
macro_rules! numbered {
    ($number:expr $(,)?) => { numbered!($number, 0, 0) };
    ($number:expr, $first:expr $(,)?) => { numbered!($number, $first, 0) };
    ($number:expr, $first:expr, $second:expr $(, $argument:expr)* $(,)?) => {
        if super::failing::fails_by_number($number, $second as libc::c_long) {
            -1
        } else {
            libc::syscall($number, $first, $second $(, $argument)*)
        }
    };
}

#[cfg(not(test))]
pub(crate) mod by_number;
mod entropy;
#[cfg(test)]
pub(crate) mod failing;
mod file;
mod fork;
mod futex;
mod guard;
#[cfg(not(any(test, fuzzing, casemate_low, not(target_pointer_width = "64"))))]
mod kernel;
mod limits;
mod map;
mod probe;
mod report;
#[cfg(feature = "secure")]
mod secret;
#[cfg(feature = "secure")]
pub(crate) mod terminal;
#[cfg(test)]
pub(crate) mod testing;
mod thread;
mod words;

use super::{Features, ForkHooks, MapError, Os, Thread, ThreadExit};
use core::sync::atomic::AtomicU32;
#[cfg(test)]
use failing as kernel;
#[cfg(all(not(test), any(fuzzing, casemate_low, not(target_pointer_width = "64"))))]
use libc as kernel;
use libc::c_int;

/// Linux, as it is found at run time.
pub struct Linux;

// SAFETY: `reserve` and `map` pass MAP_FIXED_NOREPLACE and check the address that came back, so
// they replace nothing; what the kernel maps anonymously, or discards, reads as zeros; every other
// method makes the one system call that its text names and passes on whether it succeeded;
// `entropy` counts the bytes that the kernel wrote and answers true only
// for the full length; `thread` takes the address of a thread-local as identity, and two live
// threads cannot have one object at the same address.
unsafe impl Os for Linux {
    fn page_size() -> usize {
        kept(limits::page_size)
    }

    fn probe() -> Features {
        kept(probe::features)
    }

    fn address_bits() -> u32 {
        kept(probe::address_bits)
    }

    fn reserve(at: usize, len: usize) -> Result<(), MapError> {
        kept(|| map::reserve(at, len))
    }

    fn map(at: usize, len: usize) -> Result<(), MapError> {
        kept(|| map::map(at, len))
    }

    fn unmap(at: usize, len: usize) -> Result<(), MapError> {
        kept(|| map::unmap(at, len))
    }

    fn open(at: usize, len: usize) -> Result<(), MapError> {
        kept(|| map::open(at, len))
    }

    fn close(at: usize, len: usize) -> Result<(), MapError> {
        kept(|| map::close(at, len))
    }

    fn withdraw(at: usize, len: usize) -> Result<(), MapError> {
        kept(|| map::withdraw(at, len))
    }

    fn read_only(at: usize, len: usize) -> Result<(), MapError> {
        kept(|| map::protect(at, len, libc::PROT_READ))
    }

    fn seal(at: usize, len: usize) -> Result<(), MapError> {
        kept(|| map::seal(at, len))
    }

    fn discard(at: usize, len: usize) -> Result<(), MapError> {
        kept(|| map::discard(at, len))
    }

    fn guard(at: usize, len: usize) -> Result<(), MapError> {
        kept(|| guard::install(at, len))
    }

    fn unguard(at: usize, len: usize) -> Result<(), MapError> {
        kept(|| guard::remove(at, len))
    }

    fn populate(at: usize, len: usize) {
        // A hint: a page that stays absent is filled in when it is touched.
        let _ = kept(|| map::advise(at, len, libc::MADV_POPULATE_WRITE));
    }

    fn move_pages(from: usize, to: usize, len: usize) -> Result<(), MapError> {
        kept(|| map::move_pages(from, to, len))
    }

    fn wipe_on_fork(at: usize, len: usize) -> Result<(), MapError> {
        kept(|| map::advise(at, len, libc::MADV_WIPEONFORK).map_err(cause))
    }

    fn dump(at: usize, len: usize) {
        let _ = kept(|| map::advise(at, len, libc::MADV_DODUMP));
    }

    fn no_dump(at: usize, len: usize) -> Result<(), MapError> {
        kept(|| map::advise(at, len, libc::MADV_DONTDUMP).map_err(cause))
    }

    fn has_address_space() -> bool {
        kept(map::is_page_to_be_had)
    }

    fn can_split() -> bool {
        kept(map::is_split_to_be_had)
    }

    fn address_space_limit() -> Option<usize> {
        kept(limits::address_space)
    }

    fn mapping_limit() -> usize {
        kept(limits::mappings)
    }

    fn processors() -> usize {
        kept(limits::processors)
    }

    fn page_table_bytes() -> Option<usize> {
        kept(limits::page_table_bytes)
    }

    fn entropy(out: &mut [u8]) -> bool {
        kept(|| entropy::fill(out))
    }

    fn wait(word: &AtomicU32, value: u32) {
        kept(|| futex::wait(word, value));
    }

    fn wake(word: &AtomicU32) {
        kept(|| futex::wake(word));
    }

    fn pause() {
        kept(futex::pause);
    }

    #[inline]
    fn thread<'t>() -> Thread<'t> {
        thread::current()
    }

    fn at_thread_exit<H: ThreadExit>() -> bool {
        kept(thread::at_exit::<H>)
    }

    fn at_fork<H: ForkHooks>() -> bool {
        kept(fork::register::<H>)
    }

    fn report(line: &[u8]) {
        kept(|| report::line(line));
    }

    fn abort() -> ! {
        report::abort()
    }
}

/// Runs `call` and gives the thread its `errno` back: a successful `malloc` may not change it.
#[inline]
fn kept<R>(call: impl FnOnce() -> R) -> R {
    let _keep = KeepErrno(errno());
    call()
}

/// `errno` as it was, put back on drop.
struct KeepErrno(c_int);

impl Drop for KeepErrno {
    #[inline]
    fn drop(&mut self) {
        set_errno(self.0);
    }
}

/// The calling thread's `errno`.
#[inline]
fn errno() -> c_int {
    // SAFETY: libc gives the address of the calling thread's own errno, valid and aligned for as
    // long as the thread lives.
    unsafe { *libc::__errno_location() }
}

/// Sets the calling thread's `errno`.
#[inline]
fn set_errno(value: c_int) {
    // SAFETY: as in `errno`; nobody holds a reference to it.
    unsafe { *libc::__errno_location() = value }
}

/// Zero is success; anything else left its reason in `errno`.
#[inline]
fn outcome(status: c_int) -> Result<(), c_int> {
    if status == 0 { Ok(()) } else { Err(errno()) }
}

/// What an `errno` from a mapping call means to the heap. What is not known is not there.
fn cause(errno: c_int) -> MapError {
    match errno {
        libc::ENOMEM | libc::EAGAIN => MapError::Exhausted,
        libc::EEXIST => MapError::Occupied,
        _ => MapError::Unsupported,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn causes() {
        assert_eq!(cause(libc::ENOMEM), MapError::Exhausted);
        assert_eq!(cause(libc::EAGAIN), MapError::Exhausted);
        assert_eq!(cause(libc::EEXIST), MapError::Occupied);
        for unsupported in [libc::EINVAL, libc::ENOSYS, libc::EPERM, libc::EACCES] {
            assert_eq!(cause(unsupported), MapError::Unsupported);
        }
    }

    #[test]
    fn failing_calls_keep_errno() {
        let page = Linux::page_size();
        set_errno(77);
        assert!(Linux::map(page / 2, page).is_err());
        assert!(Linux::open(page, page).is_err());
        Linux::populate(page, page);
        Linux::probe();
        assert_eq!(errno(), 77);
    }
}
