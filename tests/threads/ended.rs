//! What threads leave behind that have ended, or never had a heap of their own: its memory is given
//! back by those that go on.

use crate::child;
use crate::raw::Raw;
use casemate::inside::page_size;
use std::hint::black_box;

/// Uses another class than the objects here, for so many allocations.
fn go_on(allocations: usize) {
    for i in 0..allocations {
        drop(black_box(Box::new([i; 12])));
    }
}

/// How many of these addresses are on pages with memory.
fn present(addresses: &[usize]) -> usize {
    let is_present = |&&at: &&usize| {
        let (page, mut state) = (at & !(page_size() - 1), 0u8);
        // SAFETY: a query about one page, with a valid place for the answer.
        let status = unsafe {
            libc::mincore(std::ptr::with_exposed_provenance_mut(page), 1, &raw mut state)
        };
        status == 0 && state & 1 != 0
    };
    addresses.iter().filter(is_present).count()
}

fn made(count: usize, size: usize) -> Vec<Raw> {
    (0..count).map(|_| Raw::new(size).expect("memory")).collect()
}

fn addresses(objects: &[Raw]) -> Vec<usize> {
    objects.iter().map(|object| object.address()).collect()
}

fn in_a_thread<T: Send + 'static>(body: impl FnOnce() -> T + Send + 'static) -> T {
    std::thread::spawn(body).join().expect("no panic")
}

#[test]
fn of_a_heap() {
    child::run("ended::of_a_heap", || {
        go_on(1000);
        let left = in_a_thread(|| {
            let objects = made(20_000, 500);
            let left = addresses(&objects);
            objects.into_iter().for_each(Raw::free);
            left
        });
        let before = present(&left);
        assert!(before > 10_000, "{before}");
        go_on(2_000_000);
        let after = present(&left);
        println!("{before} of 20,000 present when the thread had ended, {after} later");
        assert!(after < 1000, "{before}, then {after}");
        casemate::verify().expect("every invariant");
    });
}

/// Everything that was allocated by guests is freed by others: nothing lies behind it, and it waits
/// until guests free again. Its memory need not.
fn left_by_guests() -> Vec<usize> {
    let objects: Vec<_> = (0..100).flat_map(|_| in_a_thread(|| made(50, 4000))).collect();
    let left = addresses(&objects);
    objects.into_iter().for_each(Raw::free);
    assert_eq!(present(&left), left.len());
    left
}

#[test]
fn of_guests() {
    child::run("ended::of_guests", || {
        go_on(1000);
        let left = left_by_guests();
        go_on(2_000_000);
        let after = present(&left);
        assert!(after < 500, "{after} of {} still present", left.len());
        // It is as zero as ever, and serves guests again.
        let again: Vec<_> = (0..100).flat_map(|_| in_a_thread(|| made(50, 4000))).collect();
        assert!(again.iter().all(Raw::is_whole));
        again.into_iter().for_each(Raw::free);
        casemate::verify().expect("every invariant");
    });
}

#[test]
fn of_guests_at_once() {
    child::run("ended::of_guests_at_once", || {
        go_on(1000);
        let left = left_by_guests();
        casemate::interface::Interface::<casemate::Full>::new(|_| {}, |_| {}, || {}).trim();
        let after = present(&left);
        assert!(after < 500, "{after} of {} still present", left.len());
        casemate::verify().expect("every invariant");
    });
}
