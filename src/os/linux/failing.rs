//! Layer: os, tests only. The kernel as `os/linux` calls it, where a test can have any call fail.
//!
//! In every build but the crate's own unit tests `kernel` is the `libc` crate itself and
//! `numbered!` its `syscall`: nothing of this file is compiled, so no feature, variable or
//! dependency can switch failures on. What a terminal is asked for is in `terminal`.
//!
//! Which call fails is told by a [`Plan`]; what was called and what failed is counted in a
//! [`Record`], which may lie in memory shared with another process.
#![expect(unsafe_code, reason = "stands in for libc's functions")]

mod calls;
#[cfg(feature = "secure")]
mod terminal;

use super::set_errno;
pub use calls::{CALLS, Call, Calls};
use core::ffi::c_void;
use core::ptr::null_mut;
use core::sync::atomic::{AtomicPtr, AtomicU64, Ordering::Relaxed};
use libc::{c_int, c_long};
#[cfg(feature = "secure")]
pub use terminal::*;

/// What is to fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Plan {
    /// Among these calls...
    pub calls: Calls,
    /// ...the one of this number, from 1; 0 for none...
    pub first: u64,
    /// ...and this many behind it.
    pub more: u64,
    /// Which of the call's [`errors`](Call::errors), modulo their number.
    pub error: usize,
    /// Whether the kernel did half of what was asked for before it failed, where it can.
    pub half: bool,
    /// These fail at all times, as on an older kernel or under a filter.
    pub never: Calls,
}

impl Plan {
    /// Nothing fails.
    pub const NOTHING: Plan =
        Plan { calls: Calls::NONE, first: 0, more: 0, error: 0, half: false, never: Calls::NONE };
}

/// What was called and what failed, by [`Call`].
#[repr(C)]
pub struct Record {
    pub seen: [AtomicU64; CALLS],
    pub failed: [AtomicU64; CALLS],
}

static OWN: Record = Record {
    seen: [const { AtomicU64::new(0) }; CALLS],
    failed: [const { AtomicU64::new(0) }; CALLS],
};
static RECORD: AtomicPtr<Record> = AtomicPtr::new(null_mut());

static SET: AtomicU64 = AtomicU64::new(0);
static FIRST: AtomicU64 = AtomicU64::new(0);
static MORE: AtomicU64 = AtomicU64::new(0);
static ERROR: AtomicU64 = AtomicU64::new(0);
static HALF: AtomicU64 = AtomicU64::new(0);
static NEVER: AtomicU64 = AtomicU64::new(0);
static COUNT: AtomicU64 = AtomicU64::new(0);

/// From now on calls are counted there.
pub fn record_in(record: &'static Record) {
    RECORD.store((&raw const *record).cast_mut(), Relaxed);
}

/// From now on calls fail by this plan, counted anew. For a process with one thread.
pub fn arm(plan: &Plan) {
    SET.store(0, Relaxed);
    COUNT.store(0, Relaxed);
    FIRST.store(plan.first, Relaxed);
    MORE.store(plan.more, Relaxed);
    ERROR.store(plan.error as u64, Relaxed);
    HALF.store(u64::from(plan.half), Relaxed);
    NEVER.store(plan.never.0, Relaxed);
    SET.store(plan.calls.0, Relaxed);
}

/// No more calls fail, but for those that never work.
pub fn disarm() {
    SET.store(0, Relaxed);
}

fn record() -> &'static Record {
    // SAFETY: null, or a record that stays, by the argument's type.
    unsafe { RECORD.load(Relaxed).as_ref() }.unwrap_or(&OWN)
}

/// Whether such a call was made to fail.
#[cfg(feature = "secure")]
pub fn has_failed(call: Call) -> bool {
    record().failed[call as usize].load(Relaxed) != 0
}

