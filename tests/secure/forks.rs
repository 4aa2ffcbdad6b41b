//! Children: what was the parent's is not there, giving it back is harmless, and the child's own
//! secrets work; with handlers, without, by `vfork`, and with threads in the middle of it.

use crate::child;
use crate::ending::{self, Case, End};
use crate::family::{Way, child_of};
use crate::raw::{
    OWN, POOL, alloc, fill, free, is_all, is_mapped, non_null, protect, query, read, resize, take,
    touch, try_free, write,
};
use casemate::secure::{
    Access, AccessGuard, ErrorKind, Freed, Policy, secure_stats, secure_verify,
};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

const WAYS: [Way; 3] = [Way::Handlers, Way::Underscore, Way::Raw];

/// Buffers of every backing and kind that a child must not see.
fn some() -> Vec<usize> {
    let awake = POOL.hibernation_friendly();
    let held = vec![
        take(32, &POOL),
        take(500, &POOL),
        take(32, &awake),
        take(32, &OWN),
        take(32, &awake.protectable()),
        take(100_000, &POOL),
    ];
    held.iter().for_each(|&at| fill(at, 32, 0x61));
    held
}

fn use_own() {
    let held: Vec<_> = (0..300usize)
        .map(|i| {
            let size = [32, 700, 6000][i % 3];
            let at = take(size, if i % 7 == 0 { &OWN } else { &POOL });
            assert!(is_all(at, size, 0));
            fill(at, size, i as u8);
            at
        })
        .collect();
    secure_verify().expect("every invariant");
    held.into_iter().for_each(free);
}

/// What a child does with what is not its own.
fn be_a_child(inherited: &[usize]) {
    for &at in inherited {
        assert!(!is_mapped(at), "the parent's secret is here");
        assert_eq!(query(at), None);
        assert_eq!(try_free(at), Ok(Freed::Inherited));
        free(at);
        free(at);
        for access in [Access::NoAccess, Access::ReadWrite] {
            let kind = protect(at, access).unwrap_err().kind();
            assert_eq!(kind, ErrorKind::Inherited);
        }
        // SAFETY: an error is expected.
        let open = unsafe { AccessGuard::read(non_null(at)) };
        assert_eq!(open.unwrap_err().kind(), ErrorKind::Inherited);
        assert_eq!(resize(at, 64, 1).unwrap_err().kind(), ErrorKind::Inherited);
    }
    let seen = secure_stats();
    assert_eq!((seen.pooled_buffers, seen.own_pages_buffers, seen.locked_bytes), (0, 0, 0));
    use_own();
    // In the end nothing of the parent's addresses was used for anything.
    inherited.iter().for_each(|&at| assert!(!is_mapped(at)));
    inherited.iter().for_each(|&at| free(at));
}

#[test]
fn nothing_is_inherited() {
    child::run("forks::nothing_is_inherited", || {
        for way in WAYS {
            for _ in 0..5 {
                let held = some();
                child_of(way, || {
                    be_a_child(&held);
                    // And the child's children of the child's.
                    let own = some();
                    child_of(way, || {
                        be_a_child(&own);
                        held.iter().for_each(|&at| assert_eq!(try_free(at), Ok(Freed::Inherited)));
                        0
                    })
                    .expect("the grandchild");
                    assert!(own.iter().all(|&at| is_all(at, 32, 0x61)));
                    own.into_iter().for_each(free);
                    secure_verify().expect("every invariant");
                    0
                })
                .unwrap_or_else(|why| panic!("{way:?}: {why}"));
                assert!(held.iter().all(|&at| is_all(at, 32, 0x61)));
                held.into_iter().for_each(free);
                secure_verify().expect("every invariant");
            }
        }
    });
}

/// Somebody else's memory where the parent's secret was is not written to. A raw fork, since after
/// `fork` nobody else's memory can get there.
#[test]
fn no_stray_write() {
    child::run("forks::no_stray_write", || {
        let held = some();
        child_of(Way::Raw, || {
            for &at in &held {
                let page = at & !4095;
                let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_FIXED_NOREPLACE;
                let both = libc::PROT_READ | libc::PROT_WRITE;
                let there = std::ptr::without_provenance_mut(page);
                // SAFETY: replaces nothing.
                let got = unsafe { libc::mmap(there, 4096, both, flags, -1, 0) };
                if got == libc::MAP_FAILED {
                    // The page of one mapped here before.
                    continue;
                }
                fill(got.expose_provenance(), 4096, 0x19);
            }
            for &at in &held {
                assert_eq!(try_free(at), Ok(Freed::Inherited));
                assert_eq!(query(at), None);
                assert!(is_all(at & !4095, 4096, 0x19));
            }
            use_own();
            held.iter().for_each(|&at| assert!(is_all(at & !4095, 4096, 0x19)));
            0
        })
        .expect("the child");
    });
}

