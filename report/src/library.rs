//! The library's side: what runs inside the programs. Allocates nothing, takes no lock, never
//! waits, and makes no system call except where a record is taken (`getpid`, `getppid`) and in
//! [`start`]; all of it may run in signal handlers and after fork.
//!
//! | the preload library calls | when |
//! | --- | --- |
//! | [`start`] | once, from its constructor |
//! | [`tick`] | on slow paths: it does next to nothing unless 10 ms have passed |
//! | [`witness`] | when the heap has found a violation, before it does anything |
//! | [`on_violation`] | as the heap's hook |
//! | [`end`] | from its destructor |
//!
//! Nothing here can be called too often, too early or in the wrong order: without [`start`], or
//! if that found no table, all of it does nothing.
#![expect(unsafe_code, reason = "the environment, system calls, a private page")]

use crate::layout::{
    GENERAL, LINE, NAME, Numbers, Origin, RECORDS, RESERVED, Record, State, Table, Text, VARIABLE,
    in_force,
};
use crate::{calls, mapping};
use casemate::inside::page_size;
use casemate::{Kind, Violation};
use core::ffi::{CStr, c_char};
use core::ptr;
use core::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed, Release};
use core::sync::atomic::{AtomicBool, AtomicPtr, AtomicU32, AtomicU64};
use libc::c_int;

/// Least time between two stores of the numbers by [`tick`], in nanoseconds.
const INTERVAL: u64 = 10_000_000;

/// What is fixed once [`start`] has run: in pages of its own that are read-only from then on, so
/// that an overwritten pointer cannot turn publishing into a write anywhere.
#[cfg_attr(target_arch = "x86_64", repr(C, align(4096)))]
#[cfg_attr(not(target_arch = "x86_64"), repr(C, align(65536)))]
struct Anchor {
    table: AtomicPtr<Table>,
    own: AtomicPtr<Own>,
    /// The kernel zeroes `own` in a forked child.
    wiped: AtomicBool,
    name: Text<{ NAME / 8 }>,
}

static ANCHOR: Anchor = Anchor {
    table: AtomicPtr::new(ptr::null_mut()),
    own: AtomicPtr::new(ptr::null_mut()),
    wiped: AtomicBool::new(false),
    name: Text::empty(),
};

/// What belongs to one process: in a page that reads as zeros in a forked child, which thereby
/// has no record and takes one of its own. A child of `vfork` shares its parent's memory and
/// record.
struct Own {
    /// [`NONE`], [`TAKING`], [`LOST`], or the number of the record and [`FIRST`].
    place: AtomicU32,
    /// When [`tick`] last stored.
    last: AtomicU64,
    /// Calls of [`tick`].
    ticks: AtomicU32,
    /// Whose page it is; looked at only where the kernel does not zero it.
    pid: AtomicU32,
}

const NONE: u32 = 0;
const TAKING: u32 = 1;
const FIRST: u32 = 2;
const LOST: u32 = u32::MAX;

/// Who asks for a record.
#[derive(Clone, Copy, PartialEq, Eq)]
enum For {
    Numbers,
    Violation,
}

/// A started channel.
#[derive(Clone, Copy)]
struct Channel {
    table: &'static Table,
    own: &'static Own,
}

/// Looks for the launcher's table and takes a record for this process. Reads nothing from the
/// environment of a process with raised privileges. Keeps `errno`. To be called once, when libc
/// is ready: from a constructor.
pub fn start() {
    // SAFETY: the calling thread's own; reading and writing it back changes nothing.
    let kept = unsafe { *libc::__errno_location() };
    start_up();
    // SAFETY: as above.
    unsafe { *libc::__errno_location() = kept };
}

fn start_up() {
    // SAFETY: takes a number and returns one.
    let raised = unsafe { libc::getauxval(libc::AT_SECURE) } != 0;
    if raised || !ANCHOR.table.load(Acquire).is_null() {
        return;
    }
    let Some(file) = variable() else { return };
    let Some(table) = mapping::open(file) else { return };
    let Some((own, wiped)) = private_page() else { return };
    // SAFETY: AT_EXECFN is null or a string of the kernel's that stays where it is.
    unsafe {
        let at = libc::getauxval(libc::AT_EXECFN) as usize;
        if at != 0 {
            ANCHOR.name.store(last_bytes(CStr::from_ptr(ptr::with_exposed_provenance(at))));
        }
    }
    ANCHOR.wiped.store(wiped, Relaxed);
    ANCHOR.own.store(own, Relaxed);
    ANCHOR.table.store(ptr::from_ref(table).cast_mut(), Release);
    // SAFETY: whole pages that hold nothing else, all of whose writes are above. Should it fail,
    // they stay writable and all works the same.
    unsafe {
        let at = (&raw const ANCHOR).cast_mut().cast();
        calls::mprotect(at, size_of::<Anchor>(), libc::PROT_READ);
    }
    if let Some(channel) = channel() {
        channel.take(Origin::Exec, For::Numbers);
        channel.publish();
    }
}

