//! Access states, and guards that hold buffers open.

use crate::child;
use crate::ending::{self, Case, End};
use crate::filter::refuse_if;
use crate::raw::{
    OWN, POOL, fill, free, is_all, is_mapped, non_null, protect, query, read, resize, take, touch,
    try_free, write,
};
use casemate::secure::{Access, AccessGuard, ErrorKind, secure_stats, secure_verify};
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

/// What has an access that pooled buffers do not have keeps pages of its own, whatever its policy.
#[test]
fn a_closed_buffer_does_not_shrink_into_the_pool() {
    for access in [Access::NoAccess, Access::ReadOnly] {
        let at = take(9000, &POOL);
        fill(at, 9000, 0x51);
        protect(at, access).unwrap();
        let at = resize(at, 32, 8).unwrap();
        let seen = query(at).expect("a buffer");
        assert_eq!((seen.pooled, seen.access, seen.size), (false, access, 32));
        protect(at, Access::ReadWrite).unwrap();
        assert!(is_all(at, 32, 0x51));
        let at = resize(at, 16, 8).unwrap();
        assert!(query(at).expect("a buffer").pooled && is_all(at, 16, 0x51));
        free(at);
    }
}

/// A buffer that cannot be closed at its new place stays at its old one.
#[test]
fn a_refused_resize_changes_nothing() {
    child::run("access::a_refused_resize_changes_nothing", || {
        for (access, value) in
            [(Access::NoAccess, libc::PROT_NONE), (Access::ReadOnly, libc::PROT_READ)]
        {
            let (at, open) = (take(100, &OWN), take(5000, &OWN));
            [(at, 100), (open, 5000)].into_iter().for_each(|(at, size)| fill(at, size, 0x52));
            protect(at, access).unwrap();
            refuse_if(libc::SYS_mprotect, 2, value, libc::ENOMEM).expect("the filter");
            for size in [10, 100, 70_000] {
                assert_eq!(resize(at, size, 1).unwrap_err().kind(), ErrorKind::Protect);
                let seen = query(at).expect("the old one");
                assert_eq!((seen.size, seen.access), (100, Access::ReadWrite));
                assert!(is_all(at, 100, 0x52));
            }
            let stats = secure_stats();
            assert_eq!((stats.own_pages_buffers, stats.own_pages_bytes), (2, 5100));
            assert!(stats.unclosed >= 1, "{stats}");
            // Who need not be closed is resized.
            let open = resize(open, 6000, 1).expect("memory");
            assert!(is_all(open, 5000, 0x52));
            [at, open].into_iter().for_each(free);
            secure_verify().expect("every invariant");
        }
    });
}

/// A buffer that cannot be opened is taken away without a look, and counted; if that is refused as
/// well it stays closed.
#[test]
fn what_cannot_be_opened_is_not_lost() {
    child::run("access::what_cannot_be_opened_is_not_lost", || {
        let all = [take(100, &OWN), take(100, &OWN), take(5000, &OWN.hibernation_friendly())];
        for at in all {
            fill(at, 100, 0x53);
            protect(at, Access::NoAccess).unwrap();
        }
        let both = libc::PROT_READ | libc::PROT_WRITE;
        refuse_if(libc::SYS_mprotect, 2, both, libc::ENOMEM).expect("the filter");
        let [first, second, third] = all;
        for at in all {
            assert_eq!(try_free(at).unwrap_err().kind(), ErrorKind::Protect);
            assert_eq!(query(at).expect("still there").access, Access::NoAccess);
        }
        for (at, left, unchecked) in [(first, 2, 1), (third, 1, 2)] {
            free(at);
            assert!(query(at).is_none() && !is_mapped(at));
            let stats = secure_stats();
            assert_eq!(
                (stats.own_pages_buffers, stats.unchecked, stats.abandoned),
                (left, unchecked, 0)
            );
        }
        assert!(matches!(try_free(first).unwrap_err().kind(), ErrorKind::Misuse(_)));
        refuse_if(libc::SYS_mmap, 2, libc::PROT_NONE, libc::ENOMEM).expect("the filter");
        free(second);
        let stats = secure_stats();
        assert_eq!((stats.own_pages_buffers, stats.unchecked, stats.abandoned), (1, 2, 1));
        assert_eq!(query(second).expect("closed for good").access, Access::NoAccess);
        assert!(!is_mapped(second));
        secure_verify().expect("every invariant");
    });
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
