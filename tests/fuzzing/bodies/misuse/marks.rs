//! The bytes that stray writes changed and that no live object owns, by what must find them.

use casemate::{Kind, Violation};
use std::collections::BTreeMap;

/// What must find a changed byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mark {
    /// The end of the life of the live object that starts here: its slack or canary.
    Watched(usize),
    /// A look at the freed slot that starts here.
    Freed(usize),
    /// Nothing needs to.
    Loose,
}

/// All of them, by address.
#[derive(Debug, Default)]
pub struct Marks {
    /// With what the byte was.
    bytes: BTreeMap<usize, (Mark, u8)>,
}

impl Marks {
    /// A byte was changed: perhaps back to what it was before it was changed first.
    pub fn set(&mut self, at: usize, mark: Mark, old: u8, new: u8) {
        let first = self.bytes.get(&at).map_or(old, |&(_, first)| first);
        if first == new {
            self.bytes.remove(&at);
        } else {
            self.bytes.insert(at, (mark, first));
        }
    }

    /// The memory was wiped, or given to an object.
    pub fn clear(&mut self, from: usize, to: usize) {
        while let Some((&at, _)) = self.bytes.range(from..to).next() {
            self.bytes.remove(&at);
        }
    }

    /// The marks of these bytes.
    pub fn within(&self, from: usize, to: usize) -> impl Iterator<Item = (usize, Mark)> {
        self.bytes.range(from..to.max(from)).map(|(&at, &(mark, _))| (at, mark))
    }

    /// Whether some are.
    pub fn any_within(&self, from: usize, to: usize) -> bool {
        self.within(from, to).next().is_some()
    }

    /// Whether a byte that this object's end must find was changed.
    pub fn is_watched(&self, start: usize, from: usize, to: usize) -> bool {
        self.within(from, to).any(|(_, mark)| mark == Mark::Watched(start))
    }

    /// All of them.
    pub fn all(&self) -> impl Iterator<Item = (usize, Mark)> {
        self.bytes.iter().map(|(&at, &(mark, _))| (at, mark))
    }

    /// Whether a violation is one that a changed byte leads to, at the slot from `start` to `end`
    /// that it names; `below` is the slot below it.
    pub fn explain(&self, violation: &Violation, start: usize, end: usize, below: usize) -> bool {
        match violation.kind {
            Kind::Overflow | Kind::DamagedNeighbour | Kind::WriteAfterFree => {
                self.any_within(start, end)
            }
            Kind::Underflow => self.any_within(below, start),
            _ => false,
        }
    }
}
