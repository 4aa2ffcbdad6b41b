//! The operating system's stand-in: mappings in the arena, threads of the interpreter.
#![allow(unsafe_code)] // the trait is unsafe to implement

use crate::arena::{self, BITS, Contents, PAGE, Page};
use casemate::os::{Features, ForkHooks, MapError, Os, Thread, ThreadExit, Word};
use std::ptr;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering::Relaxed};
use std::sync::{Condvar, Mutex, PoisonError};

/// See the module. With guard markers, or as a kernel before them.
pub struct Machine<const MARKERS: bool>;

#[repr(align(64))]
struct Words {
    word: Word,
    held: Word,
}

thread_local! {
    static WORDS: Words = const { Words { word: Word::new(0), held: Word::new(0) } };
}

static SLEEPERS: (Mutex<()>, Condvar) = (Mutex::new(()), Condvar::new());

/// Pages that can still be mapped.
static LEFT: AtomicUsize = AtomicUsize::new(usize::MAX);

/// From now on only so many pages can be mapped.
pub fn leave(pages: usize) {
    LEFT.store(pages, Relaxed);
}

fn take(len: usize) -> Result<(), MapError> {
    let pages = len / PAGE;
    let taken = LEFT.fetch_update(Relaxed, Relaxed, |left| left.checked_sub(pages));
    taken.map(|_| ()).map_err(|_| MapError::Exhausted)
}

// SAFETY: a mapping is made of free pages of the arena alone, which nothing else uses; `entropy` is
// the interpreter's, all of it or an error; two threads have different words.
unsafe impl<const MARKERS: bool> Os for Machine<MARKERS> {
    fn page_size() -> usize {
        PAGE
    }

    fn probe() -> Features {
        Features { guards: MARKERS, ..Features::default() }
    }

    fn address_bits() -> u32 {
        BITS
    }

    fn reserve(at: usize, len: usize) -> Result<(), MapError> {
        arena::occupy(at, len, Page::Closed)
    }

    fn map(at: usize, len: usize) -> Result<(), MapError> {
        take(len)?;
        let done = arena::occupy(at, len, Page::Open);
        if done.is_err() {
            LEFT.fetch_add(len / PAGE, Relaxed);
        }
        done
    }

    fn unmap(at: usize, len: usize) -> Result<(), MapError> {
        // The kernel takes away what is there, and would say nothing of what is not: which here is
        // somebody's mistake.
        let done = arena::change(at, len, |before| {
            if before != Page::Closed {
                LEFT.fetch_add(1, Relaxed);
            }
            (Page::Free, Contents::Gone)
        });
        assert!(done.is_ok(), "unmapped twice: {at:#x} {len:#x}");
        done
    }

    fn open(at: usize, len: usize) -> Result<(), MapError> {
        take(len)?;
        let done = arena::change(at, len, |before| match before {
            Page::Closed => (Page::Open, Contents::Zero),
            other => {
                LEFT.fetch_add(1, Relaxed);
                (other, Contents::Kept)
            }
        });
        if done.is_err() {
            LEFT.fetch_add(len / PAGE, Relaxed);
        }
        done
    }

    fn close(at: usize, len: usize) -> Result<(), MapError> {
        for page in (at..at + len).step_by(PAGE) {
            // Contents would stay, which this stand-in cannot do. The heap closes what it has
            // discarded.
            let holds = arena::page(page) == Page::Open && !arena::is_zero(page);
            assert!(!holds, "closed with contents: {page:#x}");
        }
        arena::change(at, len, |before| match before {
            Page::Open => {
                LEFT.fetch_add(1, Relaxed);
                (Page::Closed, Contents::Gone)
            }
            other => (other, Contents::Kept),
        })
    }

    fn withdraw(at: usize, len: usize) -> Result<(), MapError> {
        Self::discard(at, len)?;
        Self::close(at, len)
    }

