//! Runs a sequence: steps become rounds of actions, results go into the model.
//!
//! A round is what the threads do at the same time. Objects that a round frees or moves leave
//! the model when it is put together, new ones enter it when it is over; so no object is used
//! twice in a round, and whatever is in the model afterwards may not overlap.

use super::model::Model;
use super::pool::{Action, Done, Pool};
use super::sequence::{Step, Turn, turns};
use super::subject::{Outcome, Subject};
use std::alloc::Layout;

/// Most live bytes.
const BYTES: usize = 256 << 20;
/// Most live objects.
const OBJECTS: usize = 4000;

/// What was done.
#[derive(Clone, Copy, Debug, Default)]
pub struct Summary {
    /// Sequences.
    pub sequences: usize,
    /// Of those, with objects above 1 MiB.
    pub large: usize,
    /// Operations.
    pub actions: usize,
    /// Rounds in which several threads worked at the same time.
    pub shared_rounds: usize,
    /// Objects freed or moved by a thread that had not allocated or moved them last.
    pub foreign: usize,
    /// Threads that ended.
    pub ended: usize,
}

struct Run<'p, S: Subject> {
    pool: &'p mut Pool<S>,
    model: Model,
    lists: Vec<Vec<Action>>,
    /// Bytes that the round being put together will add.
    planned: usize,
    seed: u64,
    summary: &'p mut Summary,
}

/// Runs the sequence that the bytes stand for and frees everything at its end.
pub fn run<S: Subject>(
    pool: &mut Pool<S>,
    bytes: &[u8],
    largest: usize,
    summary: &mut Summary,
) -> Outcome<()> {
    let lists = vec![Vec::new(); pool.len()];
    let mut run = Run { pool, model: Model::default(), lists, planned: 0, seed: 0, summary };
    run.summary.sequences += 1;
    run.summary.large += usize::from(largest > 1 << 20);
    for turn in turns(bytes, largest) {
        run.turn(&turn).map_err(|what| format!("{what}\nin {turn:?}"))?;
    }
    run.end()
}

impl<S: Subject> Run<'_, S> {
    fn turn(&mut self, turn: &Turn) -> Outcome<()> {
        if !turn.together {
            self.flush()?;
        }
        match turn.step {
            Step::Allocate { size, align, zeroed, times } => {
                for _ in 0..times {
                    self.allocate(turn.thread, size, align, zeroed)?;
                }
            }
            Step::Free { pick, times } => self.free(turn.thread, pick, times),
            Step::Reallocate { pick, size, times } => {
                for i in 0..times {
                    // Counted as growth at its most: the old size is not given back before.
                    if self.model.bytes() + self.planned + size > BYTES {
                        break;
                    }
                    if let Some(object) = self.model.take(pick.wrapping_add(i * 7)) {
                        let seed = self.seed();
                        self.add(turn.thread, Action::Reallocate(object, size, seed));
                    }
                }
            }
            Step::Exhaust { size, align } => self.exhaust(turn.thread, size, align)?,
            Step::Outgrow { pick, size } => self.outgrow(turn.thread, pick, size)?,
            Step::Verify => self.verify()?,
            Step::Leave => self.add(turn.thread, Action::Leave),
            Step::Replace => {
                self.flush()?;
                self.summary.ended += 1;
                self.pool.replace(turn.thread)?;
            }
        }
        Ok(())
    }

    fn allocate(&mut self, thread: usize, size: usize, align: usize, zeroed: bool) -> Outcome<()> {
        let layout = Layout::from_size_align(size, align).map_err(|e| e.to_string())?;
        if self.model.bytes() + self.planned + size > BYTES || self.model.len() >= OBJECTS {
            self.free(thread, size, 50);
            return self.flush();
        }
        let seed = self.seed();
        self.add(thread, Action::Allocate(layout, zeroed, seed));
        Ok(())
    }

    fn free(&mut self, thread: usize, pick: usize, times: usize) {
        for i in 0..times {
            if let Some(object) = self.model.take(pick.wrapping_add(i * 31)) {
                self.add(thread, Action::Free(object));
            }
        }
    }

    /// A size that no machine has must give null.
    fn exhaust(&mut self, thread: usize, size: usize, align: usize) -> Outcome<()> {
        self.flush()?;
        let size = size.min(isize::MAX as usize - (align - 1));
        let layout = Layout::from_size_align(size, align).map_err(|e| e.to_string())?;
        self.lists[thread].push(Action::Allocate(layout, false, 0));
        match self.pool.round(&mut self.lists)?[..] {
            [Done::Null] => Ok(()),
            ref other => Err(format!("{layout:?} gave {other:x?}")),
        }
    }

    /// An object that cannot grow stays as it is.
    fn outgrow(&mut self, thread: usize, pick: usize, size: usize) -> Outcome<()> {
        self.flush()?;
        let Some(object) = self.model.take(pick) else { return Ok(()) };
        let size = size.min(isize::MAX as usize - (object.layout.align() - 1));
        self.lists[thread].push(Action::Reallocate(object, size, 0));
        match self.pool.round(&mut self.lists)?[..] {
            [Done::Kept(object)] => self.model.insert(object),
            ref other => Err(format!("growth to {size} gave {other:x?}")),
        }
    }

    fn seed(&mut self) -> u64 {
        self.seed += 1;
        self.seed << 32
    }

    fn add(&mut self, thread: usize, action: Action) {
        self.summary.actions += 1;
        let (planned, foreign) = match action {
            Action::Allocate(layout, ..) => (layout.size(), false),
            Action::Reallocate(object, size, _) => (size, object.by != thread),
            Action::Free(object) => (0, object.by != thread),
            Action::Verify | Action::Leave => (0, false),
        };
        self.planned += planned;
        self.summary.foreign += usize::from(foreign);
        self.lists[thread].push(action);
    }

    /// Does the round that was put together.
    fn flush(&mut self) -> Outcome<()> {
        let threads = self.lists.iter().filter(|list| !list.is_empty()).count();
        self.summary.shared_rounds += usize::from(threads > 1);
        self.planned = 0;
        for done in self.pool.round(&mut self.lists)? {
            match done {
                Done::Object(object) => self.model.insert(object)?,
                // Memory may run out at any time on a small machine, but not for a few bytes.
                Done::Null => return Err("no memory".into()),
                Done::Kept(object) => self.model.insert(object)?,
                Done::Verified(_) | Done::Nothing => {}
            }
        }
        Ok(())
    }

    /// The heap's invariants hold, and it has as many live objects as the model.
    fn verify(&mut self) -> Outcome<()> {
        self.flush()?;
        let seen = self.pool.verify()?;
        if seen == self.model.len() {
            return Ok(());
        }
        Err(format!("the heap has {seen} live objects, the model {}", self.model.len()))
    }

    fn end(&mut self) -> Outcome<()> {
        // What the frees below leave wrong is found at the end of the pool's next sequence, which
        // starts with an empty model on the same heap.
        self.verify()?;
        let threads = self.lists.len();
        let mut thread = 0;
        while let Some(object) = self.model.take(thread) {
            thread += 1;
            self.add(thread % threads, Action::Free(object));
        }
        self.flush()
    }
}
