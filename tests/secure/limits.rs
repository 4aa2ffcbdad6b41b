//! RLIMIT_MEMLOCK that binds, and kernels that refuse. Each case is a process of its own, without
//! the capability that lifts the limit, which first shows that the limit binds.

use crate::child;
use crate::filter::{refuse, refuse_if};
use crate::limit::{expect_bound, limit};
use crate::raw::{OWN, POOL, alloc, fill, free, is_all, query, take};
use casemate::secure::{
    Backing, ErrorKind, ForkView, Policy, Requirements, secure_stats, secure_trim, secure_verify,
};
use std::io;

const KIB: usize = 1 << 10;
const MIB: usize = 1 << 20;

fn expect_refusal(policy: &Policy, size: usize, bytes: usize) {
    let error = alloc(size, 1, policy).unwrap_err();
    let ErrorKind::LockedMemoryLimit { needed, limit } = error.kind() else { panic!("{error}") };
    assert!(limit == bytes && needed >= size && error.os_error().is_some(), "{error}");
    let text = error.to_string();
    assert!(text.contains(&format!("RLIMIT_MEMLOCK is {bytes} bytes")), "{text}");
    assert!(text.contains("LimitMEMLOCK=") && text.contains("CAP_IPC_LOCK"), "{text}");
}

#[test]
fn nothing_may_be_locked() {
    child::run("limits::nothing_may_be_locked", || {
        limit(0).expect("fewer rights");
        expect_bound(0);
        expect_refusal(&Policy::strict(), 32, 0);
        expect_refusal(&Policy::strict().protectable(), 32, 0);
        expect_refusal(&Policy::require(Requirements::LOCKED), 100_000, 0);
        let held: Vec<_> = (0..500)
            .map(|i| take([32, 5000, 300][i % 3], if i % 5 == 0 { &OWN } else { &POOL }))
            .collect();
        for &at in &held {
            let seen = query(at).unwrap();
            assert_eq!(seen.backing, Backing::Unlocked);
            assert!(!seen.locked && seen.guards && seen.canary && seen.no_dump, "{seen}");
            assert_eq!(seen.fork, ForkView::Excluded);
        }
        let seen = secure_stats();
        println!("{seen}");
        assert_eq!((seen.degraded, seen.degraded_ever, seen.locked_bytes), (500, 500, 0));
        assert!(seen.limit_hits > 0);
        held.into_iter().for_each(free);
        assert_eq!(secure_stats().degraded, 0);
        secure_verify().expect("every invariant");
    });
}

#[test]
fn sixty_four_kib() {
    child::run("limits::sixty_four_kib", || {
        limit(64 * KIB).expect("fewer rights");
        expect_bound(64 * KIB);
        // Keys as many as fit, of one class after another, then no more.
        let mut held = Vec::new();
        while let Ok(at) = alloc(32, 1, &Policy::strict()) {
            assert!(query(at).unwrap().locked);
            fill(at, 32, 7);
            held.push(at);
        }
        println!("{} keys in 64 KiB: {}", held.len(), secure_stats());
        assert!(held.len() >= 1000, "{}", held.len());
        assert!(secure_stats().locked_bytes <= 64 * KIB);
        expect_refusal(&Policy::strict(), 32, 64 * KIB);
        expect_refusal(&Policy::strict(), 5000, 64 * KIB);
        // Best effort goes on, and says so.
        let more = take(32, &POOL);
        assert!(!query(more).unwrap().locked);
        assert_eq!(secure_stats().degraded, 1);
        assert!(held.iter().all(|&at| is_all(at, 32, 7)));
        // What is given up can be had again, for other sizes too.
        held.drain(..).for_each(free);
        free(more);
        let own = take(20_000, &Policy::strict());
        assert!(query(own).unwrap().locked);
        let key = take(100, &Policy::strict());
        [own, key].into_iter().for_each(free);
        secure_verify().expect("every invariant");
    });
}

