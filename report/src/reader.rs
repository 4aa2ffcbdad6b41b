//! The launcher's side. Every byte is taken for hostile: what is copied out is bounded, states and
//! policies that do not exist become `None`, and texts are made printable.
#![forbid(unsafe_code)]

use crate::layout::{
    GENERAL, LINE, NAME, NUMBERS, Numbers, RECORDS, RESERVED, Record, State, Table, Text,
};
use core::fmt::{self, Write};
use core::sync::atomic::Ordering::{Acquire, Relaxed};

/// Bytes that came from a process, at most `N`. [`Display`](fmt::Display) prints them so that no
/// terminal takes any of it for a command: printable characters as they are, the rest escaped.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Foreign<const N: usize> {
    bytes: [u8; N],
    used: usize,
}

impl<const N: usize> Foreign<N> {
    fn read<const WORDS: usize>(text: &Text<WORDS>) -> Self {
        let mut bytes = [0; N];
        let used = text.load(&mut bytes).min(N);
        Foreign { bytes, used }
    }

    /// As it came.
    pub fn bytes(&self) -> &[u8] {
        self.bytes.get(..self.used).unwrap_or_default()
    }

    /// As text, if it is nothing but printable ASCII.
    pub fn plain(&self) -> Option<&str> {
        let text = core::str::from_utf8(self.bytes()).ok()?;
        text.bytes().all(|byte| (b' '..=b'~').contains(&byte)).then_some(text)
    }
}

impl<const N: usize> fmt::Display for Foreign<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        printable(self.bytes(), f)
    }
}

impl<const N: usize> fmt::Debug for Foreign<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Writes bytes of unknown origin for a human: letters, digits and what is printed in ASCII as
/// they are, letters and digits of other scripts too, everything else escaped.
///
/// # Errors
/// Those of `out`.
pub fn printable(bytes: &[u8], out: &mut impl Write) -> fmt::Result {
    for chunk in bytes.utf8_chunks() {
        for letter in chunk.valid().chars() {
            if letter == '\\' {
                out.write_str("\\\\")?;
            } else if (' '..='~').contains(&letter) || letter.is_alphanumeric() {
                out.write_char(letter)?;
            } else {
                write!(out, "{}", letter.escape_unicode())?;
            }
        }
        for byte in chunk.invalid() {
            write!(out, "\\x{byte:02x}")?;
        }
    }
    Ok(())
}

/// What one process said.
#[derive(Clone, Copy, Debug)]
pub struct Process {
    /// Its place in the table.
    pub place: usize,
    /// Its number, in its own namespace.
    pub pid: u32,
    /// Its parent's.
    pub parent: u32,
    /// Whether it came about by `fork`; otherwise by `exec`.
    pub forked: bool,
    /// How far it got.
    pub state: State,
    /// CLOCK_MONOTONIC when it took its record, in nanoseconds.
    pub started: u64,
    /// The same when it last stored its numbers; 0 for never.
    pub updated: u64,
    /// The policy's name.
    pub policy: Option<&'static str>,
    /// The bits of the policy's protections.
    pub protections: u32,
    /// See [`in_force`](crate::layout::in_force).
    pub in_force: u32,
    /// log2 of the bytes of a size class's region.
    pub region_bits: u32,
    /// Numbers of its heap.
    pub numbers: Numbers,
    /// Violations it found.
    pub violations: u32,
    /// The first one's line.
    pub line: Foreign<LINE>,
    /// The program's name.
    pub name: Foreign<NAME>,
}

/// Names of policies, by the number in the table.
pub const POLICIES: [(u32, &str); 3] = [(1, "light"), (2, "full"), (3, "strict")];

impl Process {
    fn read(place: usize, record: &Record) -> Option<Process> {
        let state = State::of(record.state.load(Acquire))?;
        if matches!(state, State::Free | State::Taken) {
            return None;
        }
        let policy = record.policy.load(Relaxed);
        let mut numbers = [0; NUMBERS];
        for (to, from) in numbers.iter_mut().zip(&record.numbers) {
            *to = from.load(Relaxed);
        }
        Some(Process {
            place,
            pid: record.pid.load(Relaxed),
            parent: record.parent.load(Relaxed),
            forked: record.origin.load(Relaxed) == crate::layout::Origin::Fork as u32,
            state,
            started: record.started.load(Relaxed),
            updated: record.updated.load(Relaxed),
            policy: POLICIES.iter().find(|(number, _)| *number == policy).map(|(_, name)| *name),
            protections: record.protections.load(Relaxed),
            in_force: record.in_force.load(Relaxed),
            region_bits: record.region_bits.load(Relaxed),
            numbers: Numbers::from_array(numbers),
            violations: record.violations.load(Acquire),
            line: Foreign::read(&record.line),
            name: Foreign::read(&record.name),
        })
    }
}

