//! A heap in small: an inbox, groups of a few slots, and memory in which a data race is seen.
#![allow(unsafe_code)] // loom's UnsafeCell is entered through a raw pointer

use casemate::bitmap::bit;
use casemate::record::{Origin, Record};
use casemate::slab::group::{Claimed, Group, Handover, OthersPart, OwnerPart, QUEUED};
use casemate::slab::inbox::{Inbox, Ticket};
use casemate::violation::Kind;
use loom::cell::UnsafeCell;
use loom::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

/// Slots of a group.
pub const SLOTS: usize = 3;

/// The shape of every object: the models are about generations.
pub const SHAPE: Record = Record::shape(0, 3, Origin::Malloc);

/// One slot's contents: the generation of its object, 0 when wiped. Loom panics when two threads
/// use it at a time.
#[derive(Default)]
pub struct Memory(UnsafeCell<u32>);

// SAFETY: shared between threads on purpose; loom checks every access against all others.
unsafe impl Sync for Memory {}

impl Memory {
    /// The object's owner writes it; fails if a byte was left by, or for, somebody else.
    pub fn fill(&self, generation: u8) {
        // SAFETY: exclusive by the protocol; loom panics in any interleaving where it is not.
        let old = self.0.with_mut(|cell| unsafe { cell.replace(u32::from(generation)) });
        assert_eq!(old, 0, "a slot handed out that was not wiped");
    }

    /// A free wipes the object that it means.
    pub fn wipe(&self, generation: u8) {
        // SAFETY: as in `fill`.
        let old = self.0.with_mut(|cell| unsafe { cell.replace(0) });
        assert_eq!(old, u32::from(generation), "wiped another object than the one freed");
    }

    /// Whoever holds the object reads it.
    pub fn read(&self) -> u32 {
        // SAFETY: as in `fill`, for reading.
        self.0.with(|cell| unsafe { *cell })
    }
}

/// A group with its storage and its slots' memory.
#[derive(Default)]
pub struct Cluster {
    pub own: OwnerPart,
    pub others: OthersPart,
    records: [AtomicU32; SLOTS],
    pub memory: [Memory; SLOTS],
}

impl Cluster {
    pub fn group(&self) -> Group<'_> {
        Group { own: &self.own, others: &self.others, records: &self.records }
    }

    /// Owner: hands the slot out and writes the object; its generation.
    pub fn allocate(&self, slot: usize) -> Result<u8, Kind> {
        let generation = self.group().begin(slot, SHAPE)?.generation();
        self.memory[slot].fill(generation);
        self.group().publish(slot);
        Ok(generation)
    }

    /// Owner: frees its own object.
    pub fn free_owned(&self, slot: usize) -> Result<(), Kind> {
        let record = self.group().check_owned(slot)?;
        self.memory[slot].wipe(record.generation());
        self.group().release_owned(slot);
        Ok(())
    }

    /// What is handed out, seen by the owner.
    pub fn live(&self) -> u64 {
        self.own.live.load(Relaxed)
    }

    /// Asserts, when all threads have ended and the inbox was drained, that exactly these slots
    /// are handed out and nothing is on its way.
    pub fn assert_settled(&self, live: u64) {
        assert_eq!(self.live(), live, "live objects");
        assert_eq!(self.others.claim.load(Relaxed), 0, "claims left");
        assert_eq!(self.others.done.load(Relaxed), 0, "slots or Q left");
        for (slot, memory) in self.memory.iter().enumerate() {
            assert_eq!(memory.read() != 0, live & bit(slot) != 0, "contents of slot {slot}");
        }
    }
}

/// One heap of `N` groups.
pub struct World<const N: usize> {
    pub inbox: Inbox,
    pub clusters: [Cluster; N],
}

impl<const N: usize> World<N> {
    /// With the slots of `live` handed out in every group.
    pub fn new(live: &[usize]) -> Arc<Self> {
        let world = World {
            inbox: Inbox::default(),
            clusters: std::array::from_fn(|_| Cluster::default()),
        };
        for cluster in &world.clusters {
            for &slot in live {
                assert_eq!(cluster.allocate(slot), Ok(1));
            }
        }
        Arc::new(world)
    }

    /// Others: steps 1 to 3. `None`: the object seen is not the first of its slot, so this
    /// free began after the slot went to a new owner, which no untagged heap can tell.
    pub fn claim_first(&self, group: usize, slot: usize) -> Result<Option<Claimed>, Kind> {
        let claimed = self.clusters[group].group().claim(slot)?;
        Ok((claimed.record.generation() == 1).then_some(claimed))
    }

    /// Others: step 5, for the group's first object; whether it pushed.
    pub fn hand_over(&self, group: usize, claimed: Claimed) -> bool {
        let cluster = &self.clusters[group];
        let push = cluster.group().hand_over(claimed) == Handover::Push;
        if push {
            self.inbox.push(Ticket(group as u64 + 1), &cluster.others);
        }
        push
    }

    /// Others: the whole free of a slot's first object.
    pub fn free_remote(&self, group: usize, slot: usize) -> Result<Freed, Kind> {
        let Some(claimed) = self.claim_first(group, slot)? else { return Ok(Freed::TooLate) };
        self.clusters[group].memory[slot].wipe(1);
        Ok(Freed::First { pushed: self.hand_over(group, claimed) })
    }

    /// Owner: takes the inbox and folds all of it; what came in, by group.
    pub fn drain(&self) -> Result<[u64; N], Kind> {
        let mut folded = [0; N];
        let mut taken = [false; N];
        let mut next = self.inbox.take();
        while let Some(Ticket(ticket)) = next {
            let i = ticket as usize - 1;
            let Cluster { others, .. } = &self.clusters[i];
            assert!(!taken[i], "twice on the inbox");
            taken[i] = true;
            assert_ne!(others.done.load(Relaxed) & QUEUED, 0, "on the inbox without Q");
            next = Inbox::next(others);
            folded[i] = self.clusters[i].group().fold_from_inbox()?;
        }
        Ok(folded)
    }
}

/// What became of a remote free.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Freed {
    /// It freed the first object.
    First { pushed: bool },
    /// It saw a younger object and gave up, see [`World::claim_first`].
    TooLate,
}

/// Counts how often an outcome was met over all executions of a model, out of loom's sight.
pub struct Met(AtomicUsize);

impl Met {
    pub const fn new() -> Self {
        Met(AtomicUsize::new(0))
    }

    pub fn hit(&self) {
        self.0.fetch_add(1, SeqCst);
    }

    /// Asserts that the model is not vacuous: the outcome was met.
    pub fn assert(&self, what: &str) {
        assert_ne!(self.0.load(SeqCst), 0, "never met: {what}");
    }
}

/// Runs a model through all executions, or those with at most `preemptions` where given.
pub fn explore(name: &str, preemptions: Option<usize>, model: impl Fn() + Send + Sync + 'static) {
    let runs = Arc::new(AtomicUsize::new(0));
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = preemptions;
    builder.max_branches = 10_000;
    let counter = runs.clone();
    let start = std::time::Instant::now();
    builder.check(move || {
        counter.fetch_add(1, SeqCst);
        model();
    });
    println!("{name}: {} executions, {:.1?}", runs.load(SeqCst), start.elapsed());
}
