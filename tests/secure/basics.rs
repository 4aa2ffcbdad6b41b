//! What every buffer is.

use crate::child;
use crate::raw::{OWN, POOL, alloc, fill, free, is_all, query, resize, take, try_free, write};
use casemate::secure::{
    Access, Backing, ErrorKind, ForkView, Freed, Policy, Requirements, secure_stats, secure_verify,
};

const PAGE: usize = 65_536;

#[test]
fn zeroed_aligned_and_exact() {
    for policy in [POOL, OWN, POOL.hibernation_friendly(), POOL.share_with_children()] {
        for shift in 0..=20 {
            for size in [0usize, 1, 7, 31, 32, 33, 255, 1000, 4096, 5000, 70_000] {
                if policy != POOL && shift > 12 && size > 33 {
                    continue;
                }
                let at = alloc(size, 1 << shift, &policy).expect("secure memory");
                assert!(is_all(at, size, 0));
                fill(at, size, 0xa7);
                let seen = query(at).expect("a live buffer");
                assert_eq!(seen.size, size);
                assert_eq!(seen.access, Access::ReadWrite);
                assert!(seen.guards && seen.canary);
                free(at);
                assert_eq!(query(at), None);
            }
        }
    }
    secure_verify().expect("every invariant");
}

#[test]
fn small_ones_are_pooled_and_policies_decide() {
    let small = take(32, &POOL);
    assert!(query(small).unwrap().pooled);
    assert_eq!(query(small + 31), query(small));
    assert_eq!(query(small + 32), None);
    assert_eq!(query(small - 1), None);
    for policy in [OWN, POOL.share_with_children()] {
        let own = take(32, &policy);
        let seen = query(own).unwrap();
        assert!(!seen.pooled);
        assert_eq!(query(own + 31), Some(seen));
        assert_eq!(query(own - 1), None);
        let shared = policy.is_shared_with_children();
        assert_eq!(seen.fork == ForkView::Copied, shared);
        free(own);
    }
    let large = take(PAGE, &POOL);
    assert!(!query(large).unwrap().pooled);
    let awake = take(32, &POOL.hibernation_friendly());
    assert_ne!(query(awake).unwrap().backing, Backing::Secret);
    [small, large, awake].into_iter().for_each(free);
}

#[test]
fn what_is_reported_satisfies_what_was_required() {
    for policy in [Policy::strict(), Policy::strict().protectable()] {
        // The usual limit leaves room for a few.
        let at = take(32, &policy);
        let seen = query(at).unwrap();
        assert!(seen.satisfied().has(policy.requirements()), "{seen}");
        assert!(seen.locked && seen.no_dump && seen.fork != ForkView::Copied, "{seen}");
        free(at);
    }
}

#[test]
fn impossible_layouts_are_errors() {
    let kind = |size, align, policy: &Policy| alloc(size, align, policy).unwrap_err().kind();
    assert_eq!(kind(1, 2 << 20, &POOL), ErrorKind::Layout);
    assert_eq!(kind(1, 1 << 62, &OWN), ErrorKind::Layout);
    for size in [isize::MAX as usize, 1 << 62, 1 << 48, 1 << 46] {
        let kind = kind(size, 1, &POOL);
        assert!(matches!(kind, ErrorKind::Layout | ErrorKind::OutOfMemory { .. }), "{kind:?}");
    }
    let both = Policy::require(Requirements::NO_FORK).share_with_children();
    assert_eq!(kind(32, 1, &both), ErrorKind::Contradiction);
    let hidden =
        Policy::require(Requirements::HIDDEN | Requirements::LOCKED | Requirements::CANARY);
    for policy in [hidden.hibernation_friendly(), hidden.share_with_children()] {
        for policy in [policy, policy.protectable()] {
            assert_eq!(kind(32, 1, &policy), ErrorKind::Contradiction);
        }
    }
    secure_verify().expect("every invariant");
}

#[test]
fn sizes_to_hundreds_of_megabytes() {
    let size = 300 << 20;
    let at = take(size, &POOL);
    assert_eq!((at + size) % 4096, 0);
    write(at, 1);
    write(at + size - 1, 1);
    free(at);
}

