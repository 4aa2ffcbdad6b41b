//! The owner and another thread free the same object. Nothing stops both from wiping it, and the
//! owner's free writes nothing that the other must see: the fold that lies between every free
//! and the reuse of the slot finds it, because it always touches `claim`.

use crate::world::{Cluster, Freed, Met, SHAPE, World, explore};
use casemate::bitmap::bit;
use casemate::slab::group::QUEUED;
use casemate::violation::Kind;
use loom::sync::atomic::AtomicU32;
use loom::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed, Release};
use loom::thread;
use std::sync::Arc;

/// Slot 0's contents are atomic here: both wiping is not the fault.
struct Raced {
    world: Arc<World<1>>,
    contents: AtomicU32,
}

impl Raced {
    fn new() -> Arc<Self> {
        let world = World::new(&[]);
        let group = world.clusters[0].group();
        assert_eq!(group.begin(0, SHAPE).unwrap().generation(), 1);
        group.publish(0);
        Arc::new(Raced { world, contents: AtomicU32::new(1) })
    }

    fn cluster(&self) -> &Cluster {
        &self.world.clusters[0]
    }

    fn free_owned(&self) -> Result<(), Kind> {
        self.cluster().group().check_owned(0)?;
        self.contents.store(0, Relaxed);
        self.cluster().group().release_owned(0);
        Ok(())
    }

    fn free_remote(&self) -> Result<Freed, Kind> {
        let Some(claimed) = self.world.claim_first(0, 0)? else { return Ok(Freed::TooLate) };
        assert_ne!(self.contents.swap(0, Relaxed), 2, "wiped the new object");
        Ok(Freed::First { pushed: self.world.hand_over(0, claimed) })
    }

    fn reuse(&self) -> Result<(), Kind> {
        let record = self.cluster().group().begin(0, SHAPE)?;
        self.contents.store(u32::from(record.generation()), Relaxed);
        self.cluster().group().publish(0);
        Ok(())
    }
}

type TakeUp = fn(&Cluster) -> Result<u64, Kind>;

/// The owner frees, takes the group up and hands the slot out again, racing another free.
fn free_and_reuse(name: &str, take_up: TakeUp) {
    static BY_OWNER: Met = Met::new();
    static BY_FOLD: Met = Met::new();
    static BY_OTHER: Met = Met::new();
    explore(name, None, move || {
        let raced = Raced::new();
        let other = {
            let raced = raced.clone();
            thread::spawn(move || raced.free_remote())
        };
        let freed = raced.free_owned();
        let folded = freed.and_then(|()| take_up(raced.cluster()));
        let reused = folded.and_then(|_| raced.reuse());
        let remote = other.join().unwrap();
        match (freed, folded, remote) {
            (Err(_), ..) => BY_OWNER.hit(),
            (_, Err(kind), _) => {
                assert_eq!(kind, Kind::RacingFree);
                BY_FOLD.hit();
            }
            (_, _, Err(_)) => BY_OTHER.hit(),
            (_, _, Ok(late)) => assert_eq!(late, Freed::TooLate, "reused under a free"),
        }
        if reused.is_ok() && remote != Ok(Freed::TooLate) {
            assert_eq!(raced.contents.load(Relaxed), 2, "the new object was wiped");
        }
    });
    BY_OWNER.assert("the owner finds the claim");
    BY_FOLD.assert("the fold finds the claim");
    BY_OTHER.assert("the other finds the slot free");
}

#[test]
fn take_up_finds_a_free_that_raced_the_owner() {
    free_and_reuse("owner against other, reuse", |cluster| cluster.group().fold_in_place());
}

/// Without reuse: when both have gone through, whichever fold comes next finds it.
#[test]
fn the_next_fold_finds_it() {
    static BOTH: Met = Met::new();
    explore("owner against other, next fold", None, || {
        let raced = Raced::new();
        let other = {
            let raced = raced.clone();
            thread::spawn(move || raced.free_remote())
        };
        let freed = raced.free_owned();
        let drained = raced.world.drain();
        let remote = other.join().unwrap();
        if freed.is_ok() && drained.is_ok() && remote.is_ok() {
            BOTH.hit();
            let group = raced.cluster().group();
            assert!(!group.is_quiet(), "could leave its heap");
            let queued = raced.cluster().others.done.load(Relaxed) & QUEUED != 0;
            let next = if queued { raced.world.drain().map(|_| 0) } else { group.fold_in_place() };
            assert_eq!(next, Err(Kind::RacingFree), "went unseen");
        }
    });
    BOTH.assert("both frees succeed");
}

/// The owner frees and resizes objects that nobody else frees: no false alarm from a free beside.
#[test]
fn the_owner_is_not_accused() {
    explore("owner not accused", None, || {
        let world = World::<1>::new(&[0, 1]);
        let other = {
            let world = world.clone();
            thread::spawn(move || world.free_remote(0, 1).unwrap())
        };
        let group = world.clusters[0].group();
        let record = group.check_owned(0).unwrap();
        assert_eq!(group.resize_owned(0, SHAPE), Ok(record));
        world.clusters[0].free_owned(0).unwrap();
        group.fold_in_place().unwrap();
        world.clusters[0].allocate(0).unwrap();
        other.join().unwrap();
        world.drain().unwrap();
        world.clusters[0].assert_settled(bit(0));
    });
}

/// Take-up touches `claim` only when something came in: it misses the claim beside it, and the
/// stopped free, which need not see the owner's store to `live`, goes on in the new object.
#[test]
#[should_panic(expected = "wiped the new object")]
fn control_fold_looks_at_claim_only_if_something_came() {
    free_and_reuse("control: claim not always", |cluster| {
        let done = cluster.others.done.fetch_and(QUEUED, AcqRel) & !QUEUED;
        if done != 0 {
            cluster.own.live.store(cluster.live() & !done, Release);
            cluster.others.claim.fetch_and(!done, AcqRel);
        }
        Ok(done)
    });
}

/// Take-up reads `claim` and does not write it: as blind, since nothing orders the other's claim
/// behind the owner's store to `live`.
#[test]
#[should_panic(expected = "wiped the new object")]
fn control_fold_only_reads_claim() {
    free_and_reuse("control: claim read", |cluster| {
        let done = cluster.others.done.fetch_and(QUEUED, AcqRel) & !QUEUED;
        let claim = cluster.others.claim.load(Acquire);
        if done | (claim & !cluster.live()) != 0 {
            return Err(Kind::RacingFree);
        }
        Ok(done)
    });
}

/// No take-up between the owner's free and the reuse.
#[test]
#[should_panic(expected = "wiped the new object")]
fn control_reuse_without_take_up() {
    free_and_reuse("control: no take-up", |_| Ok(0));
}
