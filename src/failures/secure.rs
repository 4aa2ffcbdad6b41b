//! Layer: faces, tests only. Secure memory's workloads.
#![expect(unsafe_code, reason = "forks, limits, guards over raw buffers")]

use super::child::wait_for;
use super::sweep::{Workload, as_it_is, sweep};
use crate::os::linux::failing::{Call, Calls, disarm, has_failed};
use crate::secure::controls::raw::{
    OWN, POOL, alloc, fill, is_all, is_mapped, non_null, protect, query, resize, try_free,
};
use crate::secure::{
    Access, AccessGuard, ErrorKind, Freed, Policy, Requirements, secure_stats, secure_trim,
    secure_verify,
};
use std::vec::Vec;

/// What secure memory asks of the kernel.
const SECURE: &[Call] = &[
    Call::MapReserve,
    Call::MapOver,
    Call::TakeAway,
    Call::MapFile,
    Call::Unmap,
    Call::Open,
    Call::Close,
    Call::ReadOnly,
    Call::Seal,
    Call::NoFork,
    Call::WipeOnFork,
    Call::NoDump,
    Call::Guard,
    Call::Lock,
    Call::Touch,
    Call::SecretFile,
    Call::Truncate,
    Call::Random,
    Call::Limit,
    Call::Machine,
    Call::AtFork,
];

const STRICT: Policy = Policy::strict();
const AWAKE: Policy = POOL.hibernation_friendly();
const HIDDEN: Policy = Policy::require(Requirements::HIDDEN);
const UNDUMPED: Policy = Policy::require(Requirements::NO_DUMP.and(Requirements::NO_FORK));
const SHARED: Policy = POOL.share_with_children();

/// A buffer, filled.
#[derive(Clone, Copy, Debug)]
struct Secret {
    at: usize,
    size: usize,
    align: usize,
    policy: Policy,
    value: u8,
}

impl Secret {
    fn new(size: usize, align: usize, policy: &Policy) -> Option<Secret> {
        let at = match alloc(size, align, policy) {
            Ok(at) => at,
            Err(error) => {
                let kind = error.kind();
                let fits = match kind {
                    ErrorKind::OutOfMemory { .. } | ErrorKind::StartUp => true,
                    // Only to a policy that insists.
                    ErrorKind::Unsupported(_) | ErrorKind::LockedMemoryLimit { .. } => {
                        policy.requirements() != Requirements::NONE
                    }
                    _ => false,
                };
                assert!(fits, "{kind:?}");
                return None;
            }
        };
        assert!(is_all(at, size, 0), "a new buffer is zero");
        let has = query(at).expect("a live buffer").satisfied();
        assert!(has.has(policy.requirements()), "{has:?} for {policy:?}");
        let secret = Secret { at, size, align, policy: *policy, value: (at >> 4) as u8 | 1 };
        fill(at, size, secret.value);
        Some(secret)
    }

    fn check(&self) {
        assert!(is_all(self.at, self.size, self.value), "contents of {self:x?}");
        assert!(query(self.at).is_some());
    }

    /// False if the kernel did not let it be opened; then it is as it was.
    fn free(&self) -> bool {
        match try_free(self.at) {
            Ok(freed) => assert_eq!(freed, Freed::Wiped),
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::Protect);
                return false;
            }
        }
        assert_eq!(query(self.at), None);
        if is_mapped(self.at) && self.size > 0 {
            assert!(is_all(self.at, self.size, 0), "the freed {self:x?} can be read");
        }
        true
    }

    fn resize(&mut self, size: usize) {
        match resize(self.at, size, self.align) {
            Ok(at) => {
                let kept = size.min(self.size);
                assert!(is_all(at, kept, self.value), "contents of {self:x?}, moved");
                assert!(is_all(at + kept, size - kept, 0), "what {self:x?} grew by");
                let has = query(at).expect("a live buffer").satisfied();
                assert!(has.has(self.policy.requirements()));
                if at != self.at && is_mapped(self.at) && self.size > 0 {
                    let same = self.at < at + size && at < self.at + self.size;
                    assert!(same || is_all(self.at, self.size, 0), "the old place of {self:x?}");
                }
                (self.at, self.size) = (at, size);
                fill(at, size, self.value);
            }
            Err(_) => self.check(),
        }
    }
}