/// The error that this call is to give, if any.
fn refused(call: Call) -> Option<c_int> {
    let record = record();
    record.seen[call as usize].fetch_add(1, Relaxed);
    let never = Calls(NEVER.load(Relaxed)).has(call);
    if !never {
        if !Calls(SET.load(Relaxed)).has(call) {
            return None;
        }
        let number = COUNT.fetch_add(1, Relaxed) + 1;
        let first = FIRST.load(Relaxed);
        if first == 0 || number < first || number - first > MORE.load(Relaxed) {
            return None;
        }
    }
    record.failed[call as usize].fetch_add(1, Relaxed);
    let errors = call.errors();
    if HALF.load(Relaxed) != 0 && call.is_done_by_halves() {
        // A move of more than one mapping fails late with another.
        let late = call == Call::Move && ERROR.load(Relaxed) & 1 != 0;
        return Some(if late { libc::EFAULT } else { libc::ENOMEM });
    }
    Some(errors[ERROR.load(Relaxed) as usize % errors.len()])
}

/// As a function of libc's that fails, if this call is to.
fn fails(call: Call) -> bool {
    refused(call).inspect(|&errno| set_errno(errno)).is_some()
}

/// Half of a range, in whole pages; 0 unless this call is to do half of its work. Only for want of
/// memory, or late: other errors come before any work.
fn half(call: Call, len: usize) -> usize {
    if HALF.load(Relaxed) == 0
        || !call.is_done_by_halves()
        || !matches!(super::errno(), libc::ENOMEM | libc::EFAULT)
    {
        return 0;
    }
    (len / 2) & !(super::limits::page_size() - 1)
}

/// Whether a call by this number is to fail; `operation` is its second argument. Sets `errno`.
pub fn fails_by_number(number: c_long, operation: c_long) -> bool {
    let wakes = operation & 0x7f == c_long::from(libc::FUTEX_WAKE);
    fails(match number {
        libc::SYS_mseal => Call::Seal,
        libc::SYS_memfd_secret => Call::SecretFile,
        libc::SYS_getrandom => Call::Random,
        libc::SYS_openat => Call::OpenFile,
        libc::SYS_read => Call::ReadFile,
        libc::SYS_close => {
            // The descriptor is gone even so: the caller closes it for real.
            let _ = refused(Call::CloseFile);
            return false;
        }
        // Not to change the mask.
        libc::SYS_rt_sigprocmask if operation == 0 => Call::Touch,
        libc::SYS_futex if wakes => Call::Wake,
        libc::SYS_futex => Call::Sleep,
        libc::SYS_write => Call::Write,
        libc::SYS_getpid | libc::SYS_gettid => Call::Who,
        libc::SYS_tgkill => Call::Kill,
        libc::SYS_exit_group => Call::Exit,
        _ => Call::OtherNumber,
    })
}

/// # Safety
/// That of the C library's function; so for all that follow.
pub unsafe fn mmap(
    at: *mut c_void,
    len: usize,
    protection: c_int,
    flags: c_int,
    file: c_int,
    offset: libc::off_t,
) -> *mut c_void {
    let over = flags & libc::MAP_FIXED != 0;
    let call = match (file, over, protection) {
        (0.., ..) => Call::MapFile,
        (_, true, libc::PROT_NONE) => Call::TakeAway,
        (_, true, _) => Call::MapOver,
        (.., libc::PROT_NONE) => Call::MapReserve,
        _ if at.is_null() => Call::MapAnywhere,
        _ => Call::MapPlace,
    };
    if fails(call) {
        return libc::MAP_FAILED;
    }
    // SAFETY: the caller's.
    unsafe { libc::mmap(at, len, protection, flags, file, offset) }
}

pub unsafe fn munmap(at: *mut c_void, len: usize) -> c_int {
    if fails(Call::Unmap) {
        // Not half: the kernel splits what has to be split before it removes anything.
        return -1;
    }
    // SAFETY: the caller's.
    unsafe { libc::munmap(at, len) }
}

pub unsafe fn mprotect(at: *mut c_void, len: usize, protection: c_int) -> c_int {
    let call = match protection {
        libc::PROT_NONE => Call::Close,
        libc::PROT_READ => Call::ReadOnly,
        _ => Call::Open,
    };
    if fails(call) {
        return -1;
    }
    // SAFETY: the caller's.
    unsafe { libc::mprotect(at, len, protection) }
}