#[test]
fn nobody_gets_the_addresses_after_a_fork() {
    child::run("forks::nobody_gets_the_addresses_after_a_fork", || {
        let held = some();
        child_of(Way::Handlers, || {
            for &at in &held {
                let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_FIXED_NOREPLACE;
                let there = std::ptr::without_provenance_mut(at & !4095);
                // SAFETY: replaces nothing.
                let got = unsafe { libc::mmap(there, 4096, libc::PROT_READ, flags, -1, 0) };
                assert_eq!(got, libc::MAP_FAILED);
            }
            0
        })
        .expect("the child");
    });
}

#[test]
fn copies_are_the_childs() {
    child::run("forks::copies_are_the_childs", || {
        let share = POOL.share_with_children();
        for way in WAYS {
            let at = take(3000, &share);
            fill(at, 3000, 0x21);
            assert!(query(at).unwrap().locked);
            child_of(way, || {
                let seen = query(at).expect("the child's copy");
                assert!(!seen.locked && seen.size == 3000, "{seen}");
                assert!(is_all(at, 3000, 0x21));
                fill(at, 3000, 0x22);
                protect(at, Access::ReadOnly).expect("its own");
                assert_eq!(secure_stats().degraded, 1);
                secure_verify().expect("every invariant");
                let at = resize(at, 100, 1).expect("memory");
                assert!(is_all(at, 100, 0x22));
                free(at);
                secure_verify().expect("every invariant");
                0
            })
            .unwrap_or_else(|why| panic!("{way:?}: {why}"));
            assert!(is_all(at, 3000, 0x21));
            free(at);
        }
    });
}

/// A child of `vfork` works on its parent's memory: what it frees is freed.
#[test]
fn vfork_shares_everything() {
    child::run("forks::vfork_shares_everything", || {
        let (freed, kept) = (take(32, &POOL), take(32, &OWN));
        fill(kept, 32, 0x44);
        let made = std::sync::atomic::AtomicUsize::new(0);
        // SAFETY: as `vfork`: the parent waits until the child, which shares its memory but has a
        // stack of its own, has ended. The child only uses secure memory.
        let status = unsafe {
            struct Work<'a>(usize, usize, &'a std::sync::atomic::AtomicUsize);
            extern "C" fn work(of: *mut libc::c_void) -> libc::c_int {
                // SAFETY: the parent passes it and waits.
                let Work(freed, kept, made) = unsafe { &*of.cast::<Work<'_>>() };
                free(*freed);
                if query(*kept).is_none() {
                    return 1;
                }
                write(*kept, 0x45);
                made.store(take(64, &POOL), Ordering::SeqCst);
                0
            }
            let mut of = Work(freed, kept, &made);
            let mut stack = vec![0u8; 256 << 10];
            let top = stack.as_mut_ptr().add(stack.len() & !15).cast();
            let flags = libc::CLONE_VM | libc::CLONE_VFORK | libc::SIGCHLD;
            let pid = libc::clone(work, top, flags, (&raw mut of).cast());
            assert!(pid > 0);
            let mut status = 0;
            assert_eq!(libc::waitpid(pid, &raw mut status, 0), pid);
            status
        };
        assert_eq!(status, 0);
        assert_eq!(query(freed), None);
        assert_eq!(read(kept), 0x45);
        let made = made.into_inner();
        assert_eq!(query(made).expect("the child's").size, 64);
        [kept, made].into_iter().for_each(free);
        secure_verify().expect("every invariant");
    });
}

#[test]
fn a_guard_of_the_parents_is_harmless() {
    child::run("forks::a_guard_of_the_parents_is_harmless", || {
        let at = take(32, &OWN);
        protect(at, Access::NoAccess).unwrap();
        for way in WAYS {
            // SAFETY: the buffer stays.
            let guard = unsafe { AccessGuard::read(non_null(at)) }.expect("open");
            let inner = &guard;
            child_of(way, || {
                // SAFETY: the bytes of the parent's guard, of which this is the child's copy.
                drop(unsafe { std::ptr::read(inner) });
                0
            })
            .expect("the child");
            assert_eq!(query(at).unwrap().access, Access::ReadOnly);
            drop(guard);
            assert_eq!(query(at).unwrap().access, Access::NoAccess);
        }
    });
}

