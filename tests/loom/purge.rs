//! A quiet group leaves its heap and goes to another through the region's lock. What was freed
//! before is folded before, and nobody who is still freeing is overlooked.

use crate::world::{Cluster, Freed, Met, SHAPE, World, explore};
use casemate::slab::group::{Handover, QUEUED};
use casemate::slab::inbox::{Inbox, Ticket};
use casemate::violation::Kind;
use loom::sync::Mutex;
use loom::sync::atomic::AtomicU32;
use loom::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use loom::thread;
use std::sync::Arc;

type Quiet = fn(&Cluster) -> bool;

fn is_quiet(cluster: &Cluster) -> bool {
    cluster.group().is_quiet()
}

/// Heap 1 is the world, heap 2 has an inbox of its own; the group belongs to heap 1.
struct Region {
    world: Arc<World<1>>,
    second: Inbox,
    /// Whether the group's slab lies among the free ones.
    free: Mutex<bool>,
    /// Contents of slot 0 where two frees may wipe it, see `owner_race`.
    contents: AtomicU32,
}

impl Region {
    fn new(live: &[usize]) -> Arc<Self> {
        let world = World::new(live);
        world.clusters[0].others.owner.store(1, Relaxed);
        let (second, free, contents) = (Inbox::default(), Mutex::new(false), AtomicU32::new(1));
        Arc::new(Region { world, second, free, contents })
    }

    fn cluster(&self) -> &Cluster {
        &self.world.clusters[0]
    }

    /// Heap 1: lets the group go if it is quiet.
    fn give(&self, quiet: Quiet) -> bool {
        if !quiet(self.cluster()) {
            return false;
        }
        self.cluster().others.owner.store(0, Release);
        *self.free.lock().unwrap() = true;
        true
    }

    /// Heap 2: takes the slab if it is free.
    fn get(&self) -> bool {
        let got = std::mem::take(&mut *self.free.lock().unwrap());
        if got {
            self.cluster().others.owner.store(2, Release);
        }
        got
    }

    /// Others: frees slot 0 to whichever heap owns it.
    fn free_remote(&self, generation: u8) -> Result<u32, Kind> {
        let group = self.cluster().group();
        let claimed = group.claim(0)?;
        assert_eq!(claimed.record.generation(), generation);
        self.cluster().memory[0].wipe(generation);
        if group.hand_over(claimed) == Handover::Queued {
            return Ok(0);
        }
        let owner = self.cluster().others.owner.load(Acquire);
        let inbox = match owner {
            1 => &self.world.inbox,
            2 => &self.second,
            _ => panic!("pushed to nobody"),
        };
        inbox.push(Ticket(1), &self.cluster().others);
        Ok(owner)
    }
}

/// Another thread frees the last object; heap 1 folds and gives the group away as soon as it is
/// quiet; heap 2 takes it and uses it. The push under way must reach heap 1.
fn give_away(name: &str, quiet: Quiet) {
    static GIVEN: Met = Met::new();
    static KEPT: Met = Met::new();
    explore(name, None, move || {
        let region = Region::new(&[0]);
        let freer = {
            let region = region.clone();
            thread::spawn(move || region.free_remote(1).unwrap())
        };
        let heap = {
            let region = region.clone();
            thread::spawn(move || {
                let got = region.get();
                if got {
                    assert_eq!(region.cluster().group().fold_in_place(), Ok(0));
                    assert_eq!(region.cluster().allocate(0), Ok(2));
                }
                got
            })
        };
        // Take-up may be what folds it, and leaves Q: that is not quiet yet.
        region.cluster().group().fold_in_place().unwrap();
        let mut given = region.give(quiet);
        if !given {
            region.world.drain().unwrap();
            given = region.give(quiet);
        }
        assert_eq!(freer.join().unwrap(), 1, "pushed to another heap");
        let got = heap.join().unwrap();
        if !given {
            KEPT.hit();
            region.world.drain().unwrap();
            assert!(region.give(quiet), "not quiet at rest");
        }
        assert!(region.world.inbox.is_empty(), "given away while on the inbox");
        if got {
            GIVEN.hit();
            // The new owner's object, freed by the old one: it goes to the new owner.
            assert_eq!(region.free_remote(2), Ok(2));
            assert_eq!(region.second.take(), Some(Ticket(1)));
            assert_eq!(region.cluster().group().fold_from_inbox(), Ok(1));
        }
        region.cluster().assert_settled(0);
    });
    GIVEN.assert("given away and used");
    KEPT.assert("not given away while it was in use");
}

#[test]
fn a_quiet_group_changes_hands() {
    give_away("give away", is_quiet);
}

/// The owner frees the last object and gives the group away; another thread was freeing the same
/// object. It is found, or it fails: it never wipes what the next heap put there, even if that
/// heap hands the slot out without a take-up, as it may with a slab that it finds empty.
fn stale_free(name: &str, quiet: Quiet) {
    static GIVEN: Met = Met::new();
    static KEPT: Met = Met::new();
    explore(name, None, move || {
        let region = Region::new(&[]);
        let group = region.cluster().group();
        group.begin(0, SHAPE).unwrap();
        group.publish(0);
        let freer = {
            let region = region.clone();
            thread::spawn(move || {
                let Some(claimed) = region.world.claim_first(0, 0)? else {
                    return Ok(Freed::TooLate);
                };
                assert_ne!(region.contents.swap(0, Relaxed), 2, "wiped the new object");
                Ok(Freed::First { pushed: region.world.hand_over(0, claimed) })
            })
        };
        let heap = {
            let region = region.clone();
            thread::spawn(move || {
                if region.get() {
                    let group = region.cluster().group();
                    let record = group.begin(0, SHAPE).unwrap();
                    region.contents.store(u32::from(record.generation()), Relaxed);
                    group.publish(0);
                }
            })
        };
        let mut given = false;
        let owner = group.check_owned(0).map(|_| {
            region.contents.store(0, Relaxed);
            group.release_owned(0);
            given = region.give(quiet);
        });
        let other: Result<Freed, Kind> = freer.join().unwrap();
        heap.join().unwrap();
        let freed = matches!(other, Ok(Freed::First { .. }));
        assert!(!(given && freed), "left its heap under a free");
        if given {
            GIVEN.hit();
        } else if owner.is_ok() {
            // The claim kept it here, so that the next fold can find it.
            KEPT.hit();
            assert!(group.fold_in_place().is_err(), "went unseen");
        }
    });
    GIVEN.assert("given away under a stopped free");
    KEPT.assert("kept by the claim");
}

#[test]
fn a_stopped_free_does_not_follow_the_group() {
    stale_free("stopped free across heaps", is_quiet);
}

/// Q does not count: the group goes while its push is under way, and ends up on the inbox of a
/// heap that does not own it, or of nobody.
#[test]
#[should_panic(expected = "given away while on the inbox")]
fn control_quiet_without_q() {
    give_away("control: quiet without Q", |cluster| {
        let others = &cluster.others;
        let done = others.done.load(Acquire) & !QUEUED;
        cluster.live() == 0 && others.claim.load(Acquire) == 0 && done == 0
    });
}

/// `claim` is only read: the stopped free claims after that and still sees the slot live.
#[test]
#[should_panic(expected = "left its heap under a free")]
fn control_quiet_only_reads_claim() {
    stale_free("control: quiet reads claim", |cluster| {
        let others = &cluster.others;
        cluster.live() == 0 && others.claim.load(Acquire) == 0 && others.done.load(Acquire) == 0
    });
}
