//! The control: a heap as they were in the 1990s, under which every attack must take effect.
//!
//! ```text
//! arena: top | list head | fast lists          chunk, free        chunk, in use
//! +-------+------+---------+---+---            +-----------+      +-----------+
//! | state | chunk| chunk   |   |  top           | prev size |      | (below's) |
//! +-------+------+---------+---+---            | size    |P|      | size    |P|
//!                                              | next      |      | object    |
//!                                              | prev      |      |           |
//! ```
//!
//! Boundary tags and links lie next to the objects; P says that the chunk below is in use. Small
//! chunks are reused last in, first out, and never merged; larger ones are merged and kept in one
//! list. Nothing is checked, and freed memory keeps its contents.
#![expect(unsafe_code, reason = "maps its arena")]

use super::heap::Heap;
use super::memory::{get, put};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

/// Address space of the arena.
const ARENA: usize = 256 << 20;
/// Largest chunk that is kept in a fast list.
const FAST: usize = 128;
/// From the arena's start: the list's head, a chunk without a size.
const LIST: usize = 16;
/// From the arena's start: the fast lists' heads, one for every 16 bytes.
const LISTS: usize = 64;
/// From the arena's start: the first chunk.
const FIRST: usize = 1024;
/// The chunk below is in use.
const P: usize = 1;
/// Bits of a size word that are no size.
const FLAGS: usize = 15;

// Words of a chunk, from its start.
const BELOW: usize = 0;
const SIZE: usize = 8;
const NEXT: usize = 16;
const PREV: usize = 24;
/// The object, from the chunk's start.
const OBJECT: usize = 16;

static BASE: AtomicUsize = AtomicUsize::new(0);
static LOCK: AtomicBool = AtomicBool::new(false);

pub struct Naive;

/// The chunk that a request needs. Wraps, as it did.
const fn need(size: usize) -> usize {
    let bytes = size.wrapping_add(23) & !FLAGS;
    if bytes < 32 { 32 } else { bytes }
}

fn size(chunk: usize) -> usize {
    get(chunk.wrapping_add(SIZE)) & !FLAGS
}

fn set(chunk: usize, word: usize, value: usize) {
    put(chunk.wrapping_add(word), value);
}

fn flag_above(chunk: usize, in_use: bool) {
    let above = chunk.wrapping_add(size(chunk));
    let word = get(above.wrapping_add(SIZE));
    set(above, SIZE, if in_use { word | P } else { word & !P });
}

fn base() -> usize {
    let base = BASE.load(Ordering::Relaxed);
    if base != 0 {
        return base;
    }
    let both = libc::PROT_READ | libc::PROT_WRITE;
    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE;
    // SAFETY: a new mapping, at a place that the kernel chooses.
    let base = unsafe { libc::mmap(std::ptr::null_mut(), ARENA, both, flags, -1, 0) };
    assert_ne!(base, libc::MAP_FAILED);
    let base = base.expose_provenance();
    put(base, base + FIRST);
    set(base + LIST, NEXT, base + LIST);
    set(base + LIST, PREV, base + LIST);
    set(base + FIRST, SIZE, (ARENA - FIRST) | P);
    BASE.store(base, Ordering::Relaxed);
    base
}

/// Takes a chunk out of its list: two writes to where its own words say.
fn unlink(chunk: usize) {
    let (next, prev) = (get(chunk + NEXT), get(chunk + PREV));
    set(next, PREV, prev);
    set(prev, NEXT, next);
}

/// Puts a chunk at the list's head.
fn link(chunk: usize) {
    let head = base() + LIST;
    let first = get(head + NEXT);
    set(chunk, NEXT, first);
    set(chunk, PREV, head);
    set(head, NEXT, chunk);
    set(first, PREV, chunk);
}

fn allocate(request: usize) -> usize {
    let (base, need) = (base(), need(request));
    if need <= FAST {
        let list = base + LISTS + need / 16 * 8;
        let chunk = get(list);
        if chunk != 0 {
            put(list, get(chunk + NEXT));
            return chunk + OBJECT;
        }
    }
    // The oldest that fits.
    let head = base + LIST;
    let mut chunk = get(head + PREV);
    while chunk != head {
        let rest = size(chunk).wrapping_sub(need);
        if size(chunk) >= need {
            unlink(chunk);
            if rest >= 32 {
                set(chunk, SIZE, need | get(chunk + SIZE) & P);
                let above = chunk + need;
                set(above, SIZE, rest | P);
                set(above + rest, BELOW, rest);
                link(above);
            } else {
                flag_above(chunk, true);
            }
            return chunk + OBJECT;
        }
        chunk = get(chunk + PREV);
    }
    let top = get(base);
    let rest = size(top).wrapping_sub(need);
    if size(top) < need {
        return 0;
    }
    let above = top.wrapping_add(need);
    set(above, SIZE, rest & !FLAGS | P);
    set(top, SIZE, need | get(top + SIZE) & P);
    put(base, above);
    top + OBJECT
}

fn free(at: usize) {
    let (base, mut chunk) = (base(), at - OBJECT);
    let mut bytes = size(chunk);
    if bytes <= FAST {
        let list = base + LISTS + bytes / 16 * 8;
        set(chunk, NEXT, get(list));
        put(list, chunk);
        return;
    }
    if get(chunk + SIZE) & P == 0 {
        let below = get(chunk + BELOW);
        chunk = chunk.wrapping_sub(below);
        bytes = bytes.wrapping_add(below);
        unlink(chunk);
    }
    let above = chunk.wrapping_add(bytes);
    if above == get(base) {
        set(chunk, SIZE, (bytes + size(above)) | P);
        put(base, chunk);
        return;
    }
    let over = above.wrapping_add(size(above));
    if get(over.wrapping_add(SIZE)) & P == 0 {
        unlink(above);
        bytes += size(above);
    }
    set(chunk, SIZE, bytes | P);
    set(chunk.wrapping_add(bytes), BELOW, bytes);
    flag_above(chunk, false);
    link(chunk);
}

fn locked<R>(body: impl FnOnce() -> R) -> R {
    while LOCK.swap(true, Ordering::Acquire) {
        std::hint::spin_loop();
    }
    let result = body();
    LOCK.store(false, Ordering::Release);
    result
}

impl Heap for Naive {
    fn allocate(&self, size: usize) -> usize {
        locked(|| allocate(size))
    }

    fn free(&self, at: usize) {
        locked(|| free(at));
    }

    /// Believes the size.
    fn free_sized(&self, at: usize, size: usize) {
        let chunk = at - OBJECT;
        locked(|| {
            set(chunk, SIZE, need(size) | get(chunk + SIZE) & P);
            free(at);
        });
    }

    fn resize(&self, at: usize, request: usize) -> usize {
        let old = size(at - OBJECT) - 8;
        if request <= old {
            return at;
        }
        let new = self.allocate(request);
        (0..old & !7).step_by(8).for_each(|i| put(new + i, get(at + i)));
        self.free(at);
        new
    }
}
