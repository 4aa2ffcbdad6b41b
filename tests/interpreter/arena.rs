//! The memory of the stand-in: pages, and what may be done with each.
//!
//! The heap chooses its addresses, and the interpreter maps nothing at a chosen one; but it hands
//! out low, ascending addresses. So one allocation, made before any other that is long, covers the
//! whole of a small address space. A page that the kernel would let nobody read holds bytes that
//! are not initialised: to read one is undefined behaviour, which the interpreter reports.
//!
//! States are exchanged without ordering: what the heap forgets to order, no lock of this file does
//! in its place. (And never loaded: only an exchange is sure to see the last value.)
#![allow(unsafe_code)] // makes and fills the arena

use casemate::os::{MapError, pointer};
use std::alloc::Layout;
use std::mem::MaybeUninit;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicPtr, AtomicU8, Ordering::Relaxed};

/// Bytes of a page.
pub const PAGE: usize = 4096;
/// log2 of the address space.
pub const BITS: u32 = 32;
const PAGES: usize = (1 << BITS) / PAGE;

/// What a page is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Page {
    /// Not mapped.
    Free = 0,
    /// Mapped, inaccessible.
    Closed = 1,
    /// Readable and writable.
    Open = 2,
    /// Under a guard marker.
    Guard = 3,
}

/// Pages that are cleared together, if any of them was ever used.
const BLOCK: usize = 256;

struct Arena {
    /// What was allocated, for the interpreter, which looks for leaks.
    _all: AtomicPtr<u8>,
    start: usize,
    pages: Box<[AtomicU8]>,
    /// One for each block of pages: whether it is in use.
    used: Box<[AtomicU8]>,
}

static ARENA: OnceLock<Arena> = OnceLock::new();

fn arena() -> &'static Arena {
    ARENA.get_or_init(|| {
        // Not aligned to pages: the interpreter would then have its host touch all of it.
        let layout = Layout::from_size_align((1 << BITS) + PAGE, 16).expect("a layout");
        // SAFETY: the layout is not of no bytes.
        let all = unsafe { std::alloc::alloc(layout) };
        let start = all.expose_provenance().next_multiple_of(PAGE);
        assert!(start != 0 && start <= 1 << (BITS - 6), "the arena came late: {start:#x}");
        Arena { _all: AtomicPtr::new(all), start, pages: zeros(PAGES), used: zeros(PAGES / BLOCK) }
    })
}

fn zeros(len: usize) -> Box<[AtomicU8]> {
    let bytes = Box::into_raw(vec![0u8; len].into_boxed_slice());
    // SAFETY: as they are made of bytes; both types are alike in memory.
    unsafe { Box::from_raw(bytes as *mut [AtomicU8]) }
}

/// Makes the arena, if nobody has.
pub fn make() {
    arena();
}

/// The pages of a range; `None` if it leaves the arena.
fn pages(at: usize, len: usize) -> Option<&'static [AtomicU8]> {
    assert!(at.is_multiple_of(PAGE) && len.is_multiple_of(PAGE), "{at:#x} {len:#x}");
    let arena = arena();
    let first = at.checked_sub(arena.start)? / PAGE;
    arena.pages.get(first..first.checked_add(len / PAGE)?)
}

fn state(page: &AtomicU8) -> Page {
    match page.fetch_or(0, Relaxed) {
        1 => Page::Closed,
        2 => Page::Open,
        3 => Page::Guard,
        _ => Page::Free,
    }
}

/// What the page at `at` is.
pub fn page(at: usize) -> Page {
    pages(at & !(PAGE - 1), PAGE).map_or(Page::Free, |pages| state(&pages[0]))
}

/// Makes a range of free pages something else.
pub fn occupy(at: usize, len: usize, to: Page) -> Result<(), MapError> {
    let pages = pages(at, len).ok_or(MapError::Exhausted)?;
    for (i, page) in pages.iter().enumerate() {
        if page.compare_exchange(Page::Free as u8, to as u8, Relaxed, Relaxed).is_err() {
            // As if it had never been tried.
            pages[..i].iter().for_each(|page| page.store(Page::Free as u8, Relaxed));
            return Err(MapError::Occupied);
        }
    }
    let first = (at - arena().start) / PAGE;
    for block in first / BLOCK..=(first + pages.len() - 1) / BLOCK {
        arena().used[block].store(1, Relaxed);
    }
    if to == Page::Open {
        zero(at, len);
    }
    Ok(())
}

/// What becomes of a page's contents.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Contents {
    /// They stay.
    Kept,
    /// They are zeros.
    Zero,
    /// Nobody can read them.
    Gone,
}

/// Changes every page of a range by `change`. The kernel refuses where a page is not mapped.
pub fn change(
    at: usize,
    len: usize,
    change: impl Fn(Page) -> (Page, Contents),
) -> Result<(), MapError> {
    let pages = pages(at, len).ok_or(MapError::Exhausted)?;
    if pages.iter().any(|page| state(page) == Page::Free) {
        return Err(MapError::Exhausted);
    }
    // Pages that follow each other and end alike are filled at once.
    let (mut from, mut run) = (at, Contents::Kept);
    for (i, page) in pages.iter().enumerate() {
        let before = state(page);
        let (after, contents) = change(before);
        assert_eq!(page.swap(after as u8, Relaxed), before as u8, "two at one page");
        if contents != run {
            fill(from, at + i * PAGE - from, run);
            (from, run) = (at + i * PAGE, contents);
        }
    }
    fill(from, at + len - from, run);
    Ok(())
}

fn fill(at: usize, len: usize, with: Contents) {
    match with {
        Contents::Kept => {}
        Contents::Zero => zero(at, len),
        Contents::Gone => spoil(at, len),
    }
}

/// Frees every page: no heap uses the arena any more.
pub fn clear() {
    let arena = arena();
    for (i, block) in arena.pages.chunks(BLOCK).enumerate() {
        if arena.used[i].swap(0, Relaxed) != 0 {
            block.iter().for_each(|page| page.store(Page::Free as u8, Relaxed));
            spoil(arena.start + i * BLOCK * PAGE, BLOCK * PAGE);
        }
    }
}

/// Fills a part of the arena with zeros.
fn zero(at: usize, len: usize) {
    // SAFETY: in the arena, by `pages`; that nobody uses it is the heap's part, and the
    // interpreter sees to it.
    unsafe { pointer::<u8>(at).write_bytes(0, len) }
}

/// From now on nobody can read it.
fn spoil(at: usize, len: usize) {
    static NOTHING: [MaybeUninit<u8>; 1 << 16] = [MaybeUninit::uninit(); 1 << 16];
    for from in (at..at + len).step_by(NOTHING.len()) {
        let len = NOTHING.len().min(at + len - from);
        // SAFETY: as for `zero`. Copies that there is nothing.
        unsafe { NOTHING.as_ptr().copy_to_nonoverlapping(pointer(from), len) }
    }
}

/// Whether a page that can be read is all zero.
pub fn is_zero(at: usize) -> bool {
    // SAFETY: as for `zero`.
    unsafe { pointer::<[u8; PAGE]>(at).read() == [0; PAGE] }
}

/// Copies a range of pages to another, and zeros the first.
pub fn relocate(from: usize, to: usize, len: usize) {
    // SAFETY: as for `zero`.
    unsafe { std::ptr::copy(pointer::<u8>(from), pointer::<u8>(to), len) }
    zero(from, len);
}
