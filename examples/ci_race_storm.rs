//! For `ci/race-storm`: forks by several threads at once, beside threads that start, allocate, free
//! each other's objects and end. Each fork meets all of them in the middle of something; each child
//! uses the heap as its parent left it, and some start a thread or look at every invariant.

#![expect(unsafe_code, reason = "fork and its kin")]

#[path = "ci_shared/bare_thread.rs"]
mod bare_thread;

use bare_thread::BareThread;
use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicUsize, Ordering};
use std::time::Instant;

use Ordering::{AcqRel, Relaxed};

#[global_allocator]
static HEAP: casemate::Casemate = casemate::Casemate::new();

static STOP: AtomicBool = AtomicBool::new(false);
static BEGUN: AtomicUsize = AtomicUsize::new(0);
static THREADS: AtomicUsize = AtomicUsize::new(0);
static EXCHANGED: AtomicUsize = AtomicUsize::new(0);

/// Objects on their way from one thread to another.
static SHOP: [AtomicPtr<Vec<u8>>; 32] = [const { AtomicPtr::new(core::ptr::null_mut()) }; 32];

/// Forking threads.
const FORKERS: usize = 3;
/// One child in so many starts a thread, one in so many walks over all invariants.
const WITH_THREAD: usize = 16;
const WITH_WALK: usize = 64;
/// Forks from one line of progress to the next.
const EACH: usize = 20_000;

fn object(i: usize) -> Vec<u8> {
    vec![1; if i % 97 == 96 { 1_100_000 } else { [16, 100, 500, 2000, 30][i % 5] + i % 30 }]
}

fn exchange(i: usize) {
    let made = Box::into_raw(Box::new(object(i)));
    let found = SHOP[i * 7 % SHOP.len()].swap(made, AcqRel);
    if !found.is_null() {
        // SAFETY: made by `Box::into_raw` and taken out by one exchange, so nobody else has it.
        let found = unsafe { Box::from_raw(found) };
        assert_eq!(found[0], 1, "contents");
        EXCHANGED.fetch_add(1, Relaxed);
    }
}

/// A thread's life: a few allocations as a guest, or enough for a heap of its own.
fn short_life() {
    let number = THREADS.fetch_add(1, Relaxed);
    for i in 0..if number.is_multiple_of(2) { 10 } else { 90 } {
        exchange(number + i * 3);
    }
}

fn starts_and_ends() {
    while !STOP.load(Relaxed) {
        BareThread::start(short_life).join();
    }
}

fn works() {
    let mut i = 0;
    while !STOP.load(Relaxed) {
        exchange(i);
        i += 1;
    }
}

fn forks(all: usize) {
    loop {
        let number = BEGUN.fetch_add(1, Relaxed);
        if number >= all {
            return;
        }
        if number != 0 && number.is_multiple_of(EACH) {
            println!("{number} forks");
        }
        let inherited = object(number);
        // SAFETY: the child uses the heap, threads of the C library and system calls alone, and
        // leaves without exit handlers.
        let child = unsafe { libc::fork() };
        assert!(child >= 0, "{}", std::io::Error::last_os_error());
        if child == 0 {
            in_child(number, inherited);
        }
        let mut status = 0;
        // SAFETY: waits for the child just made.
        while unsafe { libc::waitpid(child, &raw mut status, 0) } != child {}
        assert_eq!(status, 0, "child {number}: wait status {status:#x}");
    }
}

fn in_child(number: usize, inherited: Vec<u8>) -> ! {
    // SAFETY: ends a child that waits for ever.
    unsafe { libc::alarm(60) };
    drop(inherited);
    let held: Vec<_> = (0..6).map(|i| object(number + i)).collect();
    let right = held.iter().all(|bytes| bytes[0] == 1);
    drop(held);
    // What other threads were exchanging when they ceased to be.
    (0..4).for_each(|i| exchange(number + i));
    if number.is_multiple_of(WITH_THREAD) {
        BareThread::start(short_life).join();
    }
    let right = right && (!number.is_multiple_of(WITH_WALK) || casemate::verify().is_ok());
    // SAFETY: ends the child at once.
    unsafe { libc::_exit(i32::from(!right)) }
}

fn main() {
    let all: usize =
        std::env::args().nth(1).map_or(10_000, |number| number.parse().expect("a number"));
    let began = Instant::now();
    let beside = [BareThread::start(starts_and_ends), BareThread::start(starts_and_ends)];
    let busy = BareThread::start(works);
    std::thread::scope(|scope| {
        (0..FORKERS).for_each(|_| drop(scope.spawn(move || forks(all))));
    });
    STOP.store(true, Relaxed);
    beside.into_iter().chain([busy]).for_each(BareThread::join);
    casemate::verify().expect("every invariant");
    println!(
        "{all} forks by {FORKERS} threads, seen: {}; beside them {} threads started and ended, \
         {} objects freed by others; {:.0} s",
        casemate::stats().forks,
        THREADS.load(Relaxed),
        EXCHANGED.load(Relaxed),
        began.elapsed().as_secs_f64()
    );
}
