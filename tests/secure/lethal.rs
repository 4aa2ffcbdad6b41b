//! Every misuse ends its process, with the exact words or by a fault at the very byte.

use crate::ending::{self, Case, End};
use crate::raw::{OWN, POOL, alloc, free, query, read, resize, take, touch, write};

fn slot() -> usize {
    take(32, &POOL)
}

fn page() -> usize {
    take(32, &OWN)
}

/// A size of which no byte is left behind in its pages.
fn full() -> usize {
    take(8192, &POOL)
}

const SLOT: &[Case] = &[
    ("nothing", || free(slot()), End::Survives),
    (
        "twice",
        || {
            let at = slot();
            free(at);
            free(at)
        },
        End::Line("double free (secret, slot of 48)"),
    ),
    (
        "twice with others between",
        || {
            let at = slot();
            let others = [slot(), slot(), slot()];
            free(at);
            others.into_iter().for_each(free);
            free(at);
        },
        End::Line("double free (secret, slot of 48)"),
    ),
    (
        "twice by threads",
        || {
            let at = slot();
            std::thread::spawn(move || free(at)).join().expect("freed");
            free(at);
        },
        End::Line("double free (secret, slot of 48)"),
    ),
    (
        "interior",
        || free(slot() + 8),
        End::Line("free of a pointer into the middle of an object (secret, slot of 48)"),
    ),
    (
        "interior by one",
        || free(slot() + 1),
        End::Line("free of a pointer into the middle of an object (secret, slot of 48)"),
    ),
    (
        "one byte past the end",
        || {
            let at = slot();
            write(at + 32, 1);
            free(at)
        },
        End::Line("write past the end of an object (secret, slot of 48)"),
    ),
    (
        "a zero past the end",
        || {
            let at = slot();
            write(at + 32, 0);
            free(at)
        },
        End::Line("write past the end of an object (secret, slot of 48)"),
    ),
    (
        "one byte past an odd end",
        || {
            let at = take(33, &POOL);
            write(at + 33, 0);
            free(at)
        },
        End::Line("write past the end of an object (secret, slot of 64)"),
    ),
    (
        "one byte past the end of nothing",
        || {
            let at = take(0, &POOL);
            write(at, 0);
            free(at)
        },
        End::Line("write past the end of an object (secret, slot of 32)"),
    ),
    (
        "one byte before the start",
        || {
            let at = slot();
            write(at - 1, 0);
            free(at)
        },
        End::Line("write before the start of a secure buffer (secret, slot of 48)"),
    ),
    (
        "before the start of an aligned one",
        || {
            let at = alloc(64, 64, &POOL).expect("memory");
            write(at - 64, 0);
            free(at);
        },
        End::Line("write before the start of a secure buffer (secret, slot of 192)"),
    ),
    (
        "past the end, then resized",
        || {
            let at = slot();
            write(at + 32, 0);
            let _ = resize(at, 64, 1);
        },
        End::Line("write past the end of an object (secret, slot of 48)"),
    ),
    (
        "resized after a free",
        || {
            let at = slot();
            free(at);
            let _ = resize(at, 64, 1);
        },
        End::Line("double free (secret, slot of 48)"),
    ),
    (
        "a late write",
        || {
            let at = slot();
            free(at);
            write(at + 5, 1);
            for _ in 0..10_000 {
                free(slot())
            }
        },
        End::Line("write to freed memory, found at reuse (secret, slot of 48)"),
    ),
    (
        "a late write of nothing",
        || {
            let at = slot();
            free(at);
            write(at + 5, 0);
            for _ in 0..10_000 {
                free(slot())
            }
        },
        End::Survives,
    ),
    (
        "beyond the chunk",
        || {
            let at = slot();
            let mut here = at;
            loop {
                read(here);
                here += 16
            }
        },
        End::Fault,
    ),
    (
        "before the chunk",
        || {
            let at = slot();
            let mut here = at;
            loop {
                read(here);
                here -= 16
            }
        },
        End::Fault,
    ),
];

#[test]
fn pooled() {
    ending::run("lethal::pooled", SLOT);
}

const PAGES: &[Case] = &[
    ("nothing", || [page(), full()].into_iter().for_each(free), End::Survives),
    (
        "twice",
        || {
            let at = page();
            free(at);
            free(at)
        },
        End::Line("double free (secret, own pages)"),
    ),
    (
        "twice with others between",
        || {
            let at = page();
            free(at);
            for _ in 0..10 {
                free(page())
            }
            free(at);
        },
        End::Line("double free (secret, own pages)"),
    ),
    (
        "interior",
        || free(page() + 8),
        End::Line("free of a pointer into the middle of an object (secret, own pages)"),
    ),
    (
        "the guard",
        || free(full() + 8192),
        End::Line("free of a pointer into the middle of an object (secret, own pages)"),
    ),
    ("one byte past the end", || write(full() + 8192, 1), End::Fault),
    ("reading past the end", || touch(full() + 8192), End::Fault),
    (
        "past the end of what ends before its page",
        || {
            let at = alloc(40, 16, &OWN).expect("memory");
            write(at + 40, 0);
            free(at);
        },
        End::Line("write past the end of an object (secret, own pages)"),
    ),
    (
        "past the alignment's gap",
        || {
            let at = alloc(40, 16, &OWN).expect("memory");
            write(at + 48, 0);
        },
        End::Fault,
    ),
    (
        "one byte before the start",
        || {
            let at = page();
            write(at - 1, 0);
            free(at)
        },
        End::Line("write before the start of a secure buffer (secret, own pages)"),
    ),
    (
        "far before the start",
        || {
            let at = take(4096 * 5, &POOL);
            write(at - 4096, 0);
            free(at);
        },
        End::Line("write before the start of a secure buffer (secret, own pages)"),
    ),
    (
        "before the pages",
        || {
            let at = page();
            write((at & !4095) - 1, 0)
        },
        End::Fault,
    ),
    (
        "after the free",
        || {
            let at = full();
            free(at);
            read(at);
        },
        End::Fault,
    ),
    (
        "after the free and others",
        || {
            let at = full();
            free(at);
            for _ in 0..16 {
                take(8192, &POOL);
            }
            read(at);
        },
        End::Fault,
    ),
    (
        "resized after a free",
        || {
            let at = page();
            free(at);
            let _ = resize(at, 64, 1);
        },
        End::Line("double free (secret, own pages)"),
    ),
    (
        "aligned to a megabyte, past the end",
        || {
            let at = alloc(5000, 1 << 20, &POOL).expect("memory");
            write(at + 5000, 0);
            free(at);
        },
        End::Line("write past the end of an object (secret, own pages)"),
    ),
    (
        "aligned to a megabyte, before the start",
        || {
            let at = alloc(5000, 1 << 20, &POOL).expect("memory");
            write(at - 1, 0);
            free(at);
        },
        End::Line("write before the start of a secure buffer (secret, own pages)"),
    ),
];

#[test]
fn with_pages_of_their_own() {
    ending::run("lethal::with_pages_of_their_own", PAGES);
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
            // Of 341 slots of a block at most 128 are ready or in use.
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
