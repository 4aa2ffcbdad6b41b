//! Tests: allocation while others hold every lock.

#![expect(unsafe_code, reason = "makes children")]

use super::shared::GUESTS;
use super::{Frozen, Heap, Options, Request};
use crate::os::Linux;
use crate::policy::Strict;
use crate::record::Origin;
use crate::slab::lock::{Lock, Rank};
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
fn alone(name: &str, body: impl FnOnce()) {
    if env::var(CASE).is_ok_and(|case| case == name) {
        return body();
    }
    let path = std::format!("heap::held::{name}");
    let own = env::current_exe().expect("the test binary's path");
    let mut command = Command::new(own);
    command.args([&path, "--exact", "--nocapture", "--test-threads=1"]).env(CASE, name);
    let output = command.output().expect("the test binary runs");
    let text = String::from_utf8_lossy(&output.stdout);
    let ran = text.contains("1 passed");
    assert!(ran, "{path}: {}\n{text}{}", output.status, String::from_utf8_lossy(&output.stderr));
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
            heap.object_size(object) == 8 << 20
                && heap.take_over(object).is_ok()
                && heap.verify().is_ok()
        });
    });
}