fn get(held: &mut Vec<Secret>, size: usize, policy: &Policy) {
    held.extend(Secret::new(size, 1, policy));
}

fn verify(held: &[Secret]) {
    let seen = secure_verify().expect("every invariant");
    assert_eq!(seen.pooled + seen.own_pages, held.len(), "{seen:?}");
    held.iter().for_each(Secret::check);
}

/// The end of every workload: nothing fails any more.
fn recover(mut held: Vec<Secret>) {
    disarm();
    // Nothing at all was to be had, secure memory could not even start: it does so now.
    verify(&held);
    let before = held.len();
    for i in 0..60usize {
        get(&mut held, [16, 100, 1000, 6000][i % 4] + i, if i % 9 == 0 { &OWN } else { &POOL });
    }
    get(&mut held, 300_000, &POOL);
    get(&mut held, 40, &SHARED);
    assert_eq!(held.len(), before + 62, "the kernel gives memory, secure memory does not");
    verify(&held);
    held.drain(..).for_each(|secret| assert!(secret.free(), "{secret:x?} stays"));
    verify(&[]);
    secure_trim();
    verify(&[]);
    let seen = secure_stats();
    assert_eq!((seen.pooled_buffers, seen.own_pages_buffers, seen.degraded), (0, 0, 0));
    assert_eq!((seen.pooled_bytes, seen.own_pages_bytes), (0, 0));
    assert_eq!(seen.chunks, 0, "chunks that nobody uses are kept");
    assert_eq!(seen.secret_bytes + seen.anonymous_bytes + seen.unlocked_bytes, 0, "{seen:?}");
}

/// Frees every `n`th; what the kernel keeps closed stays.
fn free_some(held: &mut Vec<Secret>, n: usize) {
    let mut number = 0;
    held.retain(|secret| {
        number += 1;
        number % n != 0 || !secret.free()
    });
}

fn pool() {
    let mut held = Vec::new();
    for round in 0..3 {
        for i in 0..120usize {
            let policy = [&POOL, &AWAKE, &POOL, &STRICT][i % 4];
            get(&mut held, [0, 16, 48, 300, 2000, 8000][i % 6] + round, policy);
        }
        held.iter_mut().step_by(5).for_each(|secret| secret.resize(secret.size * 2 + 7));
        free_some(&mut held, 2);
        if round == 1 {
            verify(&held);
            secure_trim();
        }
    }
    recover(held);
}

fn own_pages() {
    let mut held = Vec::new();
    for round in 0..3usize {
        for i in 0..12usize {
            let policy = &[OWN, SHARED, AWAKE.protectable(), STRICT.protectable()][i % 4];
            get(&mut held, 10 + i * 1000 + round, policy);
        }
        get(&mut held, 70_000, &POOL);
        held.extend(Secret::new(500, 1 << 16, &OWN));
        held.extend(Secret::new(5000, 1 << 20, &POOL));
        held.iter_mut().step_by(4).for_each(|secret| secret.resize(secret.size / 2 + round * 900));
        free_some(&mut held, 2);
    }
    recover(held);
}

fn insisting() {
    let mut held = Vec::new();
    for policy in [&STRICT, &HIDDEN, &UNDUMPED, &STRICT.protectable(), &HIDDEN.protectable()] {
        for size in [1, 32, 700, 5000, 40_000] {
            get(&mut held, size, policy);
        }
    }
    held.iter_mut().for_each(|secret| secret.resize(secret.size + 3000));
    recover(held);
}

/// As [`insisting`], where a limit holds even if the kernel does not say how much memory there is.
fn insisting_on_much() {
    assert!(alloc(1 << 45, 1, &STRICT).is_err());
    insisting();
}

