//! An operating system for the locks: threads, and a futex that forgets nobody and wakes nobody for
//! no reason, so that a lost wake-up is a deadlock, which loom reports.
#![allow(unsafe_code)] // the trait is unsafe to implement

use casemate::os::{Features, ForkHooks, MapError, Os, Thread, ThreadExit, Word};
use loom::sync::atomic::AtomicU32;
use loom::sync::atomic::Ordering::Relaxed;
use loom::sync::{Condvar, Mutex};

/// See the module.
pub struct Machine;

struct Words {
    word: Word,
    held: Word,
    _different: [Word; 2],
}

loom::thread_local! {
    /// Never freed: a few bytes an execution, and the references outlive loom's own destructors.
    static WORDS: &'static Words = Box::leak(Box::new(Words {
        word: Word::new(0),
        held: Word::new(0),
        _different: [Word::new(0), Word::new(0)],
    }));
}

loom::lazy_static! {
    static ref SLEEPERS: (Mutex<()>, Condvar) = (Mutex::new(()), Condvar::new());
}

/// Calls that no lock makes.
macro_rules! not_asked {
    ($($name:ident($($argument:ident: $of:ty),*) $(-> $result:ty)?;)*) => {
        $(fn $name($($argument: $of),*) $(-> $result)? {
            $(let _ = $argument;)*
            unreachable!("{}", stringify!($name))
        })*
    };
}

// SAFETY: nothing maps memory; two threads have different words, which are never freed.
unsafe impl Os for Machine {
    fn wait(word: &AtomicU32, value: u32) {
        let guard = SLEEPERS.0.lock().unwrap();
        // As in the kernel: looked at and put to sleep in one step.
        if word.load(Relaxed) == value {
            drop(SLEEPERS.1.wait(guard).unwrap());
        }
    }

    fn wake(_: &AtomicU32) {
        let _guard = SLEEPERS.0.lock().unwrap();
        SLEEPERS.1.notify_one();
    }

    fn pause() {
        loom::thread::yield_now();
    }

    fn thread<'t>() -> Thread<'t> {
        let words = WORDS.with(|words| *words);
        Thread { identity: std::ptr::from_ref(words).addr(), word: &words.word, held: &words.held }
    }

    fn at_thread_exit<H: ThreadExit>() -> bool {
        unreachable!()
    }

    fn at_fork<H: ForkHooks>() -> bool {
        unreachable!()
    }

    not_asked! {
        page_size() -> usize;
        probe() -> Features;
        address_bits() -> u32;
        reserve(at: usize, len: usize) -> Result<(), MapError>;
        map(at: usize, len: usize) -> Result<(), MapError>;
        unmap(at: usize, len: usize) -> Result<(), MapError>;
        open(at: usize, len: usize) -> Result<(), MapError>;
        close(at: usize, len: usize) -> Result<(), MapError>;
        withdraw(at: usize, len: usize) -> Result<(), MapError>;
        read_only(at: usize, len: usize) -> Result<(), MapError>;
        seal(at: usize, len: usize) -> Result<(), MapError>;
        discard(at: usize, len: usize) -> Result<(), MapError>;
        guard(at: usize, len: usize) -> Result<(), MapError>;
        unguard(at: usize, len: usize) -> Result<(), MapError>;
        populate(at: usize, len: usize);
        move_pages(from: usize, to: usize, len: usize) -> Result<(), MapError>;
        wipe_on_fork(at: usize, len: usize) -> Result<(), MapError>;
        dump(at: usize, len: usize);
        no_dump(at: usize, len: usize) -> Result<(), MapError>;
        has_address_space() -> bool;
        can_split() -> bool;
        address_space_limit() -> Option<usize>;
        mapping_limit() -> usize;
        processors() -> usize;
        page_table_bytes() -> Option<usize>;
        entropy(out: &mut [u8]) -> bool;
        report(line: &[u8]);
        abort() -> !;
    }
}