/// The pool gives up what nobody uses before a buffer goes unlocked.
#[test]
fn the_pool_makes_room() {
    child::run("limits::the_pool_makes_room", || {
        limit(256 * KIB).expect("fewer rights");
        expect_bound(256 * KIB);
        let held: Vec<_> = (0..4000).map(|_| take(32, &POOL)).collect();
        assert!(secure_stats().locked_bytes > 128 * KIB);
        held.into_iter().for_each(free);
        let large = take(150 * KIB, &POOL);
        let seen = query(large).unwrap();
        assert!(seen.locked, "{seen}: {}", secure_stats());
        free(large);
        let held: Vec<_> = (0..1000).map(|_| take(32, &POOL)).collect();
        let before = secure_stats().locked_bytes;
        held.into_iter().for_each(free);
        assert_eq!(secure_stats().locked_bytes, before);
        assert!(secure_trim());
        assert_eq!((secure_stats().locked_bytes, secure_stats().chunks), (0, 0));
        assert!(!secure_trim());
        free(take(32, &POOL));
        secure_verify().expect("every invariant");
    });
}

/// What it gives up need not be enough by itself: with what the limit leaves it is.
#[test]
fn the_pool_makes_the_missing_room() {
    child::run("limits::the_pool_makes_the_missing_room", || {
        limit(256 * KIB).expect("fewer rights");
        expect_bound(256 * KIB);
        let held: Vec<_> = (0..1500).map(|_| take(32, &POOL)).collect();
        let pooled = secure_stats().locked_bytes as usize;
        assert!((64 * KIB..180 * KIB).contains(&pooled), "{pooled}");
        held.into_iter().for_each(free);
        let large = take(200 * KIB, &POOL);
        assert!(query(large).unwrap().locked, "{}", secure_stats());
        free(large);
        // More than the limit ends no wait.
        let watched = take(32, &POOL);
        free(watched);
        let larger = take(300 * KIB, &POOL);
        assert!(!query(larger).unwrap().locked);
        let others: Vec<_> = (0..300).map(|_| take(32, &POOL)).collect();
        assert!(!others.contains(&watched), "handed out without younger frees");
    });
}

#[test]
fn a_hundred_thousand_keys_in_eight_mib() {
    let name = "limits::a_hundred_thousand_keys_in_eight_mib";
    child::run(name, || {
        limit(8 * MIB).expect("fewer rights");
        expect_bound(8 * MIB);
        let strict = Policy::strict();
        let keys: Vec<_> = (0..100_000usize)
            .map(|i| {
                let at = take(32, &strict);
                fill(at, 32, i as u8);
                at
            })
            .collect();
        let seen = secure_stats();
        println!("{seen}");
        assert_eq!((seen.pooled_buffers, seen.degraded, seen.degraded_ever), (100_000, 0, 0));
        assert!(seen.locked_bytes <= 8 * MIB);
        assert!(keys.iter().enumerate().all(|(i, &at)| is_all(at, 32, i as u8)));
        let mut sorted = keys.clone();
        sorted.sort_unstable();
        assert!(sorted.windows(2).all(|pair| pair[1] - pair[0] >= 48));
        secure_verify().expect("every invariant");
        keys.into_iter().for_each(free);
    });
}

/// Ten thousand live keys take at most 80 bytes of locked memory each, all in.
#[test]
fn locked_bytes_of_ten_thousand_keys() {
    let name = "limits::locked_bytes_of_ten_thousand_keys";
    child::run(name, || {
        limit(8 * MIB).expect("fewer rights");
        let keys: Vec<_> = (0..10_000).map(|_| take(32, &Policy::strict())).collect();
        let each = secure_stats().locked_bytes as f64 / keys.len() as f64;
        println!("{each} bytes each");
        assert!(each <= 80.0, "{each}");
    });
}

