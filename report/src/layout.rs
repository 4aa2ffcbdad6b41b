//! What lies where in the table. Only atomics: any bytes are a valid value of each type here, and
//! an access that races with another process is defined.
#![forbid(unsafe_code)]

use core::sync::atomic::Ordering::Relaxed;
use core::sync::atomic::{AtomicU32, AtomicU64};

/// The environment variable that holds the descriptor's number, in decimal.
pub const VARIABLE: &str = "CASEMATE_REPORT";

/// First word of the file.
pub const MAGIC: u64 = u64::from_le_bytes(*b"CASEMATE");
/// Version of everything in this module. The library reports nothing into another version's table.
pub const VERSION: u32 = 1;

/// Records for processes.
pub const GENERAL: usize = 4032;
/// Further records, for violations in processes that found none of the others free.
pub const RESERVED: usize = 64;
/// All records.
pub const RECORDS: usize = GENERAL + RESERVED;

/// Bytes of a text of a violation: the longest line of the heap's.
pub const LINE: usize = casemate::violation::LINE;
/// Bytes of a program's name, the end of it if it is longer.
pub const NAME: usize = 96;

/// Bytes of the whole file.
pub const BYTES: usize = size_of::<Table>();

/// The file.
#[repr(C)]
pub struct Table {
    /// What it is, and how far it is filled.
    pub header: Header,
    /// One a process.
    pub record: [Record; RECORDS],
}

/// See [`Table`].
#[repr(C, align(4096))]
pub struct Header {
    /// [`MAGIC`].
    pub magic: AtomicU64,
    /// [`VERSION`].
    pub version: AtomicU32,
    /// Bytes of a record.
    pub record_bytes: AtomicU32,
    /// General records taken.
    pub next: AtomicU32,
    /// Reserved records taken.
    pub next_reserved: AtomicU32,
    /// Processes that found no record free.
    pub lost: AtomicU32,
    /// Violations that found no record free.
    pub lost_violations: AtomicU32,
    /// Violations, ever: the launcher looks for new ones when it changes.
    pub violations: AtomicU32,
}

/// Where a process is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum State {
    /// Nobody's.
    Free = 0,
    /// A process has taken it and fills it.
    Taken = 1,
    /// The process runs, or it ended without a word: killed, or by `_exit`, or by `exec`.
    Running = 2,
    /// It ended by `exit` or by returning from `main`.
    Exited = 3,
    /// It found a violation, after which it aborts.
    Violated = 4,
}

impl State {
    /// What a word of the table says, if that is a state.
    pub fn of(word: u32) -> Option<State> {
        [State::Free, State::Taken, State::Running, State::Exited, State::Violated]
            .into_iter()
            .find(|&state| state as u32 == word)
    }
}

/// What brought a process about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Origin {
    /// A program that was executed.
    Exec = 0,
    /// A fork of a process that has a record.
    Fork = 1,
}

/// Bits of [`Record::in_force`].
pub mod in_force {
    /// Guards are markers in the page table.
    pub const MARKERS: u32 = 1;
    /// Secrets and bases are in a read-only page.
    pub const READ_ONLY: u32 = 2;
    /// That page is sealed.
    pub const SEALED: u32 = 4;
    /// A fork that runs no handlers is noticed.
    pub const RAW_FORK: u32 = 8;
    /// Canaries by AES instructions.
    pub const AES: u32 = 16;
    /// Address space is reserved at start-up.
    pub const SPACE_RESERVED: u32 = 32;
}

/// One process.
#[repr(C, align(64))]
pub struct Record {
    /// A [`State`].
    pub state: AtomicU32,
    /// Its number, in its own namespace.
    pub pid: AtomicU32,
    /// Its parent's when the record was taken.
    pub parent: AtomicU32,
    /// An [`Origin`].
    pub origin: AtomicU32,
    /// CLOCK_MONOTONIC when the record was taken, in nanoseconds.
    pub started: AtomicU64,
    /// The same when the numbers were last stored.
    pub updated: AtomicU64,
    /// The bits of the policy's protections (`casemate::policy::Set`).
    pub protections: AtomicU32,
    /// See [`in_force`].
    pub in_force: AtomicU32,
    /// log2 of the bytes of a size class's region.
    pub region_bits: AtomicU32,
    /// 1 light, 2 full, 3 strict.
    pub policy: AtomicU32,
    /// Violations found by this process.
    pub violations: AtomicU32,
    /// 1 once somebody writes the first one's line.
    pub first: AtomicU32,
    /// Numbers of the heap, in the order of [`Numbers`].
    pub numbers: [AtomicU64; NUMBERS],
    /// The line of the first violation, as it stands on standard error; ends at a newline or 0.
    pub line: Text<{ LINE / 8 }>,
    /// The name that the program was executed by; ends at 0.
    pub name: Text<{ NAME / 8 }>,
}