/// Counts of what has no record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lost {
    /// Processes.
    pub processes: u32,
    /// Violations.
    pub violations: u32,
}

/// Every process that has said something, in the order in which they took their records.
pub fn processes(table: &Table) -> impl Iterator<Item = Process> + '_ {
    let header = &table.header;
    let general = (header.next.load(Acquire) as usize).min(GENERAL);
    let reserved = (header.next_reserved.load(Acquire) as usize).min(RESERVED);
    let places = (0..general).chain(GENERAL..GENERAL + reserved);
    places
        .filter(|&place| place < RECORDS)
        .filter_map(|place| Process::read(place, table.record.get(place)?))
}

/// What found no room.
pub fn lost(table: &Table) -> Lost {
    Lost {
        processes: table.header.lost.load(Relaxed),
        violations: table.header.lost_violations.load(Relaxed),
    }
}

/// A number that changes with every violation.
pub fn violations(table: &Table) -> u32 {
    table.header.violations.load(Acquire)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layout::{MAGIC, VERSION};
    use crate::mapping;
    use core::sync::atomic::{AtomicU32, AtomicU64};
    use std::format;
    use std::string::String;

    fn table() -> &'static Table {
        mapping::open(mapping::create().expect("a file")).expect("its table")
    }

    /// xorshift64*: the same numbers in every run.
    struct Numbers(u64);

    impl Numbers {
        fn next(&mut self) -> u64 {
            self.0 ^= self.0 >> 12;
            self.0 ^= self.0 << 25;
            self.0 ^= self.0 >> 27;
            self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
        }
    }

    fn scribble(record: &Record, numbers: &mut Numbers, state: u32) {
        let all: [&AtomicU32; 10] = [
            &record.pid,
            &record.parent,
            &record.origin,
            &record.protections,
            &record.in_force,
            &record.region_bits,
            &record.policy,
            &record.violations,
            &record.first,
            &record.state,
        ];
        all.iter().for_each(|cell| cell.store(numbers.next() as u32, Relaxed));
        let long = record.numbers.iter().chain(&record.line.0).chain(&record.name.0);
        long.chain([&record.started, &record.updated])
            .for_each(|cell: &AtomicU64| cell.store(numbers.next(), Relaxed));
        record.state.store(state, Relaxed);
    }

    fn is_safe(text: &str) -> bool {
        text.chars().all(|letter| (' '..='~').contains(&letter) || letter.is_alphanumeric())
    }

    #[test]
    fn an_empty_table_has_nothing() {
        let table = table();
        assert_eq!(processes(table).count(), 0);
        assert_eq!(lost(table), Lost { processes: 0, violations: 0 });
        let header = &table.header;
        assert_eq!((header.magic.load(Relaxed), header.version.load(Relaxed)), (MAGIC, VERSION));
    }

    #[test]
    fn whatever_is_in_the_table_is_bounded_and_printable() {
        let table = table();
        let mut numbers = Numbers(1);
        for round in 0..20u32 {
            let header = &table.header;
            let counters = [&header.next, &header.next_reserved, &header.lost, &header.violations];
            counters.iter().for_each(|cell| cell.store(numbers.next() as u32 | 1 << 31, Relaxed));
            for record in &table.record {
                // Mostly states that lead on, sometimes any.
                let state = if round % 4 == 0 { numbers.next() as u32 } else { 2 + round % 3 };
                scribble(record, &mut numbers, state);
            }
            let mut seen = 0;
            for process in processes(table) {
                seen += 1;
                assert!(process.place < RECORDS);
                assert!(process.name.bytes().len() <= NAME && process.line.bytes().len() <= LINE);
                assert!(is_safe(&format!("{}", process.name)), "{:?}", process.name);
                assert!(is_safe(&format!("{}", process.line)));
                assert!(process.line.plain().is_none_or(is_safe));
            }
            assert_eq!(seen, if round % 4 == 0 { seen } else { RECORDS });
        }
    }

    #[test]
    fn what_terminals_obey_is_escaped() {
        let show = |bytes: &[u8]| {
            let mut text = String::new();
            printable(bytes, &mut text).expect("a string takes all");
            text
        };
        assert_eq!(show(b"/usr/bin/python3.11"), "/usr/bin/python3.11");
        assert_eq!(show("gr\u{fc}n".as_bytes()), "gr\u{fc}n");
        assert_eq!(show(b"\x1b[2J"), "\\u{1b}[2J");
        assert_eq!(show(b"a\rb\x07"), "a\\u{d}b\\u{7}");
        assert_eq!(show(b"\xff\xfe"), "\\xff\\xfe");
        // C1 controls, and characters that turn the direction of writing.
        assert_eq!(show("\u{9b}2J".as_bytes()), "\\u{9b}2J");
        assert_eq!(show("\u{202e}x".as_bytes()), "\\u{202e}x");
        assert_eq!(show(b"\\u{1b}"), "\\\\u{1b}");
    }
}
