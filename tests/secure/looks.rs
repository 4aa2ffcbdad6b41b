//! Protections that do not kill by themselves: each case looks whether one holds, says so and
//! ends; where it does not hold, the case goes on to its end.

use super::ending::{Case, End};
use super::raw::{OWN, POOL, free, is_all, protect, query, read, take, touch, write};
use casemate::secure::{Access, Backing, Policy, secure_trim};
use std::fs::read_to_string;
use std::os::unix::fs::FileExt;
use std::string::String;
use std::vec::Vec;

const HOLDS: End = End::Says("holds\n");
/// Ordinary memory: `memfd_secret` memory is locked and left out of dumps by the kernel itself.
const ORDINARY: Policy = POOL.hibernation_friendly();

fn hold_if(holds: bool) {
    if holds {
        // SAFETY: a constant; this process ends as the case says.
        unsafe {
            libc::write(libc::STDERR_FILENO, b"holds\n".as_ptr().cast(), 6);
            libc::abort();
        }
    }
}

/// End of the mapping that an address is in, and its flags.
fn mapping(at: usize) -> (usize, String) {
    let maps = read_to_string("/proc/self/smaps").expect("this process's mappings");
    let mut found = None;
    for line in maps.lines() {
        let range = line.split(' ').next().and_then(|range| range.split_once('-'));
        let number = |text| usize::from_str_radix(text, 16).ok();
        if let Some((from, to)) = range.and_then(|(a, b)| Some((number(a)?, number(b)?))) {
            found = (from..to).contains(&at).then_some(to);
        } else if let (Some(to), Some(flags)) = (found, line.strip_prefix("VmFlags:")) {
            return (to, flags.into());
        }
    }
    panic!("{at:x} is not mapped");
}

/// How a child ends that runs `body`: its status, if it was not ended by a signal.
fn child(fork: fn() -> libc::pid_t, body: impl FnOnce() -> bool) -> Option<i32> {
    let pid = fork();
    assert!(pid >= 0);
    if pid == 0 {
        let done = body();
        // SAFETY: ends this child.
        unsafe { libc::_exit(i32::from(done)) };
    }
    let mut status = 0;
    // SAFETY: a child of this function's own.
    while unsafe { libc::waitpid(pid, &raw mut status, 0) } != pid {}
    libc::WIFEXITED(status).then(|| libc::WEXITSTATUS(status))
}

fn fork() -> libc::pid_t {
    // SAFETY: the child makes system calls and looks at secure memory.
    unsafe { libc::fork() }
}

fn raw_fork() -> libc::pid_t {
    // SAFETY: as for `fork`.
    unsafe { libc::syscall(libc::SYS_clone, libc::SIGCHLD, 0, 0, 0, 0) as libc::pid_t }
}

/// Whether something is mapped at an address: the kernel refuses to map there.
fn is_taken(at: usize) -> bool {
    let (flags, none) = (
        libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_FIXED_NOREPLACE | libc::MAP_NORESERVE,
        libc::PROT_NONE,
    );
    let start = std::ptr::without_provenance_mut(at & !4095);
    // SAFETY: replaces nothing.
    unsafe { libc::mmap(start, 4096, none, flags, -1, 0) == libc::MAP_FAILED }
}