#[test]
fn resizing_copies_and_keeps_the_policy() {
    for policy in [POOL, OWN, POOL.hibernation_friendly()] {
        let mut at = take(10, &policy);
        fill(at, 10, 0x5a);
        for (from, to) in [(10usize, 100usize), (100, 3000), (3000, 100_000), (100_000, 20)] {
            let new = resize(at, to, 8).expect("secure memory");
            assert_ne!(at, new);
            assert_eq!(query(at), None);
            let kept = 10.min(to);
            assert!(is_all(new, kept, 0x5a) && is_all(new + kept, to - kept, 0), "{from} {to}");
            let seen = query(new).unwrap();
            assert_eq!(seen.backing == Backing::Secret, {
                let fresh = take(to, &policy);
                let same = query(fresh).unwrap().backing == Backing::Secret;
                free(fresh);
                same
            });
            if policy == OWN {
                assert!(!seen.pooled);
            }
            at = new;
        }
        free(at);
    }
}

#[test]
fn try_free_tells() {
    // A pointer that is freed twice must not have become another test's meanwhile.
    child::run("basics::try_free_tells", try_free_tells_all);
}

fn try_free_tells_all() {
    let at = take(32, &POOL);
    let own = take(32, &OWN);
    let local = 0u8;
    let stack = (&raw const local).expose_provenance();
    assert_eq!(try_free(stack).unwrap_err().kind(), ErrorKind::NotABuffer);
    for at in [at, own] {
        let inside = try_free(at + 1).unwrap_err();
        assert!(matches!(inside.kind(), ErrorKind::Misuse(_)), "{inside}");
        let end = at + 32;
        let (before, after) =
            (crate::raw::read(at - 1), if at == own { 0 } else { crate::raw::read(end) });
        write(at - 1, before ^ 1);
        let front = try_free(at).unwrap_err();
        assert!(front.to_string().starts_with("write before the start"), "{front}");
        write(at - 1, before);
        if at != own {
            write(end, after ^ 1);
            let back = try_free(at).unwrap_err();
            assert!(back.to_string().starts_with("write past the end"), "{back}");
            write(end, after);
        }
        fill(at, 32, 9);
        assert_eq!(try_free(at), Ok(Freed::Wiped));
        let twice = try_free(at).unwrap_err();
        assert!(twice.to_string().starts_with("double free"), "{twice}");
    }
}

/// Many of them, in every part of the pool: none overlaps another, and what is freed is not
/// handed out again at once.
#[test]
fn many_small_ones() {
    use std::collections::HashSet;
    let mut held: Vec<(usize, usize)> = Vec::new();
    for i in 0..6000usize {
        let size = [32, 16, 64, 100, 500, 1300, 4096][i % 7];
        let at = take(size, &POOL);
        fill(at, size, i as u8);
        held.push((at, size));
    }
    let mut sorted = held.clone();
    sorted.sort_unstable();
    assert!(sorted.windows(2).all(|pair| pair[0].0 + pair[0].1 + 16 <= pair[1].0));
    for (i, &(at, size)) in held.iter().enumerate() {
        assert!(is_all(at, size, i as u8));
    }
    held.into_iter().for_each(|(at, _)| free(at));
    let seen = secure_verify().expect("every invariant");
    assert!(seen.free_slots > 0);

    let mut last: Vec<usize> = Vec::new();
    for _ in 0..5000 {
        let at = take(40, &POOL.hibernation_friendly());
        assert!(!last.iter().rev().take(8).any(|&old| old == at), "reused too soon");
        free(at);
        last.push(at);
    }
    let places: HashSet<_> = last.iter().collect();
    assert!(places.len() > 200, "{}", places.len());
    println!("{}", secure_stats());
}

/// A slot waits for younger frees, though a buffer is asked for that nothing could hold.
#[test]
fn requests_that_fail_end_no_wait() {
    child::run("basics::requests_that_fail_end_no_wait", || {
        take(900, &POOL);
        for _ in 0..40 {
            let watched = take(32, &POOL);
            free(watched);
            alloc(1 << 45, 8, &OWN).expect_err("more than there is");
            let others: Vec<_> = (0..300).map(|_| take(32, &POOL)).collect();
            assert!(!others.contains(&watched), "handed out without younger frees");
            others.into_iter().for_each(free);
        }
    });
}