/// Stores the heap's numbers if 10 ms have passed since that was last done, and at the first call,
/// the second, the fourth and so on, for processes that do not live so long.
#[inline]
pub fn tick() {
    if let Some(channel) = channel() {
        let now = clock(libc::CLOCK_MONOTONIC_COARSE);
        let last = channel.own.last.load(Relaxed);
        let count = channel.own.ticks.fetch_add(1, Relaxed).wrapping_add(1);
        let due = now.wrapping_sub(last) >= INTERVAL || count.is_power_of_two();
        if due && channel.own.last.compare_exchange(last, now, Relaxed, Relaxed).is_ok() {
            channel.publish();
        }
    }
}

/// Stores the heap's numbers now.
#[cold]
pub fn publish() {
    if let Some(channel) = channel() {
        channel.publish();
    }
}

/// Stores a violation. Makes no system call once the process has a record: the strictest sandboxes
/// end a process at the first one.
#[cold]
pub fn witness(violation: &Violation) {
    let mut text = [0; LINE];
    let used = casemate::violation::line(violation, false, &mut text);
    if let Some(channel) = channel() {
        channel.violation(text.get(..used).unwrap_or_default());
    }
}

/// Stores the heap's last numbers: to be its hook. Looks at the heap only if its own records are
/// not what was found damaged.
#[cold]
pub fn on_violation(violation: &Violation) {
    if !matches!(violation.kind, Kind::Metadata | Kind::SecondHeap | Kind::StartUp) {
        publish();
    }
}

/// Stores the last numbers, and that the process ended in an orderly way.
pub fn end() {
    if let Some(channel) = channel() {
        channel.publish();
        if let Some(record) = channel.record(For::Numbers) {
            let (from, to) = (State::Running as u32, State::Exited as u32);
            // A violation in another thread stands.
            let _ = record.state.compare_exchange(from, to, Release, Relaxed);
        }
    }
}

#[inline(always)]
fn channel() -> Option<Channel> {
    let table = ANCHOR.table.load(Acquire);
    if table.is_null() {
        return None;
    }
    let own = ANCHOR.own.load(Relaxed);
    // SAFETY: both were stored by `start_up`, `own` first: mappings of the right size that stay
    // for good and hold nothing but atomics.
    unsafe { Some(Channel { table: &*table, own: &*own }) }
}

impl Channel {
    fn publish(self) {
        let Some(record) = self.record(For::Numbers) else { return };
        let usage = casemate::usage();
        if usage.heaps == 0 {
            return;
        }
        let numbers = Numbers {
            peak_bytes: usage.live_bytes.max(record.numbers[0].load(Relaxed)),
            live_bytes: usage.live_bytes,
            live_objects: usage.live_objects,
            allocated: usage.allocated,
            freed: usage.freed,
            committed: usage.committed,
            guards: usage.guards,
            quarantined: usage.quarantined,
            unguarded_slabs: usage.unguarded_slabs,
            heaps: u64::from(usage.heaps),
            mismatches: usage.mismatches,
        };
        for (to, from) in record.numbers.iter().zip(numbers.to_array()) {
            to.store(from, Relaxed);
        }
        let report = casemate::protections();
        let policies = crate::reader::POLICIES;
        let policy = policies.iter().find(|(_, name)| *name == report.policy);
        record.policy.store(policy.map_or(0, |(number, _)| *number), Relaxed);
        record.protections.store(report.set.bits(), Relaxed);
        record.region_bits.store(report.region_bits, Relaxed);
        let bits = [
            (report.guard_markers, in_force::MARKERS),
            (report.read_only, in_force::READ_ONLY),
            (report.sealed, in_force::SEALED),
            (report.raw_fork_noticed, in_force::RAW_FORK),
            (report.aes, in_force::AES),
            (report.reserved, in_force::SPACE_RESERVED),
        ];
        let bits = bits.iter().filter(|(on, _)| *on).fold(0, |all, (_, bit)| all | bit);
        record.in_force.store(bits, Relaxed);
        record.updated.store(clock(libc::CLOCK_MONOTONIC), Release);
    }

    fn violation(self, text: &[u8]) {
        let header = &self.table.header;
        let Some(record) = self.record(For::Violation) else {
            header.lost_violations.fetch_add(1, Relaxed);
            header.violations.fetch_add(1, Release);
            return;
        };
        // The first one's words stay: what follows is often its consequence.
        if record.first.swap(1, Relaxed) == 0 {
            record.line.store(text);
        }
        record.violations.fetch_add(1, Release);
        record.state.store(State::Violated as u32, Release);
        header.violations.fetch_add(1, Release);
    }

