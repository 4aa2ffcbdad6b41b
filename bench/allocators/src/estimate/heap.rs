//! An estimate of the least that the full policy's work on memory costs: around a heap of others
//! (`Peer` of the module above) only what the protections do to the objects themselves.
//!
//! A freed block's canary is looked at, the block is wiped, and waits behind 64 to 128 KiB of its
//! class (1,024 blocks at most, and 1 MiB in all: less than in the full policy); an allocated one is
//! a random one of 32, is looked through, and gets a canary. Nothing here knows whether a pointer is
//! a live object, whose it is or how large: the caller is believed. There are no guards, and no
//! metadata but the other heap's own. No heap that does the same, and finds misuse, was seen to take
//! less; that none could is not proven.
#![expect(unsafe_code, reason = "an allocator, which wipes and reads raw blocks")]

use std::alloc::{GlobalAlloc, Layout};
use std::cell::UnsafeCell;
use std::hint::black_box;
use std::ptr::null_mut;

use super::{Large, Peer};
use casemate::policy::{Policy, Set, Without};

#[path = "../../../without/src/names.rs"]
mod names;

/// The heap.
pub struct Estimate;

/// Larger objects are `Large`'s.
const LARGEST: usize = 32 << 10;
/// Multiples of 16 to 1 KiB, then four sizes to each power of two.
const CLASSES: usize = 64 + 4 * 5;
/// Free blocks among which one is drawn.
const BATCH: usize = 32;
/// Bytes of a class that wait, in blocks rounded up to a power of two, and most blocks.
const WAITING: usize = 64 << 10;
const WAITERS: usize = 1024;
/// Bytes of a thread that wait.
const WAITING_IN_ALL: usize = 1 << 20;
const SECRET: u64 = 0x9E37_79B9_7F4A_7C15;

/// Whether a protection is in this build.
pub const fn has(protection: Set) -> bool {
    <Without<{ names::OFF }> as Policy>::SET.has(protection)
}

struct Class {
    /// What is handed out next, from the end.
    fresh: [*mut u8; BATCH],
    count: usize,
    /// A ring of freed blocks, `mask + 1` places.
    ring: *mut *mut u8,
    mask: usize,
    head: usize,
    waiting: usize,
}

struct Cache {
    random: u64,
    waiting: usize,
    class: [Class; CLASSES],
}

impl Class {
    const EMPTY: Class = Class {
        fresh: [null_mut(); BATCH],
        count: 0,
        ring: null_mut(),
        mask: 0,
        head: 0,
        waiting: 0,
    };
}

thread_local! {
    static CACHE: UnsafeCell<Cache> = const {
        UnsafeCell::new(Cache { random: SECRET, waiting: 0, class: [Class::EMPTY; CLASSES] })
    };
}

/// Does something with the calling thread's cache. None: the thread is at its end.
#[inline]
fn with_cache<R>(does: impl FnOnce(&mut Cache) -> R) -> Option<R> {
    // SAFETY: of this thread alone, and nothing that is done with it comes here again.
    CACHE.try_with(|cache| does(unsafe { &mut *cache.get() })).ok()
}

/// The class for so many bytes, and its size.
#[inline]
fn class(bytes: usize) -> (usize, usize) {
    if bytes <= 1024 {
        let i = bytes.div_ceil(16) - 1;
        return (i, (i + 1) * 16);
    }
    let log = (bytes - 1).ilog2() as usize;
    let quarter = ((bytes - 1) >> (log - 2)) & 3;
    (64 + (log - 10) * 4 + quarter, (1 << log) + ((quarter + 1) << (log - 2)))
}

/// The class of an object and its size, if it is a small one.
#[inline]
fn small(layout: Layout) -> Option<(usize, usize)> {
    let bytes = layout.size().max(1) + if has(Set::CANARY) { 8 } else { 0 };
    (layout.align() <= 16 && bytes <= LARGEST).then(|| class(bytes))
}