pub unsafe fn madvise(at: *mut c_void, len: usize, advice: c_int) -> c_int {
    let call = match advice {
        libc::MADV_DONTFORK => Call::NoFork,
        libc::MADV_WIPEONFORK => Call::WipeOnFork,
        libc::MADV_DONTNEED => Call::Discard,
        libc::MADV_DONTNEED_LOCKED => Call::DiscardLocked,
        libc::MADV_DODUMP => Call::Dump,
        libc::MADV_DONTDUMP => Call::NoDump,
        libc::MADV_POPULATE_WRITE => Call::Populate,
        libc::MADV_NORMAL => Call::Ask,
        102 => Call::Guard,
        103 => Call::Unguard,
        _ => Call::OtherAdvice,
    };
    if fails(call) {
        keep_errno(|| {
            // SAFETY: the caller's; page by page is how the kernel goes about it.
            unsafe { libc::madvise(at, half(call, len), advice) };
        });
        return -1;
    }
    // SAFETY: the caller's.
    unsafe { libc::madvise(at, len, advice) }
}

pub unsafe fn mremap(
    from: *mut c_void,
    len: usize,
    new: usize,
    flags: c_int,
    to: *mut c_void,
) -> *mut c_void {
    if fails(Call::Move) {
        if half(Call::Move, len) != 0 {
            // A move that fails late has removed what was at its target.
            keep_errno(|| {
                // SAFETY: the caller's: the target may be replaced.
                unsafe { libc::munmap(to, len) };
            });
        }
        return libc::MAP_FAILED;
    }
    // SAFETY: the caller's.
    unsafe { libc::mremap(from, len, new, flags, to) }
}

#[cfg(feature = "secure")]
pub unsafe fn mlock(at: *const c_void, len: usize) -> c_int {
    if fails(Call::Lock) {
        return -1;
    }
    // SAFETY: the caller's.
    unsafe { libc::mlock(at, len) }
}

#[cfg(feature = "secure")]
pub unsafe fn ftruncate(file: c_int, len: libc::off_t) -> c_int {
    if fails(Call::Truncate) {
        return -1;
    }
    // SAFETY: the caller's.
    unsafe { libc::ftruncate(file, len) }
}

pub unsafe fn getrlimit(what: libc::__rlimit_resource_t, limit: *mut libc::rlimit) -> c_int {
    if fails(Call::Limit) {
        return -1;
    }
    // SAFETY: the caller's.
    unsafe { libc::getrlimit(what, limit) }
}

pub unsafe fn sched_getaffinity(
    thread: libc::pid_t,
    len: usize,
    mask: *mut libc::cpu_set_t,
) -> c_int {
    if fails(Call::Processors) {
        return -1;
    }
    // SAFETY: the caller's.
    unsafe { libc::sched_getaffinity(thread, len, mask) }
}

#[cfg(feature = "secure")]
pub unsafe fn sysinfo(info: *mut libc::sysinfo) -> c_int {
    if fails(Call::Machine) {
        return -1;
    }
    // SAFETY: the caller's.
    unsafe { libc::sysinfo(info) }
}

pub unsafe fn pthread_atfork(
    prepare: Option<unsafe extern "C" fn()>,
    parent: Option<unsafe extern "C" fn()>,
    child: Option<unsafe extern "C" fn()>,
) -> c_int {
    if let Some(errno) = refused(Call::AtFork) {
        return errno;
    }
    // SAFETY: the caller's.
    unsafe { libc::pthread_atfork(prepare, parent, child) }
}

pub unsafe fn pthread_key_create(
    key: *mut libc::pthread_key_t,
    destructor: Option<unsafe extern "C" fn(*mut c_void)>,
) -> c_int {
    if let Some(errno) = refused(Call::Key) {
        return errno;
    }
    // SAFETY: the caller's.
    unsafe { libc::pthread_key_create(key, destructor) }
}

pub unsafe fn pthread_setspecific(key: libc::pthread_key_t, value: *const c_void) -> c_int {
    if let Some(errno) = refused(Call::KeyValue) {
        return errno;
    }
    // SAFETY: the caller's.
    unsafe { libc::pthread_setspecific(key, value) }
}

fn keep_errno(act: impl FnOnce()) {
    let errno = super::errno();
    act();
    set_errno(errno);
}
