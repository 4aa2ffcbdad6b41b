//! What can be done wrong with a buffer that has pages of its own, and how each ends.

use super::ending::{Case, End};
use super::raw::{OWN, POOL, alloc, free, read, resize, take, touch, write};

fn page() -> usize {
    take(32, &OWN)
}

/// A size of which no byte is left behind in its pages.
fn full() -> usize {
    take(8192, &POOL)
}

pub const PAGES: &[Case] = &[
    ("pages: nothing", || [page(), full()].into_iter().for_each(free), End::Survives),
    (
        "pages: twice",
        || {
            let at = page();
            free(at);
            free(at)
        },
        End::Line("double free (secret, own pages)"),
    ),
    (
        "pages: twice with others between",
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
        "pages: interior",
        || free(page() + 8),
        End::Line("free of a pointer into the middle of an object (secret, own pages)"),
    ),
    (
        "pages: the guard",
        || free(full() + 8192),
        End::Line("free of a pointer into the middle of an object (secret, own pages)"),
    ),
    ("pages: one byte past the end", || write(full() + 8192, 1), End::Fault),
    ("pages: reading past the end", || touch(full() + 8192), End::Fault),
    (
        "pages: past the end of what ends before its page",
        || {
            let at = alloc(40, 16, &OWN).expect("memory");
            write(at + 40, 0);
            free(at);
        },
        End::Line("write past the end of an object (secret, own pages)"),
    ),
    (
        "pages: past the alignment's gap",
        || {
            let at = alloc(40, 16, &OWN).expect("memory");
            write(at + 48, 0);
        },
        End::Fault,
    ),
    (
        "pages: one byte before the start",
        || {
            let at = page();
            write(at - 1, 0);
            free(at)
        },
        End::Line("write before the start of a secure buffer (secret, own pages)"),
    ),
    (
        "pages: far before the start",
        || {
            let at = take(4096 * 5, &POOL);
            write(at - 4096, 0);
            free(at);
        },
        End::Line("write before the start of a secure buffer (secret, own pages)"),
    ),
    (
        "pages: before the pages",
        || {
            let at = page();
            write((at & !4095) - 1, 0)
        },
        End::Fault,
    ),
    (
        "pages: after the free",
        || {
            let at = full();
            free(at);
            read(at);
        },
        End::Fault,
    ),
    (
        "pages: after the free and others",
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
        "pages: resized after a free",
        || {
            let at = page();
            free(at);
            let _ = resize(at, 64, 1);
        },
        End::Line("double free (secret, own pages)"),
    ),
    (
        "pages: aligned to a megabyte, past the end",
        || {
            let at = alloc(5000, 1 << 20, &POOL).expect("memory");
            write(at + 5000, 0);
            free(at);
        },
        End::Line("write past the end of an object (secret, own pages)"),
    ),
    (
        "pages: aligned to a megabyte, before the start",
        || {
            let at = alloc(5000, 1 << 20, &POOL).expect("memory");
            write(at - 1, 0);
            free(at);
        },
        End::Line("write before the start of a secure buffer (secret, own pages)"),
    ),
];
