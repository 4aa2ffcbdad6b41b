//! Ten ways to misuse a heap, each committed in a process made for it.
//!
//! Blocks come from `std::alloc` directly and are touched with volatile accesses, so that the
//! optimiser can neither see nor remove what is done to them.
#![expect(unsafe_code, reason = "deliberate misuse of the heap, in child processes made for it")]

use std::alloc::{Layout, alloc, dealloc, handle_alloc_error};
use std::hint::black_box;
use std::thread;

/// How a misuse must end.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// The heap finds it, says so on standard error and aborts.
    Abort,
    /// The write runs into a guard page, and the kernel ends the process.
    Guard,
}

/// One misuse.
pub struct Misuse {
    /// What `--misuse` takes.
    pub name: &'static str,
    /// What the table says.
    pub title: &'static str,
    pub end: End,
    commit: fn(),
}

/// All of them.
pub const ALL: [Misuse; 10] = [
    abort("double-free", "double free", double_free),
    abort("double-free-thread", "double free from another thread", double_free_from_another_thread),
    abort("free-stack", "free of a stack address", free_of_the_stack),
    abort("free-interior", "free of an interior pointer", free_inside),
    abort("wrong-size", "free with a wrong size", free_with_wrong_size),
    abort("overflow", "one byte written past the end", overflow),
    abort("underflow", "write before the start", underflow),
    abort("use-after-free", "write after free", write_after_free),
    Misuse {
        name: "large-overflow",
        title: "overflow out of a large mapping",
        end: End::Guard,
        commit: large_overflow,
    },
    abort("live-damage", "damage to an object never freed", damage_to_a_live_object),
];

const fn abort(name: &'static str, title: &'static str, commit: fn()) -> Misuse {
    Misuse { name, title, end: End::Abort, commit }
}

/// Commits the misuse of that name; `false` if there is none. A heap worth its name does not let
/// this return.
pub fn commit(name: &str) -> bool {
    let Some(misuse) = ALL.iter().find(|misuse| misuse.name == name) else {
        return false;
    };
    no_core_file();
    settle_in();
    (misuse.commit)();
    true
}

/// A thread's first allocations come from heaps that it shares with others. What is freed there
/// waits for them; here the whole story is to happen in one heap.
fn settle_in() {
    for _ in 0..200 {
        let block = take(64);
        // SAFETY: allocated above with this size, and freed once.
        unsafe { free(block, 64) };
    }
}

/// The process is meant to be killed: nobody wants its core file.
fn no_core_file() {
    let none = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: the call only reads the structure.
    unsafe { libc::setrlimit(libc::RLIMIT_CORE, &none) };
}

fn layout(size: usize) -> Layout {
    match Layout::from_size_align(size, 8) {
        Ok(layout) => layout,
        Err(_) => std::process::exit(3),
    }
}

fn take(size: usize) -> *mut u8 {
    let layout = layout(size);
    // SAFETY: no size here is zero.
    let block = black_box(unsafe { alloc(layout) });
    if block.is_null() {
        handle_alloc_error(layout);
    }
    block
}

/// # Safety
///
/// That of [`dealloc`], which the misuses break on purpose.
unsafe fn free(block: *mut u8, size: usize) {
    // SAFETY: as the caller says.
    unsafe { dealloc(black_box(block), layout(size)) }
}

/// Changes the byte at `at`, whatever it was.
///
/// # Safety
///
/// That of writing there, which the misuses break on purpose.
unsafe fn damage(at: *mut u8) {
    let at = black_box(at);
    // SAFETY: as the caller says.
    unsafe { at.write_volatile(!at.read_volatile()) }
}

fn double_free() {
    let block = take(100);
    // SAFETY: none, deliberately: the second free is the misuse.
    unsafe {
        free(block, 100);
        free(block, 100);
    }
}

fn double_free_from_another_thread() {
    let block = take(1000);
    // SAFETY: allocated above with this size, and freed for the first time.
    unsafe { free(block, 1000) };
    let address = block.expose_provenance();
    // SAFETY: none, deliberately: the block is free already.
    let other = thread::spawn(move || unsafe {
        free(std::ptr::with_exposed_provenance_mut(address), 1000);
    });
    let _ = other.join();
}

fn free_of_the_stack() {
    let mut local = [0u64; 8];
    let address = black_box(&mut local).as_mut_ptr().cast();
    // SAFETY: none, deliberately: the address is one of the stack.
    unsafe { free(address, 64) };
    black_box(local);
}

fn free_inside() {
    let block = take(256);
    // SAFETY: none, deliberately: the pointer is into the middle of the block.
    unsafe { free(block.add(64), 256) };
}

fn free_with_wrong_size() {
    let block = take(100);
    // SAFETY: none, deliberately: the block has 100 bytes.
    unsafe { free(block, 40) };
}

fn overflow() {
    let block = take(100);
    // SAFETY: none, deliberately: the byte after the last one is written.
    unsafe {
        damage(block.add(100));
        free(block, 100);
    }
}

/// The byte before a block belongs to the slot below: found when either of the two is freed.
fn underflow() {
    let size = 56;
    let Some((below, above)) = neighbours(size) else {
        return;
    };
    // SAFETY: none, deliberately: the byte before the first one is written.
    unsafe {
        damage(above.sub(1));
        free(above, size);
        free(below, size);
    }
}

/// Found when the memory is about to be handed out again, so it has to come round.
fn write_after_free() {
    let size = 200;
    let block = take(size);
    // SAFETY: none, deliberately: the block is free when it is written to.
    unsafe {
        free(block, size);
        damage(block.add(16));
    }
    churn(size);
}

/// Writes on after the end of a mapping of its own until something stops it.
fn large_overflow() {
    let size = 1 << 20;
    let block = take(size);
    for past in 0..64 << 10 {
        // SAFETY: none, deliberately: the bytes are those after the end of the block.
        unsafe { black_box(block.add(size + past)).write_volatile(0x41) };
    }
}

/// The damaged object and the one above it are never freed: only the check of a group's live
/// objects, made when the heap takes the group up again, can find it.
fn damage_to_a_live_object() {
    let size = 56;
    let Some((below, above)) = neighbours(size) else {
        return;
    };
    let mut at = below.wrapping_add(size);
    while at < above {
        // SAFETY: none, deliberately: these bytes lie between two objects.
        unsafe { damage(at) };
        at = at.wrapping_add(1);
    }
    churn(size);
    black_box((below, above));
}

/// Two live blocks in slots that touch, the lower one first. The others are freed again.
fn neighbours(size: usize) -> Option<(*mut u8, *mut u8)> {
    let mut blocks: Vec<*mut u8> = (0..4096).map(|_| take(size)).collect();
    blocks.sort_unstable();
    let distance = |pair: &[*mut u8]| pair[1].addr() - pair[0].addr();
    // The smallest distance between any two is the size of a slot.
    let pair = blocks.windows(2).min_by_key(|pair| distance(pair))?;
    let (below, above) = (pair[0], pair[1]);
    for block in blocks {
        if block != below && block != above {
            // SAFETY: allocated above with this size, and freed once.
            unsafe { free(block, size) };
        }
    }
    Some((below, above))
}

/// Correct use of one size class until every slot of it has come round: single blocks first,
/// then many at a time.
fn churn(size: usize) {
    for (rounds, at_once) in [(100_000, 1), (64, 4096)] {
        for _ in 0..rounds {
            let blocks: Vec<*mut u8> = (0..at_once).map(|_| take(size)).collect();
            for block in blocks {
                // SAFETY: allocated above with this size, and freed once.
                unsafe { free(block, size) };
            }
        }
    }
}