fn without(errno: i32) {
    refuse(&[libc::SYS_memfd_secret], errno).expect("the filter");
    let hidden = Policy::require(Requirements::HIDDEN);
    for policy in [hidden, hidden.protectable(), hidden] {
        let error = alloc(32, 1, &policy).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unsupported(Requirements::HIDDEN), "{error}");
        assert_eq!(error.os_error(), Some(errno));
        assert!(error.to_string().contains("memfd_secret"), "{error}");
    }
    for policy in [POOL, OWN, Policy::strict()] {
        let at = take(32, &policy);
        let seen = query(at).unwrap();
        assert_eq!(seen.backing, Backing::Locked, "{seen}");
        free(at);
    }
}

#[test]
fn without_memfd_secret() {
    child::run("limits::without_memfd_secret", || without(libc::ENOSYS));
}

#[test]
fn memfd_secret_forbidden() {
    child::run("limits::memfd_secret_forbidden", || without(libc::EPERM));
}

#[test]
fn without_locks_and_secrets() {
    child::run("limits::without_locks_and_secrets", || {
        let calls = [libc::SYS_memfd_secret, libc::SYS_mlock, libc::SYS_mlock2];
        refuse(&calls, libc::EPERM).expect("the filter");
        let error = alloc(32, 1, &Policy::strict()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unsupported(Requirements::LOCKED), "{error}");
        let at = take(32, &POOL);
        assert!(!query(at).unwrap().locked);
        free(at);
        assert!(secure_stats().degraded_ever > 0);
    });
}

/// Hidden pages are made present when they are mapped: where one is not to be had, that is an
/// error, or locked memory takes their place, and no SIGBUS when it is first used.
#[test]
fn hidden_pages_that_are_not_to_be_had() {
    child::run("limits::hidden_pages_that_are_not_to_be_had", || {
        let hidden = Policy::require(Requirements::HIDDEN);
        let has_any = match alloc(32, 1, &hidden) {
            Ok(at) => {
                free(at);
                true
            }
            Err(error) => {
                println!("no memfd_secret here: {error}");
                false
            }
        };
        // The call that touches them, with a null pointer for the mask.
        refuse_if(libc::SYS_rt_sigprocmask, 1, 0, libc::EFAULT).expect("the filter");
        let error = alloc(100_000, 1, &hidden.protectable()).unwrap_err();
        let kind = error.kind();
        assert!(!has_any || matches!(kind, ErrorKind::OutOfMemory { .. }), "{kind:?}");
        let at = take(100_000, &POOL);
        let seen = query(at).unwrap();
        assert_eq!(seen.backing, Backing::Locked, "{seen}");
        free(at);
        secure_verify().expect("every invariant");
    });
}

/// Without advice there is no exclusion from dumps and children: no pool, but honest answers.
#[test]
fn without_advice() {
    child::run("limits::without_advice", || {
        refuse(&[libc::SYS_madvise, libc::SYS_mseal], libc::EPERM).expect("the filter");
        let at = take(32, &POOL);
        let seen = query(at).unwrap();
        println!("{seen}");
        assert!(!seen.no_dump && !seen.pooled && !seen.guard_markers && seen.guards, "{seen}");
        assert_eq!(seen.fork, ForkView::Copied);
        assert!(!seen.sealed_metadata);
        free(at);
        let error = alloc(32, 1, &Policy::require(Requirements::NO_DUMP)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unsupported(Requirements::NO_DUMP), "{error}");
        let sealed = alloc(32, 1, &Policy::require(Requirements::SEALED)).unwrap_err();
        assert_eq!(sealed.kind(), ErrorKind::Unsupported(Requirements::SEALED), "{sealed}");
        secure_verify().expect("every invariant");
    });
}