pub const LOOKS: &[Case] = &[
    (
        // Without: those of a block come one behind the other. With: one in 64 by chance.
        "slots in random order",
        || {
            let all: Vec<usize> = (0..300).map(|_| take(32, &POOL)).collect();
            let next = all.windows(2).filter(|pair| pair[0].abs_diff(pair[1]) == 48).count();
            hold_if(next < 75);
        },
        HOLDS,
    ),
    (
        // Without: all within 64 GiB. With: by chance once in 2^70 times.
        "places far apart",
        || {
            let all: Vec<usize> = (0..8).map(|_| take(32, &OWN)).collect();
            let (least, most) = (all.iter().min(), all.iter().max());
            hold_if(most.zip(least).is_some_and(|(most, least)| most - least > 64 << 30));
        },
        HOLDS,
    ),
    (
        "freed memory is zero",
        || {
            let at = take(32, &POOL);
            (at..at + 32).for_each(|at| write(at, 0x99));
            free(at);
            hold_if(is_all(at - 8, 48, 0));
        },
        HOLDS,
    ),
    (
        // Without: the last one is among 64 to be drawn from, 20,000 times.
        "freed slots wait",
        || {
            let mut last: Vec<usize> = Vec::new();
            for _ in 0..20_000 {
                let at = take(32, &POOL);
                free(at);
                if last.iter().rev().take(256).any(|&old| old == at) {
                    return;
                }
                last.push(at);
            }
            hold_if(true);
        },
        HOLDS,
    ),
    (
        "a late write, found when memory is given back",
        || {
            let at = take(32, &POOL);
            free(at);
            write(at + 5, 1);
            secure_trim();
        },
        End::Line("write to freed memory, found at purge (secret, slot of 48)"),
    ),
    (
        // Three classes fill the first chunk of four blocks but for the one that is left.
        "a late write to a block without a class",
        || {
            let _held = [32, 200, 400].map(|size| take(size, &POOL));
            let at = take(80, &POOL);
            free(at);
            secure_trim();
            write(at + 5, 1);
            take(80, &POOL);
        },
        End::Line("write to freed memory, found at reuse (secret, slot of 96)"),
    ),
    ("one byte past the chunk", || touch(mapping(take(32, &POOL)).0), End::Fault),
    (
        "reading what is closed",
        || {
            let at = take(32, &OWN);
            protect(at, Access::NoAccess).expect("closed");
            touch(at);
        },
        End::Fault,
    ),
    (
        "writing what is sealed",
        || {
            let at = take(32, &OWN);
            protect(at, Access::ReadOnly).expect("read-only");
            write(at, 1);
        },
        End::Fault,
    ),
    (
        "a child cannot read",
        || {
            let all = [take(32, &POOL), take(32, &OWN), take(32, &ORDINARY)];
            all.iter().for_each(|&at| write(at, 1));
            hold_if(all.iter().all(|&at| child(fork, || read(at) == 1).is_none()));
        },
        HOLDS,
    ),
    (
        "a child's addresses are taken",
        || {
            let all = [take(32, &POOL), take(32, &OWN), take(32, &ORDINARY)];
            hold_if(all.iter().all(|&at| child(fork, || is_taken(at)) == Some(1)));
        },
        HOLDS,
    ),
    (
        "a fork without handlers is noticed",
        || {
            let all = [take(32, &POOL), take(32, &OWN)];
            hold_if(all.iter().all(|&at| child(raw_fork, || query(at).is_none()) == Some(1)));
        },
        HOLDS,
    ),
    (
        // The kernel's own readers do not see it, where there is such memory.
        "hidden from the kernel's readers",
        || {
            // SAFETY: lets this process read itself, in a child that ends.
            unsafe { libc::prctl(libc::PR_SET_DUMPABLE, 1) };
            let memory = std::fs::File::open("/proc/self/mem").expect("this process's memory");
            let seen = |at: usize| memory.read_at(&mut [0; 1], at as u64).is_ok();
            let all = [take(32, &POOL), take(32, &OWN)];
            let hidden = |&at: &usize| {
                let secret = query(at).is_some_and(|has| has.backing == Backing::Secret);
                secret != seen(at)
            };
            let descriptors = std::fs::read_dir("/proc/self/fd").expect("this process's files");
            let is_secret = |entry: std::fs::DirEntry| {
                let to = std::fs::read_link(entry.path());
                to.is_ok_and(|to| to.to_string_lossy().contains("secretmem"))
            };
            let left = descriptors.flatten().any(is_secret);
            hold_if(all.iter().all(hidden) && seen(take(32, &ORDINARY)) && !left);
        },
        HOLDS,
    ),
    (
        "dumps leave it out",
        || {
            let all = [take(32, &ORDINARY), take(32, &ORDINARY.protectable())];
            hold_if(all.iter().all(|&at| mapping(at).1.contains(" dd")));
        },
        HOLDS,
    ),
    (
        "it is locked",
        || {
            let all = [take(32, &ORDINARY), take(32, &ORDINARY.protectable())];
            hold_if(all.iter().all(|&at| mapping(at).1.contains(" lo")));
        },
        HOLDS,
    ),
];