fn block(bytes: usize) -> Layout {
    Layout::from_size_align(bytes, 16).unwrap_or(Layout::new::<u128>())
}

#[inline]
fn canary(at: *mut u8) -> u64 {
    (at.addr() as u64 ^ SECRET).wrapping_mul(0xD6E8_FEB8_6659_FD93) & !0xff
}

impl Cache {
    #[inline]
    fn below(&mut self, limit: usize) -> usize {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        ((self.random >> 32) as usize * limit) >> 32
    }

    /// Takes up blocks from the peer. False: there is no memory.
    #[cold]
    #[inline(never)]
    fn refill(&mut self, i: usize, bytes: usize) -> bool {
        let batch = if bytes <= 4096 { BATCH } else { 8 };
        for n in 0..batch {
            // SAFETY: of more than no bytes.
            let new = unsafe { Peer.alloc(block(bytes)) };
            if new.is_null() {
                return n != 0;
            }
            let at = if has(Set::RANDOM_SLOT) { self.below(n + 1) } else { n };
            let class = &mut self.class[i];
            class.fresh[n] = class.fresh[at];
            class.fresh[at] = new;
            class.count = n + 1;
        }
        if !has(Set::RANDOM_SLOT) {
            self.class[i].fresh[..batch].reverse();
        }
        true
    }

    #[inline]
    fn pop(&mut self, i: usize, bytes: usize) -> *mut u8 {
        if self.class[i].count == 0 && !self.refill(i, bytes) {
            return null_mut();
        }
        let class = &mut self.class[i];
        class.count -= 1;
        class.fresh[class.count]
    }

    /// Keeps a freed block, and gives one back to the peer that has waited long enough. False:
    /// there was no memory to note it.
    #[inline]
    fn push(&mut self, i: usize, bytes: usize, freed: *mut u8) -> bool {
        let class = &mut self.class[i];
        if class.ring.is_null() && !class.begin(bytes) {
            return false;
        }
        let full = class.waiting > class.mask;
        if full || self.waiting + bytes > WAITING_IN_ALL && class.waiting != 0 {
            class.give_back(bytes);
        } else {
            self.waiting += bytes;
        }
        let next = class.head.wrapping_add(class.waiting) & class.mask;
        class.waiting += 1;
        // SAFETY: a place of the ring.
        unsafe { class.ring.add(next).write(freed) };
        true
    }
}

impl Class {
    #[cold]
    #[inline(never)]
    fn begin(&mut self, bytes: usize) -> bool {
        let places = (WAITING / bytes).next_power_of_two().clamp(2, WAITERS);
        // SAFETY: of more than no bytes.
        self.ring = unsafe { Peer.alloc(block(places * size_of::<*mut u8>())) }.cast();
        self.mask = places - 1;
        !self.ring.is_null()
    }

    /// The oldest block goes back to the peer; there is one.
    #[inline]
    fn give_back(&mut self, bytes: usize) {
        // SAFETY: a place of the ring, where a block is: of the peer, by its layout, and nobody's.
        unsafe { Peer.dealloc(self.ring.add(self.head & self.mask).read(), block(bytes)) };
        self.head = self.head.wrapping_add(1);
        self.waiting -= 1;
    }
}

impl Drop for Cache {
    fn drop(&mut self) {
        let sizes = (0..64).map(|i| (i + 1) * 16);
        let larger = (10..15).flat_map(|log| (1..=4).map(move |i| (1 << log) + (i << (log - 2))));
        for (class, bytes) in self.class.iter_mut().zip(sizes.chain(larger)) {
            while class.waiting != 0 {
                class.give_back(bytes);
            }
            for fresh in &class.fresh[..class.count] {
                // SAFETY: of the peer, by its layout, and nobody's.
                unsafe { Peer.dealloc(*fresh, block(bytes)) };
            }
            if !class.ring.is_null() {
                let places = (class.mask + 1) * size_of::<*mut u8>();
                // SAFETY: allocated by `begin`, with this layout.
                unsafe { Peer.dealloc(class.ring.cast(), block(places)) };
            }
        }
    }
}