fn access() {
    let mut held = Vec::new();
    (0..8).for_each(|i| get(&mut held, 100 + i * 900, &OWN));
    for round in 0..3 {
        for secret in &held {
            for access in [Access::NoAccess, Access::ReadOnly, Access::ReadWrite] {
                let before = query(secret.at).expect("live").access;
                let now = match protect(secret.at, access) {
                    Ok(()) => access,
                    Err(error) => {
                        assert_eq!(error.kind(), ErrorKind::Protect);
                        before
                    }
                };
                assert_eq!(query(secret.at).expect("live").access, now);
                assert_eq!(is_mapped(secret.at), now != Access::NoAccess, "{now:?}");
                // SAFETY: live; what it lends is only looked at here.
                if let Ok(open) = unsafe { AccessGuard::read(non_null(secret.at)) } {
                    assert!(is_all(secret.at, secret.size, secret.value));
                    drop(open);
                }
                // SAFETY: as above, and written by nobody else.
                if let Ok(open) = unsafe { AccessGuard::write(non_null(secret.at)) } {
                    fill(secret.at, secret.size, secret.value);
                    drop(open);
                }
            }
        }
        if round == 1 {
            for secret in &held {
                let _ = protect(secret.at, Access::NoAccess);
            }
            // Some of them closed.
            free_some(&mut held, 3);
        }
    }
    disarm();
    for secret in &held {
        protect(secret.at, Access::ReadWrite).expect("access");
    }
    recover(held);
}

/// Buffers that are closed are resized: whatever fails, one of both places has the contents, and
/// nobody has more access than told.
fn closed() {
    let mut held = Vec::new();
    (0..6).for_each(|i| get(&mut held, 100 + i * 1800, if i % 2 == 0 { &OWN } else { &SHARED }));
    for size in [3000, 40, 9000] {
        for (i, secret) in held.iter_mut().enumerate() {
            let rest = [Access::NoAccess, Access::ReadOnly][i % 2];
            let _ = protect(secret.at, rest);
            let before = query(secret.at).expect("live").access;
            match resize(secret.at, size, 1) {
                Ok(at) => {
                    assert!(query(secret.at).is_none(), "the old place");
                    (secret.at, secret.size) = (at, secret.size.min(size));
                    let seen = query(at).expect("live");
                    assert_eq!((seen.access, seen.pooled), (before, false));
                    assert_eq!(is_mapped(at), before != Access::NoAccess);
                    // The rest of it is zero, which `check` does not expect.
                    let _ = resize(at, secret.size, 1).map(|at| secret.at = at);
                }
                Err(_) => {
                    let now = query(secret.at).expect("the old place").access;
                    assert!(now == before || secure_stats().unclosed > 0, "{before:?}, {now:?}");
                    assert_eq!(is_mapped(secret.at), now != Access::NoAccess);
                }
            }
            let seen = query(secret.at).expect("live");
            secret.size = seen.size.min(secret.size);
        }
    }
    disarm();
    for secret in &mut held {
        protect(secret.at, Access::ReadWrite).expect("access");
        secret.at = resize(secret.at, secret.size, 1).expect("memory");
    }
    recover(held);
}

fn forks() {
    let mut held = Vec::new();
    for i in 0..40usize {
        let policy = [&POOL, &OWN, &AWAKE, &UNDUMPED][i % 4];
        get(&mut held, 30 + i * 100, policy);
    }
    get(&mut held, 200, &SHARED);
    for bare in [false, true] {
        let noticed = is_noticed(bare);
        // SAFETY: the child goes on alone and ends by `_exit`.
        let pid = unsafe {
            match bare {
                false => libc::fork(),
                true => libc::syscall(libc::SYS_clone, libc::SIGCHLD, 0, 0, 0, 0) as libc::pid_t,
            }
        };
        assert!(pid >= 0, "fork");
        if pid == 0 {
            // SAFETY: this child's own.
            unsafe { libc::alarm(20) };
            if noticed {
                be_a_child(&held);
            }
            // SAFETY: without exit handlers.
            unsafe { libc::_exit(0) };
        }
        wait_for(pid);
        verify(&held);
        get(&mut held, 60, &POOL);
    }
    recover(held);
}

