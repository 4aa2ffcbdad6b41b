//! The control: a heap as they were in the 1990s, under which every attack must take effect.
//!
//! ```text
//! arena: top, break | fast lists | list head   chunk, free        chunk, in use
//! +-------+------+---------+---+-----+         +-----------+      +-----------+
//! | state | chunk| chunk   |   | top | break   | prev size |      | (below's) |
//! +-------+------+---------+---+-----+         | size  |A|P|      | size  |A|P|
//!                                              | next      |      | object    |
//!                                              | prev      |      |           |
//! ```
//!
//! Boundary tags and links lie next to the objects; P says that the chunk below is in use, A that
//! the chunk belongs to another arena, which the first word of its 64 MiB names. Small chunks are
//! reused last in, first out, and merged only when a very large one is freed; others are merged at
//! once and kept in one list. Where top is too small the break moves; if something else has moved
//! it, what is left of top is freed. Nothing is checked, and freed memory keeps its contents.
#![expect(unsafe_code, reason = "maps its arena")]

use super::heap::Heap;
use super::memory::{get, put};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

/// Address space of the arena.
const ARENA: usize = 256 << 20;
/// Largest chunk that is kept in a fast list.
const FAST: usize = 128;
/// The break moves by multiples of this.
const GROWTH: usize = 1 << 20;
/// What an arena beside the first is aligned to.
const HEAP: usize = 64 << 20;
/// A freed chunk from which on the fast lists are emptied.
const VERY_LARGE: usize = 64 << 10;
/// From the arena's start: the break. The word before it is top.
const BREAK: usize = 8;
/// From the arena's start: the fast lists' heads, one for every 16 bytes from 32 on.
const LISTS: usize = 16;
/// From the arena's start: the list's head, a chunk without a size.
const LIST: usize = 80;
/// From the arena's start: the first chunk.
const FIRST: usize = 1024;
/// The chunk below is in use.
const P: usize = 1;
/// The chunk belongs to another arena.
const A: usize = 4;
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
    put(base + BREAK, base + GROWTH);
    set(base + FIRST, SIZE, (GROWTH - FIRST) | P);
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
fn link(arena: usize, chunk: usize) {
    let head = arena + LIST;
    let first = get(head + NEXT);
    set(chunk, NEXT, first);
    set(chunk, PREV, head);
    set(head, NEXT, chunk);
    set(first, PREV, chunk);
}

fn allocate(request: usize) -> usize {
    let (base, need) = (base(), need(request));
    if need <= FAST {
        let list = fast_list(base, need);
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
                link(base, above);
            } else {
                flag_above(chunk, true);
            }
            return chunk + OBJECT;
        }
        chunk = get(chunk + PREV);
    }
    if size(get(base)) < need && !grow(base, need) {
        return 0;
    }
    let top = get(base);
    let rest = size(top).wrapping_sub(need);
    let above = top.wrapping_add(need);
    set(above, SIZE, rest & !FLAGS | P);
    set(top, SIZE, need | get(top + SIZE) & P);
    put(base, above);
    top + OBJECT
}

/// Moves the break. The new memory continues top, unless top does not end at the break.
fn grow(base: usize, need: usize) -> bool {
    let (top, end) = (get(base), get(base + BREAK));
    let more = need.wrapping_add(GROWTH) & !(GROWTH - 1);
    if more < need || more > base + ARENA - end {
        return false;
    }
    put(base + BREAK, end + more);
    if top + size(top) == end {
        set(top, SIZE, (size(top) + more) | P);
        return true;
    }
    put(base, end);
    set(end, SIZE, more | P);
    // Two chunks without contents in use end what is left.
    let rest = size(top).wrapping_sub(32);
    if rest >= 32 {
        set(top, SIZE, rest | P);
        set(top + rest, SIZE, 16 | P);
        set(top + rest + 16, SIZE, 16 | P);
        merge(base, top);
    }
    true
}

fn fast_list(arena: usize, bytes: usize) -> usize {
    arena + LISTS + (bytes / 16 - 2) * 8
}

fn free(at: usize) {
    let chunk = at - OBJECT;
    let bytes = size(chunk);
    let arena = if get(chunk + SIZE) & A == 0 { base() } else { get(chunk & !(HEAP - 1)) };
    if (32..=FAST).contains(&bytes) {
        let list = fast_list(arena, bytes);
        set(chunk, NEXT, get(list));
        put(list, chunk);
        return;
    }
    merge(arena, chunk);
    if bytes >= VERY_LARGE {
        consolidate(arena);
    }
}

/// Merges what is in the fast lists.
fn consolidate(arena: usize) {
    for list in (32..=FAST).step_by(16).map(|bytes| fast_list(arena, bytes)) {
        let mut chunk = get(list);
        put(list, 0);
        while chunk != 0 {
            let next = get(chunk + NEXT);
            merge(arena, chunk);
            chunk = next;
        }
    }
}

/// Frees a chunk, together with free ones beside it.
fn merge(arena: usize, mut chunk: usize) {
    let mut bytes = size(chunk);
    if get(chunk + SIZE) & P == 0 {
        let below = get(chunk + BELOW);
        chunk = chunk.wrapping_sub(below);
        bytes = bytes.wrapping_add(below);
        unlink(chunk);
    }
    let above = chunk.wrapping_add(bytes);
    if above == get(arena) {
        set(chunk, SIZE, (bytes + size(above)) | P);
        put(arena, chunk);
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
    link(arena, chunk);
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
