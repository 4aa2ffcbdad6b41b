//! A random program with bugs in it. The outcome of a bug must be a violation, a guard fault, or
//! a write that hit only memory the program owns; the heap's records are never damaged, and no two
//! live objects ever overlap.
//!
//! ```text
//! program   right use by two threads, a model of what is live     program.rs
//! bugs      what is injected, and what must come of it            bugs.rs
//! marks     bytes that a stray write changed, by what finds them  marks.rs
//! places    what an address is, by the plan's arithmetic          places.rs
//! ```
//!
//! What must be found, and by when:
//!
//! | bug | found |
//! | --- | --- |
//! | second free, or resize, of an object whose address is not in use again | at once |
//! | free or resize with another size or alignment | at once |
//! | free of an address inside an object, or of a slot never handed out | at once |
//! | two threads free, or free and resize, one object | one of them at least, at once; or the next walk finds it, and always before the slot is handed out again |
//! | changed slack or canary of a live object | when it is freed or resized, at the latest |
//! | changed canary of the object below, in the same slab | when the one above is freed by the thread that has both, at the latest |
//! | changed canary, or margin of a large object | by the next walk over the invariants |
//! | changed memory of a freed slot | before it is handed out again; by the next walk |
//! | a store into a guard, or into a freed large object | faults |
//!
//! What need not be: changed bytes of a live object; of slots that were never handed out (zeroed
//! by nobody, so looked at by nobody); between a slab's last slot and its guard; behind an object
//! of a page class that is smaller than its pages.

pub mod bugs;
pub mod marks;
pub mod places;
pub mod program;

use super::Finding;
use super::fault::Fault;
use super::input::Input;
use casemate::{Policy, Violation};
use program::Program;

/// Steps of one input that are carried out.
const STEPS: usize = 150;

/// What was done and found.
#[derive(Clone, Copy, Debug, Default)]
pub struct Summary {
    /// Inputs.
    pub inputs: usize,
    /// Bugs injected.
    pub bugs: usize,
    /// Of those, stray writes that changed something.
    pub writes: usize,
    /// Programs that ended by a violation of the injected call itself.
    pub at_once: usize,
    /// By a violation that a stray write led to, in later right use.
    pub later: usize,
    /// In the last walk or in freeing everything.
    pub last: usize,
    /// By a fault.
    pub faults: usize,
    /// In spite of bugs, by having done everything: they hit only what is allowed.
    pub unharmed: usize,
}

/// Why a program ended before its end.
pub enum Stop {
    /// The heap is wrong: the body fails.
    Finding(Finding),
    /// The injected call was answered by a violation.
    AtOnce(Violation),
    /// Right use met what a stray write had left.
    Later(Violation),
    /// A stray write faulted.
    Fault,
}

impl From<Finding> for Stop {
    fn from(what: Finding) -> Self {
        Stop::Finding(what)
    }
}

/// Runs an input.
pub fn run<P: Policy>(bytes: &[u8], fault: Fault, summary: &mut Summary) -> Result<(), Finding> {
    let mut input = Input::new(bytes);
    summary.inputs += 1;
    let mut program = Program::<P>::new(&mut input, fault);
    let stop = steps(&mut program, &mut input).err();
    summary.bugs += program.bugs;
    summary.writes += program.writes;
    let had_bugs = program.bugs != 0;
    match stop {
        Some(Stop::Finding(what)) => return Err(what),
        Some(Stop::AtOnce(violation)) => {
            summary.at_once += 1;
            return program.after(Some(violation));
        }
        Some(Stop::Later(violation)) => {
            summary.later += 1;
            return program.after(Some(violation));
        }
        Some(Stop::Fault) => {
            summary.faults += 1;
            return program.after(None);
        }
        None => {}
    }
    match program.end() {
        Ok(()) => summary.unharmed += usize::from(had_bugs),
        Err(Stop::Finding(what)) => return Err(what),
        Err(_) => summary.last += 1,
    }
    Ok(())
}

fn steps<P: Policy>(program: &mut Program<P>, input: &mut Input<'_>) -> Result<(), Stop> {
    for _ in 0..STEPS {
        if input.is_empty() {
            break;
        }
        program.step(input)?;
    }
    Ok(())
}