    fn read_only(_: usize, _: usize) -> Result<(), MapError> {
        Err(MapError::Unsupported)
    }

    fn seal(_: usize, _: usize) -> Result<(), MapError> {
        Err(MapError::Unsupported)
    }

    fn discard(at: usize, len: usize) -> Result<(), MapError> {
        arena::change(at, len, |before| match before {
            Page::Open => (before, Contents::Zero),
            other => (other, Contents::Kept),
        })
    }

    fn guard(at: usize, len: usize) -> Result<(), MapError> {
        if !MARKERS {
            return Err(MapError::Unsupported);
        }
        arena::change(at, len, |before| {
            assert_ne!(before, Page::Closed, "a guard in closed memory: {at:#x} {len:#x}");
            (Page::Guard, Contents::Gone)
        })
    }

    fn unguard(at: usize, len: usize) -> Result<(), MapError> {
        if !MARKERS {
            return Err(MapError::Unsupported);
        }
        arena::change(at, len, |before| match before {
            Page::Guard => (Page::Open, Contents::Zero),
            other => (other, Contents::Kept),
        })
    }

    fn populate(_: usize, _: usize) {}

    fn move_pages(from: usize, to: usize, len: usize) -> Result<(), MapError> {
        if !MARKERS {
            return Err(MapError::Unsupported);
        }
        for at in [from, to].into_iter().flat_map(|at| (at..at + len).step_by(PAGE)) {
            assert_eq!(arena::page(at), Page::Open, "moved: {at:#x}");
        }
        arena::relocate(from, to, len);
        Ok(())
    }

    fn wipe_on_fork(_: usize, _: usize) -> Result<(), MapError> {
        Err(MapError::Unsupported)
    }

    fn dump(_: usize, _: usize) {}

    fn no_dump(_: usize, _: usize) -> Result<(), MapError> {
        Ok(())
    }

    fn has_address_space() -> bool {
        LEFT.fetch_or(0, Relaxed) != 0
    }

    fn can_split() -> bool {
        true
    }

    fn address_space_limit() -> Option<usize> {
        // Then the heap reserves nothing: its smallest reservation would not fit into the arena.
        Some(1 << BITS)
    }

    fn mapping_limit() -> usize {
        65_530
    }

    fn processors() -> usize {
        2
    }

    fn page_table_bytes() -> Option<usize> {
        None
    }

    fn entropy(out: &mut [u8]) -> bool {
        getrandom::fill(out).is_ok()
    }

    fn wait(word: &AtomicU32, value: u32) {
        let guard = SLEEPERS.0.lock().unwrap_or_else(PoisonError::into_inner);
        // As in the kernel: looked at and put to sleep in one step. An exchange sees the last
        // value.
        if word.fetch_or(0, Relaxed) == value {
            drop(SLEEPERS.1.wait(guard).unwrap_or_else(PoisonError::into_inner));
        }
    }

    fn wake(_: &AtomicU32) {
        let _guard = SLEEPERS.0.lock().unwrap_or_else(PoisonError::into_inner);
        SLEEPERS.1.notify_all();
    }

    fn pause() {
        std::thread::yield_now();
    }

    fn thread<'t>() -> Thread<'t> {
        let words = WORDS.with(|words| ptr::from_ref(words));
        // SAFETY: they have no destructor and live as long as their thread, which neither the
        // reference nor `Thread` leaves (`Word` is not `Sync`).
        let words = unsafe { &*words };
        Thread { identity: ptr::from_ref(words).addr(), word: &words.word, held: &words.held }
    }

    fn at_thread_exit<H: ThreadExit>() -> bool {
        unreachable!("the process's heap is not used here")
    }

    fn at_fork<H: ForkHooks>() -> bool {
        unreachable!("the process's heap is not used here")
    }

    fn report(line: &[u8]) {
        eprint!("{}", String::from_utf8_lossy(line));
    }

    fn abort() -> ! {
        std::process::abort()
    }
}