/// What a policy lacks is named, whatever else there was not: it could do without locked memory.
#[test]
fn the_true_cause_is_named() {
    child::run("limits::the_true_cause_is_named", || {
        limit(0).expect("fewer rights");
        expect_bound(0);
        let undumped = Policy::require(Requirements::NO_DUMP);
        let alone = Policy::require(Requirements::NO_FORK);
        for policy in [undumped, alone.protectable()] {
            free(alloc(90_000, 1, &policy).expect("unlocked memory"));
        }
        refuse(&[libc::SYS_madvise], libc::EPERM).expect("the filter");
        // Less each time: what was refused once is not asked for again at once.
        for (policy, lacks, size) in [
            (undumped, Requirements::NO_DUMP, 70_000),
            (undumped.protectable(), Requirements::NO_DUMP, 50_000),
            (undumped.hibernation_friendly(), Requirements::NO_DUMP, 30_000),
            (alone.protectable(), Requirements::NO_FORK, 10_000),
        ] {
            let error = alloc(size, 1, &policy).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Unsupported(lacks), "{error}");
        }
        // Memory that ran out is still that.
        let kind = alloc(1 << 46, 1, &undumped).unwrap_err().kind();
        assert!(matches!(kind, ErrorKind::OutOfMemory { .. }), "{kind:?}");
        // And who insists on locked memory is told of the limit.
        expect_refusal(&undumped.and_require(Requirements::LOCKED), 6000, 0);
    });
}

/// A filter that comes later takes away only what comes later.
#[test]
fn refused_later() {
    child::run("limits::refused_later", || {
        let (pooled, own) = (take(32, &POOL), take(32, &OWN));
        let before = [query(pooled), query(own)];
        let calls = [libc::SYS_memfd_secret, libc::SYS_mlock, libc::SYS_madvise, libc::SYS_mseal];
        refuse(&calls, libc::ENOSYS).expect("the filter");
        assert_eq!([query(pooled), query(own)], before);
        let held: Vec<_> = (0..3000).map(|_| take(100, &POOL)).collect();
        held.into_iter().for_each(free);
        [pooled, own].into_iter().for_each(free);
        secure_verify().expect("every invariant");
    });
}

/// The process runs out of mappings, long before it runs out of memory: an error, and everything
/// that was had is given back all the same.
#[test]
fn mappings_run_out() {
    child::run("limits::mappings_run_out", || {
        let policy = OWN.hibernation_friendly();
        let mut held = Vec::new();
        let error = loop {
            match alloc(32, 1, &policy) {
                Ok(at) => held.push(at),
                Err(error) => break error,
            }
        };
        println!("{} buffers, then: {error}", held.len());
        let kind = error.kind();
        assert!(matches!(kind, ErrorKind::OutOfMemory { .. } | ErrorKind::TooMany), "{kind:?}");
        assert!(held.len() > 5000);
        // Where no mapping is left, those that are there still serve.
        for &at in held.iter().step_by(100) {
            fill(at, 32, 1);
            assert!(query(at).unwrap().guards);
        }
        held.into_iter().for_each(free);
        let held: Vec<_> = (0..5000).map(|_| take(32, &policy)).collect();
        held.into_iter().for_each(free);
        secure_verify().expect("every invariant");
    });
}

/// Little address space, from the start.
#[test]
fn little_address_space() {
    fn little() -> io::Result<()> {
        let limit = libc::rlimit { rlim_cur: 256 << 20, rlim_max: 256 << 20 };
        // SAFETY: a valid structure.
        match unsafe { libc::setrlimit(libc::RLIMIT_AS, &raw const limit) } {
            0 => Ok(()),
            _ => Err(io::Error::last_os_error()),
        }
    }
    child::run_after("limits::little_address_space", little, || {
        let kind = alloc(256 << 20, 1, &POOL).unwrap_err().kind();
        assert!(matches!(kind, ErrorKind::OutOfMemory { .. }), "the limit binds: {kind:?}");
        let mut held: Vec<_> = (0..2000).map(|i| take(20 + i, &POOL)).collect();
        while let Ok(at) = alloc(3 << 20, 1, &POOL.hibernation_friendly()) {
            held.push(at);
        }
        held.into_iter().for_each(free);
        secure_verify().expect("every invariant");
        free(take(32, &OWN));
    });
}
