//! Secure memory in a program whose global allocator is Casemate: the one never allocates from the
//! other, and a violation found by either takes the secrets away before the program's hook runs.

#![expect(unsafe_code, reason = "raw buffers, misuse, a look at what is mapped")]

#[path = "secure/ending.rs"]
mod ending;
#[path = "secure/raw.rs"]
#[expect(dead_code, reason = "not all of it is used here")]
mod raw;

use casemate::{Casemate, Violation};
use ending::{Case, End};
use raw::{OWN, POOL, fill, free, is_all, resize, take, write};
use std::alloc::{GlobalAlloc, Layout};
use std::hint::black_box;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

#[global_allocator]
static HEAP: Casemate = Casemate::new().with_hook(look);

/// Where the secrets of the case are.
static SECRETS: [AtomicUsize; 5] = [const { AtomicUsize::new(0) }; 5];

/// Looks, by a system call, whether the secrets are still to be read.
fn look(_: &Violation) {
    let readable = |at: usize| {
        let mut ends = [0; 2];
        // SAFETY: the kernel reads one byte at the address or refuses to; a pipe of our own.
        unsafe {
            libc::pipe(ends.as_mut_ptr());
            libc::write(ends[1], std::ptr::without_provenance(at), 1) == 1
        }
    };
    let left = SECRETS.iter().filter(|at| readable(at.load(SeqCst))).count();
    let line: &[u8] = if left == 0 { b"secrets: gone\n" } else { b"secrets: there\n" };
    // SAFETY: the bytes are borrowed for the call.
    unsafe { libc::write(libc::STDERR_FILENO, line.as_ptr().cast(), line.len()) };
}

/// Secrets of every kind; what is locked and what is not has no part in it.
fn keep_secrets() {
    let awake = POOL.hibernation_friendly();
    let shared = OWN.share_with_children();
    for (place, policy) in SECRETS.iter().zip([POOL, OWN, awake, awake.protectable(), shared]) {
        let at = take(32, &policy);
        fill(at, 32, 0x77);
        assert!(is_all(at, 32, 0x77));
        place.store(at, SeqCst);
    }
}

fn heap_violation() {
    keep_secrets();
    let layout = Layout::new::<[u8; 40]>();
    // SAFETY: none: an object is freed twice.
    unsafe {
        let at = black_box(HEAP.alloc(layout));
        HEAP.dealloc(at, layout);
        HEAP.dealloc(at, layout);
    }
}

const DEATHS: &[Case] = &[
    (
        "a violation of secure memory",
        || {
            keep_secrets();
            let at = take(32, &POOL);
            write(at + 32, 0);
            free(at);
        },
        End::Line("write past the end of an object (secret, slot of 48)\nsecrets: gone"),
    ),
    (
        "a violation of the heap",
        heap_violation,
        End::Line("double free (size class 48)\nsecrets: gone"),
    ),
    (
        "a violation of the heap, without secrets",
        || {
            let layout = Layout::new::<[u8; 40]>();
            // SAFETY: none: an object is freed twice.
            unsafe {
                let at = black_box(HEAP.alloc(layout));
                HEAP.dealloc(at, layout);
                HEAP.dealloc(at, layout);
            }
        },
        End::Line("double free (size class 48)\nsecrets: gone"),
    ),
    (
        "control: what is alive can be read",
        || {
            keep_secrets();
            look(&Violation::new(casemate::Kind::Metadata));
            std::process::abort();
        },
        End::Says("secrets: there\n"),
    ),
];

#[test]
fn secrets_are_gone_before_the_hook_runs() {
    ending::run("secrets_are_gone_before_the_hook_runs", DEATHS);
}

/// In a process of its own, so that nobody else allocates.
#[test]
fn the_heap_is_not_asked() {
    let case: &[Case] = &[(
        "quiet",
        || {
            let allocated = || {
                let seen = casemate::stats();
                (seen.small.allocated, seen.large_allocated)
            };
            // The test harness's own thread may allocate meanwhile; secure memory would do so in
            // every round, since each makes and gives back all of its chunks.
            let quiet = (0..10).any(|_| {
                let before = allocated();
                let mut held = [0usize; 3000];
                for (i, place) in held.iter_mut().enumerate() {
                    *place = take([32, 200, 4000][i % 3], if i % 50 == 0 { &OWN } else { &POOL });
                }
                for at in held {
                    free(resize(at, 100, 8).expect("memory"));
                }
                casemate::secure::secure_verify().expect("every invariant");
                casemate::secure::secure_trim();
                before == allocated()
            });
            assert!(quiet);
        },
        End::Survives,
    )];
    ending::run("the_heap_is_not_asked", case);
}
