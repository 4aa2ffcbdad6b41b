//! Tests: allocation while others hold every lock.

#![expect(unsafe_code, reason = "makes children, takes over an object")]

use super::entry::number_in;
use super::shared::GUESTS;
use super::thread_heap::Standing;
use super::{Frozen, Heap, Options, Request};
use crate::os::{Linux, Os};
use crate::policy::Strict;
use crate::record::Origin;
use crate::slab::lock::{Holder, Lock, Rank};
use std::process::Command;
use std::string::String;
use std::sync::mpsc::channel;
use std::{boxed::Box, env, thread};

static OPTIONS: Options = Options::DEFAULT;

type Here = Heap<'static, Linux, Strict>;

fn started() -> Here {
    let heap = Heap::new(Box::leak(Box::new(Frozen::new())), &OPTIONS);
    heap.start().expect("the heap starts");
    heap
}

const REQUEST: Request = Request { size: 100, align: 16, origin: Origin::Malloc };

fn some(heap: Here) -> bool {
    heap.allocate(REQUEST).expect("no misuse").is_some()
}

/// Set in the process of one test.
const CASE: &str = "CASEMATE_HELD_CASE";

/// Runs a test in a process of its own: its heaps take much address space, of which other tests
/// of this binary ask for certain places.
pub(crate) fn alone_at(path: &str, body: impl FnOnce()) {
    if env::var(CASE).is_ok_and(|case| case == path) {
        return body();
    }
    let own = env::current_exe().expect("the test binary's path");
    let mut command = Command::new(own);
    command.args([path, "--exact", "--nocapture", "--test-threads=1"]).env(CASE, path);
    let output = command.output().expect("the test binary runs");
    let text = String::from_utf8_lossy(&output.stdout);
    let ran = text.contains("1 passed");
    assert!(ran, "{path}: {}\n{text}{}", output.status, String::from_utf8_lossy(&output.stderr));
}

fn alone(name: &str, body: impl FnOnce()) {
    alone_at(&std::format!("heap::held::{name}"), body);
}

/// Runs this while another thread holds what `hold` takes.
fn meanwhile(hold: impl FnOnce(&mut dyn FnMut()) + Send, run: impl FnOnce()) {
    let ((held, is_held), (done, is_done)) = (channel(), channel::<()>());
    thread::scope(|scope| {
        scope.spawn(move || {
            hold(&mut || {
                held.send(()).unwrap();
                let _ = is_done.recv();
            });
        });
        is_held.recv().unwrap();
        run();
        drop(done);
    });
}

fn with_guests_held(heap: Here, guest: usize, then: &mut dyn FnMut()) {
    if guest > GUESTS {
        return then();
    }
    let _held = heap.frozen.heap(guest).lock.acquire::<Linux>(Rank::Guest);
    with_guests_held(heap, guest + 1, then);
}

/// A handler that interrupted the use of a guest heap may not wait for another: its thread has no
/// heap of its own, and all guests are busy.
#[test]
fn a_handler_that_must_not_wait_is_served() {
    alone("a_handler_that_must_not_wait_is_served", || {
        let heap = started();
        meanwhile(
            |then| with_guests_held(heap, 1, then),
            || {
                let interrupted = Lock::EMPTY;
                let _held = interrupted.acquire::<Linux>(Rank::Guest);
                // Fewer than earn the thread a heap.
                assert!((0..60).all(|_| some(heap)));
            },
        );
        // What served it is there for the next.
        assert!(heap.shared().pool().take().is_some());
    });
}

/// Objects of threads that stay guests are sampled as those of others are: that none of 100,000 is has a
/// probability below 1e-40. A thread's first are not.
#[test]
fn guests_are_sampled() {
    alone("guests_are_sampled", || {
        let heap = started();
        let (slots, end) = (heap.plan().slots, heap.plan().regions << heap.plan().region_shift);
        let sampled = (0..100_000).filter(|_| {
            // Past the first ones, and not asked whether a heap is due.
            Linux::thread().word.set(65);
            let at = heap.allocate(REQUEST).expect("no misuse").expect("memory").addr().get();
            // SAFETY: allocated above, and used by nobody.
            unsafe { heap.free(at, Some(REQUEST)) }.expect("no misuse");
            at.wrapping_sub(slots) >= end
        });
        let sampled = sampled.count();
        assert!(sampled > 0);
        // Of each class the first comes of a refill.
        let first = (0..60).filter(|i| {
            Linux::thread().word.set(0);
            let request = Request { size: 16 * i + 16, ..REQUEST };
            let at = heap.allocate(request).expect("no misuse").expect("memory").addr().get();
            at.wrapping_sub(slots) >= end
        });
        assert_eq!(first.count(), 0);
        assert_eq!(number_in(Linux::thread().word.get()), 0);
    });
}