    /// This process's record. `None`: there is none to be had, or this very thread was
    /// interrupted taking one.
    fn record(self, what: For) -> Option<&'static Record> {
        if !ANCHOR.wiped.load(Relaxed) && self.own.pid.load(Relaxed) != calls::process() {
            self.own.place.store(NONE, Relaxed);
        }
        match self.own.place.load(Acquire) {
            NONE => self.take(Origin::Fork, what),
            TAKING => None,
            LOST if what == For::Numbers => None,
            LOST => self.take_reserved(),
            place => self.table.record.get(place.wrapping_sub(FIRST) as usize),
        }
    }

    fn take(self, origin: Origin, what: For) -> Option<&'static Record> {
        let own = self.own;
        own.place.compare_exchange(NONE, TAKING, AcqRel, Relaxed).ok()?;
        own.pid.store(calls::process(), Relaxed);
        let next = &self.table.header.next;
        for place in draws(next, GENERAL) {
            if let Some(record) = self.fill(place, origin) {
                own.place.store(place as u32 + FIRST, Release);
                return Some(record);
            }
        }
        self.table.header.lost.fetch_add(1, Relaxed);
        own.place.store(LOST, Release);
        if what == For::Violation { self.take_reserved() } else { None }
    }

    fn take_reserved(self) -> Option<&'static Record> {
        for place in draws(&self.table.header.next_reserved, RESERVED) {
            let place = GENERAL + place;
            if let Some(record) = self.fill(place, Origin::Exec) {
                self.own.place.store(place as u32 + FIRST, Release);
                return Some(record);
            }
        }
        None
    }

    fn fill(self, place: usize, origin: Origin) -> Option<&'static Record> {
        let record = self.table.record.get(place).filter(|_| place < RECORDS)?;
        let (free, taken) = (State::Free as u32, State::Taken as u32);
        record.state.compare_exchange(free, taken, AcqRel, Relaxed).ok()?;
        record.pid.store(calls::process(), Relaxed);
        record.parent.store(calls::parent(), Relaxed);
        record.origin.store(origin as u32, Relaxed);
        record.started.store(clock(libc::CLOCK_MONOTONIC), Relaxed);
        record.name.copy(&ANCHOR.name);
        record.state.store(State::Running as u32, Release);
        Some(record)
    }
}

/// Numbers below `most`, drawn one after the other: at most as many as there are, also if another
/// process that writes to the table sets the counter back again and again.
fn draws(next: &AtomicU32, most: usize) -> impl Iterator<Item = usize> {
    (0..most).map_while(move |_| draw(next, most))
}

/// The next number below `most`; never counts on from there, so that it cannot wrap around.
fn draw(next: &AtomicU32, most: usize) -> Option<usize> {
    if next.load(Relaxed) as usize >= most {
        return None;
    }
    let number = next.fetch_add(1, AcqRel) as usize;
    (number < most).then_some(number)
}

/// A page for [`Own`] between two inaccessible ones, and whether the kernel zeroes it at a fork.
fn private_page() -> Option<(*mut Own, bool)> {
    let page = page_size();
    let private = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
    // SAFETY: a new mapping, of which the middle page is opened.
    unsafe {
        let around = calls::mmap(ptr::null_mut(), 3 * page, libc::PROT_NONE, private, -1);
        if around == libc::MAP_FAILED {
            return None;
        }
        let at = around.wrapping_byte_add(page);
        if calls::mprotect(at, page, libc::PROT_READ | libc::PROT_WRITE) != 0 {
            calls::munmap(around, 3 * page);
            return None;
        }
        let wiped = calls::madvise(at, page, libc::MADV_WIPEONFORK) == 0;
        Some((at.cast(), wiped))
    }
}

/// The descriptor that the environment names.
fn variable() -> Option<c_int> {
    unsafe extern "C" {
        /// The reserved name of `environ`, which a program may have given to a variable of its own.
        static __environ: *const *const c_char;
    }
    // SAFETY: libc's pointer to a list of strings that ends with null, or null before libc is
    // ready. A constructor runs before the program can change it in another thread.
    unsafe {
        let mut next = __environ;
        while !next.is_null() && !(*next).is_null() {
            let entry = CStr::from_ptr(*next).to_bytes();
            if let Some(value) = entry.strip_prefix(VARIABLE.as_bytes())
                && let Some(value) = value.strip_prefix(b"=")
            {
                return descriptor(value);
            }
            next = next.add(1);
        }
    }
    None
}

/// A descriptor's number: decimal digits and nothing else.
fn descriptor(value: &[u8]) -> Option<c_int> {
    if value.is_empty() || value.len() > 7 {
        return None;
    }
    let mut number = 0;
    for &digit in value {
        if !digit.is_ascii_digit() {
            return None;
        }
        number = number * 10 + c_int::from(digit - b'0');
    }
    Some(number)
}

/// The end of a path, as much as a record holds.
fn last_bytes(path: &CStr) -> &[u8] {
    let bytes = path.to_bytes();
    bytes.get(bytes.len().saturating_sub(NAME)..).unwrap_or_default()
}

/// A clock in nanoseconds, read without entering the kernel; 0 if it cannot be.
fn clock(which: libc::clockid_t) -> u64 {
    let mut now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the structure is borrowed for the call.
    unsafe { libc::clock_gettime(which, &raw mut now) };
    (now.tv_sec as u64).wrapping_mul(1_000_000_000).wrapping_add(now.tv_nsec as u64)
}

#[cfg(test)]
mod tests;
