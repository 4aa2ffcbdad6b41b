//! Every misuse ends its process, with the exact words or by a fault at the very byte; what does
//! not end a process is looked for in one.

use crate::ending::{self, Case, End};
use crate::raw::{POOL, free, query, resize, take, write};
use crate::{looks, misuse_pages, misuse_slots};

fn slot() -> usize {
    take(32, &POOL)
}

#[test]
fn pooled() {
    ending::run("lethal::pooled", misuse_slots::SLOT);
}

#[test]
fn with_pages_of_their_own() {
    ending::run("lethal::with_pages_of_their_own", misuse_pages::PAGES);
}

#[test]
fn what_does_not_kill_holds() {
    ending::run("lethal::what_does_not_kill_holds", looks::LOOKS);
}

/// Nobody reads what is said: the process ends by SIGABRT all the same, and not by SIGPIPE, which a
/// supervisor may take for an orderly end.
fn with_nobody_listening(misuse: fn(usize)) {
    let at = slot();
    let mut ends = [0; 2];
    // SAFETY: descriptors and a disposition of this process's own, which is a child that ends.
    unsafe {
        assert_eq!(libc::pipe(ends.as_mut_ptr()), 0);
        assert_eq!(libc::dup2(ends[1], libc::STDERR_FILENO), libc::STDERR_FILENO);
        libc::close(ends[0]);
        libc::close(ends[1]);
        libc::signal(libc::SIGPIPE, libc::SIG_DFL);
    }
    misuse(at);
}

const UNHEARD: &[Case] = &[
    (
        "twice",
        || {
            with_nobody_listening(|at| {
                free(at);
                free(at);
            })
        },
        End::Says(""),
    ),
    (
        "past the end",
        || {
            with_nobody_listening(|at| {
                write(at + 32, 1);
                free(at);
            })
        },
        End::Says(""),
    ),
];

#[test]
fn a_closed_pipe_ends_by_abort() {
    ending::run("lethal::a_closed_pipe_ends_by_abort", UNHEARD);
}

static STATIC: u8 = 0;

const FOREIGN: &[Case] = &[
    (
        "the stack, before all else",
        || {
            let local = 0u8;
            free((&raw const local).expose_provenance())
        },
        End::Line("the pointer is no secure buffer"),
    ),
    (
        "the stack",
        || {
            free(slot());
            let local = 0u8;
            free((&raw const local).expose_provenance())
        },
        End::Line("the pointer is no secure buffer"),
    ),
    (
        "a static",
        || {
            free(slot());
            free((&raw const STATIC).expose_provenance())
        },
        End::Line("the pointer is no secure buffer"),
    ),
    (
        "the heap",
        || {
            free(slot());
            free(Box::leak(Box::new(1u64)) as *const u64 as usize)
        },
        End::Line("the pointer is no secure buffer"),
    ),
    (
        "a low address",
        || {
            free(slot());
            free(16)
        },
        End::Line("the pointer is no secure buffer"),
    ),
    (
        "the last address",
        || {
            free(slot());
            free(usize::MAX)
        },
        End::Line("the pointer is no secure buffer"),
    ),
    (
        "a slot never handed out",
        || {
            // Of 341 slots of a block at most 64 are ready or in use.
            let at = slot();
            let block = at & !0x3fff;
            let unused = (0..300usize).map(|i| block + i * 48 + 8).rfind(|&at| query(at).is_none());
            free(unused.expect("an unused one"));
        },
        End::Line("the pointer is no secure buffer"),
    ),
    (
        "resized",
        || {
            free(slot());
            let _ = resize(16, 10, 1);
        },
        End::Line("the pointer is no secure buffer"),
    ),
];

#[test]
fn foreign() {
    ending::run("lethal::foreign", FOREIGN);
}
