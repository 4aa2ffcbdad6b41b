//! Access states, and guards that hold buffers open.

use crate::ending::{self, Case, End};
use crate::raw::{
    OWN, POOL, fill, free, is_all, non_null, protect, query, read, resize, take, touch, write,
};
use casemate::secure::{Access, AccessGuard, ErrorKind};
use std::sync::Barrier;

fn reads(at: usize) -> AccessGuard {
    // SAFETY: the tests keep the buffer until the guard is gone, or free it to see the refusal.
    unsafe { AccessGuard::read(non_null(at)) }.expect("a buffer")
}

fn writes(at: usize) -> AccessGuard {
    // SAFETY: as for `reads`.
    unsafe { AccessGuard::write(non_null(at)) }.expect("a buffer")
}

fn now(at: usize) -> Access {
    query(at).expect("a buffer").access
}

#[test]
fn guards_add_up() {
    let at = take(5000, &OWN);
    fill(at, 5000, 3);
    protect(at, Access::NoAccess).unwrap();
    assert_eq!(now(at), Access::NoAccess);
    let first = reads(at);
    let second = reads(at);
    assert_eq!((first.bytes().len(), first.is_writable()), (5000, false));
    assert_eq!(now(at), Access::ReadOnly);
    drop(first);
    assert!(is_all(at, 5000, 3));
    let writer = writes(at);
    assert_eq!(now(at), Access::ReadWrite);
    drop(second);
    write(at, 4);
    assert_eq!(protect(at, Access::ReadOnly).unwrap_err().kind(), ErrorKind::Borrowed);
    drop(writer);
    assert_eq!(now(at), Access::NoAccess);
    protect(at, Access::ReadOnly).unwrap();
    assert_eq!(read(at), 4);
    drop(writes(at));
    assert_eq!(now(at), Access::ReadOnly);
    // A closed buffer is freed and resized like an open one.
    let at = resize(at, 9000, 1).unwrap();
    assert_eq!((now(at), read(at)), (Access::ReadOnly, 4));
    protect(at, Access::NoAccess).unwrap();
    free(at);
}

#[test]
fn a_leaked_guard_is_no_obstacle() {
    let at = take(100, &OWN);
    std::mem::forget(reads(at));
    let at = resize(at, 10, 1).unwrap();
    std::mem::forget(writes(at));
    free(at);
}

#[test]
fn pooled_buffers_have_no_states() {
    let at = take(32, &POOL);
    for access in [Access::NoAccess, Access::ReadOnly, Access::ReadWrite] {
        assert_eq!(protect(at, access).unwrap_err().kind(), ErrorKind::Pooled);
    }
    drop((reads(at), writes(at)));
    assert_eq!(now(at), Access::ReadWrite);
    free(at);
    assert!(matches!(protect(at, Access::ReadWrite).unwrap_err().kind(), ErrorKind::Misuse(_)));
    assert_eq!(protect(8, Access::ReadWrite).unwrap_err().kind(), ErrorKind::NotABuffer);
}

/// While any thread reads, every thread that holds a guard can; afterwards nobody can.
#[test]
fn guards_of_many_threads() {
    let at = take(64, &OWN);
    fill(at, 64, 0x33);
    protect(at, Access::NoAccess).unwrap();
    let barrier = Barrier::new(4);
    std::thread::scope(|scope| {
        for t in 0..4 {
            let barrier = &barrier;
            scope.spawn(move || {
                barrier.wait();
                for i in 0..3000 {
                    if (i + t) % 16 == 0 {
                        let _guard = writes(at);
                        write(at + 32 + t, i as u8);
                    } else {
                        let _guard = reads(at);
                        assert!(is_all(at, 32, 0x33));
                    }
                }
            });
        }
    });
    assert_eq!(now(at), Access::NoAccess);
    free(at);
}

fn closed(access: Access) -> usize {
    let at = take(64, &OWN);
    protect(at, access).unwrap();
    at
}

const FAULTS: &[Case] = &[
    ("reading what is closed", || touch(closed(Access::NoAccess)), End::Fault),
    ("writing what is closed", || write(closed(Access::NoAccess), 1), End::Fault),
    ("writing what is read-only", || write(closed(Access::ReadOnly), 1), End::Fault),
    ("reading what is read-only", || touch(closed(Access::ReadOnly)), End::Survives),
    (
        "writing under a reader's guard",
        || {
            let at = closed(Access::NoAccess);
            let _guard = reads(at);
            write(at, 1);
        },
        End::Fault,
    ),
    (
        "reading after the last guard",
        || {
            let at = closed(Access::NoAccess);
            drop((reads(at), reads(at)));
            read(at);
        },
        End::Fault,
    ),
    (
        "a guard that outlives its buffer",
        || {
            let at = closed(Access::NoAccess);
            let guard = reads(at);
            free(at);
            drop(guard);
        },
        End::Line("double free (secret, own pages)"),
    ),
    (
        "reading after the first of two guards",
        || {
            let at = closed(Access::NoAccess);
            let (first, second) = (reads(at), reads(at));
            drop(first);
            read(at);
            drop(second);
        },
        End::Survives,
    ),
];

#[test]
fn closed_buffers_fault() {
    ending::run("access::closed_buffers_fault", FAULTS);
}