/// Once no more heaps are made for threads, guests of whom there are more at a time than guest heaps
/// get one for each processor.
#[test]
fn a_thread_that_finds_all_guests_busy_is_served() {
    alone("a_thread_that_finds_all_guests_busy_is_served", || {
        let heap = started();
        let own = 10 * heap.plan().processors;
        (0..own).for_each(|_| _ = heap.make(Standing::Owned).expect("memory"));
        let before = heap.stats().heaps;
        meanwhile(
            |then| with_guests_held(heap, 1, then),
            || {
                assert!((0..200).all(|_| some(heap)));
                assert_eq!(heap.stats().heaps, before + 1, "one served all of them");
            },
        );
        heap.verify().expect("every invariant");
    });
}

/// The parent's locks are nobody's in a child of a fork that ran no handlers, wherever it first
/// comes to one.
fn child_waits_for_no_lock(first: impl Fn(Here) -> bool) {
    let heap = started();
    assert!((0..1000).all(|_| some(heap)));
    child_of(heap, first);
}

fn child_of(heap: Here, first: impl Fn(Here) -> bool) {
    let hold = |then: &mut dyn FnMut()| {
        let _large = heap.shared().large.lock.acquire::<Linux>(Rank::Large);
        then();
    };
    meanwhile(hold, || {
        // SAFETY: the child does nothing but use this heap.
        let child = unsafe { libc::syscall(libc::SYS_clone, libc::SIGCHLD, 0, 0, 0, 0) };
        if child == 0 {
            // SAFETY: ends the child, by a signal if it waits.
            unsafe {
                libc::alarm(20);
                libc::_exit(i32::from(!first(heap) || !(0..1000).all(|_| some(heap))));
            }
        }
        let mut status = 0;
        // SAFETY: our child; the status is ours.
        unsafe { libc::waitpid(child as i32, &raw mut status, 0) };
        assert_eq!(status, 0, "the child waited or was refused memory");
    });
}

#[test]
fn a_child_waits_for_no_lock() {
    alone("a_child_waits_for_no_lock", || child_waits_for_no_lock(some));
}

#[test]
fn a_child_that_draws_a_guarded_sample_waits_for_no_lock() {
    alone("a_child_that_draws_a_guarded_sample_waits_for_no_lock", || {
        child_waits_for_no_lock(|heap| {
            heap.allocate_guarded(&REQUEST).expect("no misuse").is_some()
        });
    });
}

#[test]
fn a_child_that_needs_a_large_object_waits_for_no_lock() {
    let large = Request { size: 8 << 20, ..REQUEST };
    alone("a_child_that_needs_a_large_object_waits_for_no_lock", || {
        child_waits_for_no_lock(|heap| heap.allocate(large).expect("no misuse").is_some());
    });
}

#[test]
fn a_child_that_asks_for_a_size_waits_for_no_lock() {
    let large = Request { size: 8 << 20, ..REQUEST };
    alone("a_child_that_asks_for_a_size_waits_for_no_lock", || {
        let heap = started();
        let object = heap.allocate(large).expect("no misuse").expect("memory").addr().get();
        child_of(heap, |heap| {
            // SAFETY: the child's copy, which nobody frees.
            let taken_over = unsafe { heap.take_over(object) };
            heap.object_size(object) == 8 << 20 && taken_over.is_ok() && heap.verify().is_ok()
        });
    });
}

/// As the handlers of `fork` do it, in a handler that interrupted a call of this thread.
fn forked(heap: Here, on_each_side: impl Fn(bool)) {
    let held = Linux::thread().held.get();
    heap.before_fork();
    // SAFETY: the child does nothing but use this heap.
    let child = unsafe { libc::fork() };
    if child == 0 {
        // SAFETY: ends the child, by a signal if it waits.
        unsafe { libc::alarm(20) };
        let done = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            heap.after_fork_in_child().expect("the child starts over");
            on_each_side(true);
        }));
        // SAFETY: ends the child.
        unsafe { libc::_exit(if done.is_ok() { 0 } else { 1 }) };
    }
    heap.after_fork_in_parent();
    assert_eq!(Linux::thread().held.get(), held);
    on_each_side(false);
    let mut status = 0;
    // SAFETY: our child; the status is ours.
    unsafe { libc::waitpid(child, &raw mut status, 0) };
    assert_eq!(status, 0, "the child failed");
}

fn is_quiet(heap: Here) -> bool {
    let shared = heap.shared();
    let locks = shared.region.iter().map(|region| &region.lock);
    let guests = (1..=GUESTS).map(|guest| &heap.frozen.heap(guest).lock);
    locks.chain(guests).chain([&shared.lock, &shared.large.lock]).all(is_free)
}

fn is_free(lock: &Lock) -> bool {
    lock.holder::<Linux>() == Holder::Nobody
}

