//! Take-up: the owner folds a group in place, wherever a remote free of it has got to. The group
//! is on the inbox exactly when Q is set or its push is under way, and never twice.

use crate::world::{Cluster, Freed, Met, World, explore};
use casemate::bitmap::bit;
use casemate::slab::group::QUEUED;
use casemate::violation::Kind;
use loom::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed, Release};
use loom::thread;

type Fold = fn(&Cluster) -> Result<u64, Kind>;

fn in_place(cluster: &Cluster) -> Result<u64, Kind> {
    cluster.group().fold_in_place()
}

/// One thread frees two slots, one after the other; the owner takes the group up twice around a
/// drain. Then, with everybody at rest: Q set if and only if the group is on the inbox.
fn take_up_twice(fold: Fold, name: &str) {
    static BY_TAKE_UP: Met = Met::new();
    static BY_INBOX: Met = Met::new();
    static PUSHED_TWICE: Met = Met::new();
    static LEFT_QUEUED: Met = Met::new();
    explore(name, None, move || {
        let world = World::<1>::new(&[0, 1]);
        let other = {
            let world = world.clone();
            thread::spawn(move || [0, 1].map(|slot| world.free_remote(0, slot).unwrap()))
        };
        let cluster = &world.clusters[0];
        let mut total = 0;
        let mut count = |folded: u64| {
            assert_eq!(total & folded, 0, "free twice");
            total |= folded;
            folded
        };
        if count(fold(cluster).unwrap()) != 0 {
            BY_TAKE_UP.hit();
        }
        let [folded] = world.drain().unwrap();
        if count(folded) != 0 {
            BY_INBOX.hit();
        }
        count(fold(cluster).unwrap());
        if other.join().unwrap() == [Freed::First { pushed: true }; 2] {
            PUSHED_TWICE.hit();
        }

        let queued = cluster.others.done.load(Relaxed) & QUEUED != 0;
        assert_eq!(queued, !world.inbox.is_empty(), "Q and the inbox disagree");
        if queued {
            LEFT_QUEUED.hit();
        }
        let [folded] = world.drain().unwrap();
        count(folded);
        assert!(world.inbox.is_empty());
        assert_eq!(total, bit(0) | bit(1), "lost");
        cluster.assert_settled(0);
    });
    BY_TAKE_UP.assert("folded at take-up");
    BY_INBOX.assert("folded from the inbox");
    PUSHED_TWICE.assert("pushed again after a drain");
    LEFT_QUEUED.assert("still queued at the end");
}

#[test]
fn take_up_leaves_q_to_the_inbox() {
    take_up_twice(in_place, "take-up");
}

/// A slot folded at take-up is handed out at once, with its group still on the inbox; that
/// object, freed by a third thread, comes in through the same queue place.
#[test]
fn a_slot_is_reused_while_its_group_is_queued() {
    static REUSED: Met = Met::new();
    explore("reuse while queued", None, || {
        let world = World::<1>::new(&[0]);
        let other = {
            let world = world.clone();
            thread::spawn(move || world.free_remote(0, 0).unwrap())
        };
        let cluster = &world.clusters[0];
        let folded = in_place(cluster).unwrap();
        if folded != 0 {
            REUSED.hit();
            assert_eq!(cluster.allocate(0), Ok(2));
            let next = {
                let world = world.clone();
                thread::spawn(move || {
                    let claimed = world.clusters[0].group().claim(0).unwrap();
                    assert_eq!(claimed.record.generation(), 2);
                    world.clusters[0].memory[0].wipe(2);
                    world.hand_over(0, claimed);
                })
            };
            world.drain().unwrap();
            next.join().unwrap();
        }
        other.join().unwrap();
        world.drain().unwrap();
        cluster.assert_settled(0);
        assert!(world.inbox.is_empty());
    });
    REUSED.assert("a slot reused");
}

/// Take-up clears Q of a group that stays on the inbox: the next free pushes it a second time.
#[test]
#[should_panic(expected = "Q and the inbox disagree")]
fn control_take_up_clears_q() {
    let fold = |cluster: &Cluster| {
        let (own, others) = (&cluster.own, &cluster.others);
        let done = others.done.swap(0, AcqRel) & !QUEUED;
        own.live.store(cluster.live() & !done, Release);
        others.claim.fetch_and(!done, AcqRel);
        Ok(done)
    };
    take_up_twice(fold, "control: take-up clears Q");
}

/// Take-up writes `done` without a read-modify-write: a slot handed over in between is lost, and Q
/// with it.
#[test]
#[should_panic(expected = "Q and the inbox disagree")]
fn control_take_up_without_a_single_step() {
    let fold = |cluster: &Cluster| {
        let (own, others) = (&cluster.own, &cluster.others);
        let done = others.done.load(Acquire);
        others.done.store(done & QUEUED, Release);
        let done = done & !QUEUED;
        own.live.store(cluster.live() & !done, Release);
        others.claim.fetch_and(!done, AcqRel);
        Ok(done)
    };
    take_up_twice(fold, "control: take-up in two steps");
}