/// Whether a fork is noticed: by handlers, or by the word that the kernel zeroes.
fn is_noticed(bare: bool) -> bool {
    !has_failed(Call::WipeOnFork) || !bare && !has_failed(Call::AtFork)
}

fn be_a_child(inherited: &[Secret]) {
    let mut copied = Vec::new();
    for secret in inherited {
        let shared = secret.policy.is_shared_with_children();
        let excluded = secret.policy.requirements().has(Requirements::NO_FORK);
        match try_free(secret.at) {
            Ok(Freed::Inherited) => assert!(!shared),
            Ok(Freed::Wiped) => assert!(!excluded, "the child has {secret:x?}"),
            Err(error) => {
                // Secure memory cannot start over in this child, or open it.
                let kind = error.kind();
                assert!(matches!(kind, ErrorKind::Protect | ErrorKind::StartUp), "{kind:?}");
            }
        }
        if excluded {
            let there = is_mapped(secret.at);
            assert!(!there || !is_all(secret.at, secret.size, secret.value), "{secret:x?}");
        }
    }
    for i in 0..50 {
        get(&mut copied, 20 + i * 50, if i % 5 == 0 { &OWN } else { &POOL });
    }
    disarm();
    copied.iter().for_each(Secret::check);
    copied.iter().for_each(|secret| assert!(secret.free()));
    secure_verify().expect("every invariant");
}

fn little_locked_memory() {
    let limit = libc::rlimit { rlim_cur: 64 << 10, rlim_max: 64 << 10 };
    // SAFETY: the structure is valid for the call; this child's own limit and rights: CAP_IPC_LOCK
    // (14) would make the limit void.
    unsafe {
        assert_eq!(libc::setrlimit(libc::RLIMIT_MEMLOCK, &raw const limit), 0);
        let mut header = [0x2008_0522_u32, 0];
        let mut sets = [0u32; 6];
        if libc::syscall(libc::SYS_capget, header.as_mut_ptr(), sets.as_mut_ptr()) == 0 {
            sets[0] &= !(1 << 14);
            libc::syscall(libc::SYS_capset, header.as_mut_ptr(), sets.as_ptr());
        }
    }
}

const fn work(name: &'static str, run: fn(), runs: u64) -> Workload {
    Workload { name, prepare: as_it_is, run, never: Calls::NONE, runs }
}

const fn without(workload: Workload, never: Calls) -> Workload {
    Workload { never, ..workload }
}

const fn limited(workload: Workload) -> Workload {
    Workload { prepare: little_locked_memory, ..workload }
}

const NO_SECRET: Calls = Calls::NONE.and(Call::SecretFile);
const OLDER: Calls = NO_SECRET.and(Call::Guard).and(Call::Seal).and(Call::WipeOnFork);
const NO_LOCK: Calls = OLDER.and(Call::Lock);
const NO_NO_FORK: Calls = NO_SECRET.and(Call::NoFork);

#[test]
fn secure_memory_under_each_policy() {
    let workloads = [
        work("pool", pool, 20),
        without(work("pool, no memfd_secret", pool, 12), NO_SECRET),
        without(work("pool, no mlock", pool, 0), NO_LOCK),
        limited(work("pool, little locked memory", pool, 12)),
        work("own pages", own_pages, 16),
        without(work("own pages, older kernel", own_pages, 0), OLDER),
        limited(work("own pages, little locked memory", own_pages, 10)),
        work("insisting", insisting, 12),
        limited(work("insisting, little locked memory", insisting_on_much, 10)),
        without(work("insisting, no memfd_secret", insisting, 8), NO_SECRET),
        without(work("insisting, no DONTFORK", insisting, 6), NO_NO_FORK),
        work("access", access, 14),
        without(work("access, older kernel", access, 0), OLDER),
        work("closed", closed, 14),
        without(work("closed, no memfd_secret", closed, 8), NO_SECRET),
        work("secure forks", forks, 14),
        without(work("secure forks, no memfd_secret", forks, 8), NO_SECRET),
        without(work("secure forks, no DONTFORK", forks, 8), NO_NO_FORK),
    ];
    sweep("failures::secure::secure_memory_under_each_policy", &workloads, SECURE);
}