#[test]
fn a_fork_in_a_handler_leaves_the_locks_of_the_interrupted_call() {
    alone("a_fork_in_a_handler_leaves_the_locks_of_the_interrupted_call", || {
        let heap = started();
        assert!((0..1000).all(|_| some(heap)));
        let shared = heap.shared();
        let region = shared.region[3].lock.acquire::<Linux>(Rank::Region).expect("free");
        let large = shared.large.lock.acquire::<Linux>(Rank::Large).expect("free");
        let held = std::cell::Cell::new(Some((large, region)));
        forked(heap, |_| {
            assert_eq!(shared.region[3].lock.holder::<Linux>(), Holder::Call);
            assert_eq!(shared.large.lock.holder::<Linux>(), Holder::Call);
            assert!((0..1000).all(|_| some(heap)), "handlers are served");
            // The interrupted call goes on.
            let held = held.take().expect("each side has its own");
            drop(held.0);
            drop(held.1);
            assert!(is_quiet(heap));
            let large = Request { size: 8 << 20, ..REQUEST };
            assert!(heap.allocate(large).expect("no misuse").is_some());
            assert!((0..1000).all(|_| some(heap)));
            heap.verify().expect("every invariant");
        });
    });
}

#[test]
fn a_fork_in_a_handler_leaves_the_guest_heap_of_the_interrupted_call() {
    alone("a_fork_in_a_handler_leaves_the_guest_heap_of_the_interrupted_call", || {
        let heap = started();
        assert!((0..1000).all(|_| some(heap)));
        let guest = heap.frozen.heap(2);
        let held = guest.lock.acquire::<Linux>(Rank::Guest).expect("free");
        let held = std::cell::Cell::new(Some(held));
        forked(heap, |child| {
            assert_eq!(guest.lock.holder::<Linux>(), Holder::Call);
            // Whoever is inside of it must stay alone.
            let standing = if child { Standing::Retired } else { Standing::Guest };
            assert_eq!(guest.standing(), standing);
            assert!((0..1000).all(|_| some(heap)), "handlers are served");
            drop(held.take());
            assert!(is_quiet(heap));
            heap.verify().expect("every invariant");
        });
    });
}

/// What other threads hold, too: only what can be had without waiting is taken.
#[test]
fn a_fork_in_a_handler_does_not_wait_for_guests() {
    alone("a_fork_in_a_handler_does_not_wait_for_guests", || {
        let heap = started();
        assert!((0..1000).all(|_| some(heap)));
        meanwhile(
            |then| with_guests_held(heap, 1, then),
            || {
                let _held = heap.shared().region[3].lock.acquire::<Linux>(Rank::Region);
                forked(heap, |child| {
                    let holder = heap.frozen.heap(1).lock.holder::<Linux>();
                    assert_eq!(holder, if child { Holder::Nobody } else { Holder::Other });
                    assert!((0..1000).all(|_| some(heap)));
                });
            },
        );
        heap.verify().expect("every invariant");
    });
}

/// A handler that interrupted the holder of a region's lock gives slabs back: they are free when the
/// lock is taken next.
#[test]
fn slabs_that_come_back_in_a_handler_are_not_lost() {
    alone("slabs_that_come_back_in_a_handler_are_not_lost", || {
        let heap = started();
        let some = || heap.allocate(REQUEST).expect("no misuse").expect("memory").addr().get();
        // SAFETY: each is allocated above, freed once and used by nobody.
        let free = |at| unsafe { heap.free(at, Some(REQUEST)) }.expect("no misuse");
        let objects: std::vec::Vec<_> = (0..5000).map(|_| some()).collect();
        let plan = heap.plan();
        // A sample may lie elsewhere.
        let mut numbers = objects.iter().map(|at| at.wrapping_sub(plan.slots) >> plan.region_shift);
        let number = numbers.rfind(|&number| number < plan.regions).expect("in a region");
        objects.into_iter().for_each(free);
        // What was freed waits for frees of its class.
        heap.trim().expect("no misuse");
        (0..200).for_each(|_| free(some()));
        let interrupted = heap.shared().region[number].lock.acquire::<Linux>(Rank::Region);
        heap.trim().expect("no misuse");
        drop(interrupted);
        let lost = heap.lost_slabs();
        assert!(lost > 5, "{lost} came back meanwhile");
        (0..5000).for_each(|_| _ = some());
        assert_eq!(heap.lost_slabs(), 0);
        heap.verify().expect("every invariant");
    });
}

/// A fork while the thread is inside of its own heap: the child's thread gets another, and the
/// call that was interrupted ends in the old one.
#[test]
fn a_fork_in_a_handler_leaves_the_heap_of_the_interrupted_call() {
    alone("a_fork_in_a_handler_leaves_the_heap_of_the_interrupted_call", || {
        let heap = started();
        assert!((0..1000).all(|_| some(heap)));
        let inside = heap.enter(&Linux::thread()).expect("a heap of its own");
        let inside = std::cell::Cell::new(Some(inside));
        forked(heap, |child| {
            assert!((0..10).all(|_| some(heap)), "handlers are served");
            drop(inside.take());
            assert!((0..1000).all(|_| some(heap)));
            assert!(heap.enter(&Linux::thread()).is_some(), "{child}");
            heap.verify().expect("every invariant");
        });
    });
}