/// Threads that are in the middle of everything while others fork.
fn while_busy(way: Way) {
    let stop = Arc::new(AtomicBool::new(false));
    let threads: Vec<_> = (0..3usize)
        .map(|t| {
            let stop = Arc::clone(&stop);
            std::thread::spawn(move || {
                let mut i = t;
                while !stop.load(Ordering::Relaxed) {
                    let own = i % 5 == 0;
                    let at = take(32 + i % 2000, if own { &OWN } else { &POOL });
                    if own {
                        protect(at, Access::NoAccess).expect("own pages");
                        // SAFETY: the buffer stays.
                        drop(unsafe { AccessGuard::write(non_null(at)) });
                    }
                    free(at);
                    i += 1;
                }
            })
        })
        .collect();
    let held = some();
    let shared = take(100, &POOL.share_with_children());
    fill(shared, 100, 5);
    for i in 0..60 {
        child_of(way, || {
            held.iter().for_each(|&at| assert_eq!(try_free(at), Ok(Freed::Inherited)));
            assert!(is_all(shared, 100, 5));
            free(shared);
            use_own();
            0
        })
        .unwrap_or_else(|why| panic!("{way:?} {i}: {why}"));
    }
    stop.store(true, Ordering::Relaxed);
    threads.into_iter().for_each(|thread| thread.join().expect("no panic"));
    held.into_iter().for_each(free);
    free(shared);
    secure_verify().expect("every invariant");
}

#[test]
fn from_a_busy_program() {
    child::run("forks::from_a_busy_program", || while_busy(Way::Handlers));
}

#[test]
fn from_a_busy_program_without_handlers() {
    child::run("forks::from_a_busy_program_without_handlers", || {
        while_busy(Way::Underscore);
        while_busy(Way::Raw);
    });
}

/// Parent and child draw different numbers.
#[test]
fn places_differ() {
    child::run("forks::places_differ", || {
        take(32, &POOL);
        let mut seen = Vec::new();
        for way in [WAYS, WAYS].concat() {
            let place = child_of(way, || take(50_000, &POOL) as u64).expect("the child");
            assert!(!seen.contains(&place));
            seen.push(place);
        }
        assert!(!seen.contains(&(take(50_000, &POOL) as u64)));
    });
}

fn in_a_child(act: impl FnOnce()) {
    // SAFETY: this process has one thread that matters; its status becomes ours.
    unsafe {
        let pid = libc::fork();
        if pid == 0 {
            act();
            libc::_exit(77);
        }
        let mut status = 0;
        libc::waitpid(pid, &raw mut status, 0);
        if libc::WIFSIGNALED(status) {
            libc::signal(libc::WTERMSIG(status), libc::SIG_DFL);
            libc::raise(libc::WTERMSIG(status));
        }
    }
}

const CHILDREN: &[Case] = &[
    (
        "reading the parent's",
        || {
            let at = take(32, &POOL);
            in_a_child(|| touch(at))
        },
        End::Fault,
    ),
    (
        "writing the parent's",
        || {
            let at = take(32, &OWN);
            in_a_child(|| write(at, 1))
        },
        End::Fault,
    ),
    (
        "freeing its own twice",
        || {
            let theirs = take(32, &POOL);
            in_a_child(|| {
                free(theirs);
                let at = take(32, &POOL);
                free(at);
                free(at)
            });
        },
        End::Line("double free (secret, slot of 48)"),
    ),
    (
        "freeing what is foreign",
        || {
            take(32, &POOL);
            in_a_child(|| free(4096))
        },
        End::Line("the pointer is no secure buffer"),
    ),
    (
        "freeing into the middle of the parent's",
        || {
            let at = take(32, &POOL);
            in_a_child(|| free(at + 1))
        },
        End::Survives,
    ),
];

#[test]
fn misuse_in_a_child() {
    ending::run("forks::misuse_in_a_child", CHILDREN);
}

#[test]
fn a_hundred_generations() {
    child::run("forks::a_hundred_generations", || {
        fn generation(left: usize, theirs: usize) -> u64 {
            assert_eq!(try_free(theirs), Ok(Freed::Inherited));
            let mine = alloc(32, 1, &Policy::strict()).expect("memory");
            if left > 0 {
                child_of(Way::Handlers, || generation(left - 1, mine)).expect("the next");
            }
            free(mine);
            left as u64
        }
        let first = take(32, &POOL);
        child_of(Way::Handlers, || generation(100, first)).expect("the first");
        free(first);
    });
}