// SAFETY: the peer's contract; a block is written only while nobody else owns it.
unsafe impl GlobalAlloc for Estimate {
    #[inline]
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let Some((i, bytes)) = small(layout) else {
            // SAFETY: the caller keeps GlobalAlloc's contract.
            return unsafe { Large.alloc(layout) };
        };
        let new = with_cache(|cache| cache.pop(i, bytes));
        // SAFETY: of more than no bytes.
        let new = new.unwrap_or_else(|| unsafe { Peer.alloc(block(bytes)) });
        if new.is_null() {
            return new;
        }
        // SAFETY: the block has so many bytes, and is the caller's.
        unsafe {
            if has(Set::REUSE_CHECK) {
                // Not its first words, where the peer had its links.
                black_box(read_pass(new.add(16), bytes - 16));
            }
            new.cast::<u64>().write(0);
            if has(Set::CANARY) {
                let last = new.add(bytes - 8);
                last.cast::<u64>().write(canary(last));
            }
        }
        new
    }

    #[inline]
    unsafe fn dealloc(&self, freed: *mut u8, layout: Layout) {
        let Some((i, bytes)) = small(layout) else {
            // SAFETY: the caller keeps GlobalAlloc's contract.
            return unsafe { Large.dealloc(freed, layout) };
        };
        // SAFETY: the block has so many bytes, and nobody uses it any more.
        unsafe {
            if has(Set::CANARY) {
                let last = freed.add(bytes - 8);
                if last.cast::<u64>().read() != canary(last) {
                    std::process::abort();
                }
            }
            if has(Set::WIPE) {
                wipe(freed, bytes);
            }
            let freed = black_box(freed);
            let waits = has(Set::QUARANTINE)
                && with_cache(|cache| cache.push(i, bytes, freed)).unwrap_or(false);
            if !waits {
                Peer.dealloc(freed, block(bytes));
            }
        }
    }

    #[inline]
    unsafe fn realloc(&self, old: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // SAFETY: the caller keeps GlobalAlloc's contract.
        unsafe {
            let wanted = Layout::from_size_align_unchecked(size, layout.align());
            match (small(layout), small(wanted)) {
                // What is left behind is not wiped: the estimate stays below what is possible.
                (None, None) => return Large.realloc(old, layout, size),
                (Some(one), Some(other)) if one == other => return old,
                _ => {}
            }
            let new = self.alloc(wanted);
            if !new.is_null() {
                new.copy_from_nonoverlapping(old, layout.size().min(size));
                self.dealloc(old, layout);
            }
            new
        }
    }
}

/// Writes zeros, by wide stores.
///
/// # Safety
///
/// `at` must be writable for `bytes`, a multiple of 16, and aligned by 16.
#[inline]
unsafe fn wipe(at: *mut u8, bytes: usize) {
    if bytes > 256 {
        // SAFETY: the caller's.
        return unsafe { at.write_bytes(0, bytes) };
    }
    // SAFETY: the caller's.
    let words = unsafe { std::slice::from_raw_parts_mut(at.cast::<[u64; 2]>(), bytes / 16) };
    for word in words {
        *word = [0; 2];
    }
}

/// Reads all words; the compiler makes wide loads of it.
///
/// # Safety
///
/// `at` must be readable and initialized for `bytes`, a multiple of 8, and aligned by 8.
#[inline]
unsafe fn read_pass(at: *const u8, bytes: usize) -> u64 {
    // SAFETY: the caller's.
    let words = unsafe { std::slice::from_raw_parts(at.cast::<u64>(), bytes / 8) };
    words.iter().fold(0, |sum, word| sum | word)
}
