//! What can be done wrong with a small buffer, and how each ends.

use super::ending::{Case, End};
use super::raw::{POOL, alloc, free, read, resize, take, try_free, write};
use std::string::ToString;

fn slot() -> usize {
    take(32, &POOL)
}

pub const SLOT: &[Case] = &[
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
        // Each of 320 slots is used about 310 times: a generation has 8 bits.
        "twice after any number of uses",
        || {
            let mut last = 0;
            for _ in 0..100_000 {
                last = slot();
                free(last);
                match try_free(last) {
                    Err(error) if error.to_string().starts_with("double free") => {}
                    other => panic!("{other:?}"),
                }
            }
            free(last);
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
            write(at + 32, !read(at + 32));
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