/// A text in whole words.
#[repr(transparent)]
pub struct Text<const WORDS: usize>(pub [AtomicU64; WORDS]);

impl<const WORDS: usize> Text<WORDS> {
    /// An empty one.
    pub const fn empty() -> Self {
        Text([const { AtomicU64::new(0) }; WORDS])
    }

    /// Stores as much of `bytes` as there is room for, and zeros behind it.
    pub fn store(&self, bytes: &[u8]) {
        let mut chunks = bytes.chunks(8);
        for cell in &self.0 {
            let mut word = [0u8; 8];
            for (to, from) in word.iter_mut().zip(chunks.next().unwrap_or_default()) {
                *to = *from;
            }
            cell.store(u64::from_ne_bytes(word), Relaxed);
        }
    }

    /// Copies another text.
    pub fn copy(&self, from: &Self) {
        for (to, from) in self.0.iter().zip(&from.0) {
            to.store(from.load(Relaxed), Relaxed);
        }
    }

    /// Copies the text out and returns how much of `out` it fills, up to its first 0 or newline.
    pub fn load(&self, out: &mut [u8]) -> usize {
        let mut used = 0;
        for (to, cell) in out.chunks_mut(8).zip(&self.0) {
            let word = cell.load(Relaxed).to_ne_bytes();
            for (to, from) in to.iter_mut().zip(word) {
                if from == 0 || from == b'\n' {
                    return used;
                }
                *to = from;
                used += 1;
            }
        }
        used
    }
}

macro_rules! numbers {
    ($($(#[$doc:meta])* $name:ident),* $(,)?) => {
        /// Numbers of one heap.
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        pub struct Numbers {
            $($(#[$doc])* pub $name: u64,)*
        }

        /// How many [`Numbers`] there are.
        pub const NUMBERS: usize = [$(stringify!($name)),*].len();

        impl Numbers {
            /// In the order of the table.
            pub fn to_array(&self) -> [u64; NUMBERS] {
                [$(self.$name),*]
            }

            /// From the order of the table.
            pub fn from_array(array: [u64; NUMBERS]) -> Self {
                let [$($name),*] = array;
                Numbers { $($name),* }
            }
        }
    };
}

numbers! {
    /// Most of `live_bytes` that was ever stored.
    peak_bytes,
    /// Bytes of the slots and mappings of objects handed out and not freed.
    live_bytes,
    /// Those objects.
    live_objects,
    /// Objects handed out, ever.
    allocated,
    /// Objects freed, ever.
    freed,
    /// Accessible bytes.
    committed,
    /// Bytes of guards.
    guards,
    /// Bytes that were freed and wait.
    quarantined,
    /// Slabs without a guard.
    unguarded_slabs,
    /// Thread heaps.
    heaps,
    /// Objects freed by another interface than they were allocated with, where that is counted
    /// only.
    mismatches,
}

// Shared by a launcher and a library of the same version that may have been built apart: the
// layout must not depend on anything but this module.
const _: () = {
    assert!(size_of::<Header>() == 4096);
    assert!(size_of::<Record>() == 448);
    assert!(BYTES == 4096 + RECORDS * 448);
    assert!(LINE.is_multiple_of(8) && NAME.is_multiple_of(8));
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_come_back_and_are_cut() {
        let text: Text<2> = Text::empty();
        let mut out = [0; 16];
        for given in [&b""[..], b"a", b"12345678", b"123456789", b"1234567890123456"] {
            text.store(given);
            let length = text.load(&mut out);
            assert_eq!(&out[..length], given);
        }
        text.store(b"12345678901234567890");
        assert_eq!(text.load(&mut out), 16);
        assert_eq!(text.load(&mut out[..3]), 3);
        text.store(b"one\ntwo");
        assert_eq!(text.load(&mut out), 3);
    }

    #[test]
    fn numbers_keep_their_order() {
        let mut array = [0; NUMBERS];
        for (i, cell) in array.iter_mut().enumerate() {
            *cell = i as u64;
        }
        let numbers = Numbers::from_array(array);
        assert_eq!(numbers.to_array(), array);
        assert_eq!((numbers.peak_bytes, numbers.live_bytes), (0, 1));
    }

    #[test]
    fn states_are_themselves() {
        for word in 0..5 {
            assert_eq!(State::of(word).map(|state| state as u32), Some(word));
        }
        assert_eq!(State::of(5), None);
        assert_eq!(State::of(u32::MAX), None);
    }
}
