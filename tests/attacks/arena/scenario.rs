//! An attack: what it does, what it wants, and what Casemate is expected to make of it.

use super::field::Field;
use super::outcome::End;
use casemate::{Kind, Place, Violation};

/// An attack on a heap.
pub struct Scenario {
    /// Short and unique.
    pub name: &'static str,
    /// What is done, in a few words, and where it was described.
    pub technique: &'static str,
    /// What the attacker wants; a machine looks whether it was reached.
    pub goal: &'static str,
    /// The program that is attacked and its attacker.
    pub run: fn(&Field),
    /// How often the goal is reached on Casemate.
    pub effect: Chance,
    /// How the program may end on Casemate, after the goal was reached or not.
    pub ends: &'static [Ending],
}

/// How often.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Chance {
    /// In no run.
    Never,
    /// In each run with a probability between these: Casemate does not stop it, or not always.
    Between(f64, f64),
}

/// One of the ends that a program may have.
#[derive(Clone, Copy, Debug)]
pub enum Ending {
    /// SIGABRT and exactly this line.
    Line(Kind, Place),
    /// SIGSEGV at a guard.
    Fault,
    /// It goes on.
    GoesOn,
}

/// In a slot of this many bytes.
pub const fn slot(kind: Kind, bytes: u32) -> Ending {
    Ending::Line(kind, Place::Slot(bytes))
}

impl Ending {
    /// The child's end that this is.
    pub fn end(self) -> End {
        match self {
            Ending::Line(kind, place) => {
                End::Stopped(format!("casemate: {}", Violation::new(kind).at(place, 0)))
            }
            Ending::Fault => End::Fault,
            Ending::GoesOn => End::Ran,
        }
    }
}

impl Scenario {
    /// The cells of its row in `docs/attacks.md` that do not depend on a run.
    pub fn cells(&self) -> String {
        format!("| {} | {} | {} |", self.name, self.technique, self.goal)
    }

    /// The ends that the program may have.
    pub fn expects(&self, end: &End) -> bool {
        self.ends.iter().any(|one| one.end() == *end)
    }
}
