//! Frees by other threads of slots that nobody else frees: nothing is lost, one push is enough.

use crate::world::{Freed, Met, World, explore};
use casemate::bitmap::bit;
use casemate::slab::group::{Handover, QUEUED};
use casemate::slab::inbox::{Inbox, Ticket};
use loom::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed};
use loom::thread;

/// The owner allocates and frees beside a remote free of another slot; after the fold that slot
/// is free exactly once and can be handed out again.
#[test]
fn owner_works_beside_a_remote_free() {
    static EARLY: Met = Met::new();
    static LATE: Met = Met::new();
    explore("owner beside remote free", None, || {
        let world = World::<1>::new(&[0, 1]);
        let other = {
            let world = world.clone();
            thread::spawn(move || world.free_remote(0, 1))
        };
        let cluster = &world.clusters[0];
        cluster.allocate(2).unwrap();
        cluster.free_owned(0).unwrap();
        let [first] = world.drain().unwrap();
        cluster.free_owned(2).unwrap();
        assert_eq!(other.join().unwrap(), Ok(Freed::First { pushed: true }));
        let [second] = world.drain().unwrap();
        if first == 0 {
            LATE.hit()
        } else {
            EARLY.hit()
        }
        assert_eq!(first | second, bit(1), "lost");
        assert_eq!(first & second, 0, "free twice");
        cluster.assert_settled(0);
        assert_eq!(cluster.allocate(1), Ok(2));
    });
    EARLY.assert("a fold while the owner works");
    LATE.assert("a fold after the other thread");
}

/// Two threads free different slots and nobody folds: exactly one pushes.
#[test]
fn one_of_two_freers_pushes() {
    explore("one of two pushes", None, || {
        let world = World::<1>::new(&[0, 1]);
        let others = [0, 1].map(|slot| {
            let world = world.clone();
            thread::spawn(move || world.free_remote(0, slot).unwrap())
        });
        let freed = others.map(|other| other.join().unwrap());
        let pushes = freed.iter().filter(|&&f| f == Freed::First { pushed: true }).count();
        assert_eq!(pushes, 1);
        assert_eq!(world.drain().unwrap(), [bit(0) | bit(1)]);
        assert!(world.inbox.is_empty());
        world.clusters[0].assert_settled(0);
    });
}

/// Two threads free different slots while the owner drains: nothing is lost.
#[test]
fn a_drain_between_two_freers_loses_nothing() {
    static APART: Met = Met::new();
    explore("drain between two freers", None, || {
        let world = World::<1>::new(&[0, 1]);
        let others = [0, 1].map(|slot| {
            let world = world.clone();
            thread::spawn(move || world.free_remote(0, slot).unwrap())
        });
        let [first] = world.drain().unwrap();
        for other in others {
            other.join().unwrap();
        }
        let [second] = world.drain().unwrap();
        if first != 0 && second != 0 {
            APART.hit();
        }
        assert_eq!(first & second, 0);
        assert_eq!(first | second, bit(0) | bit(1), "lost");
        world.clusters[0].assert_settled(0);
    });
    APART.assert("two pushes, one after the other");
}

/// Two groups in one inbox, and the first is pushed again while the owner walks the chain.
fn chain(drain: impl Fn(&World<2>) -> [u64; 2] + Copy + Send + Sync + 'static, name: &str) {
    explore(name, None, move || {
        let world = World::<2>::new(&[0, 1]);
        assert!(world.free_remote(0, 0).is_ok() && world.free_remote(1, 0).is_ok());
        let other = {
            let world = world.clone();
            thread::spawn(move || world.free_remote(1, 1).unwrap())
        };
        let first = drain(&world);
        other.join().unwrap();
        let second = drain(&world);
        for i in 0..2 {
            assert_eq!(first[i] & second[i], 0);
        }
        assert_eq!(first[0] | second[0], bit(0), "lost");
        assert_eq!(first[1] | second[1], bit(0) | bit(1), "lost");
        assert!(world.inbox.is_empty());
    });
}

#[test]
fn a_chain_survives_a_push_during_the_walk() {
    chain(|world| world.drain().unwrap(), "chain");
}

/// The next ticket is read after the fold: a push in between has replaced it.
#[test]
#[should_panic(expected = "lost")]
fn control_next_read_after_the_fold() {
    let drain = |world: &World<2>| {
        let mut folded = [0; 2];
        let mut next = world.inbox.take();
        while let Some(Ticket(ticket)) = next {
            let i = ticket as usize - 1;
            folded[i] |= world.clusters[i].group().fold_from_inbox().unwrap();
            next = Inbox::next(&world.clusters[i].others);
        }
        folded
    };
    chain(drain, "control: next after fold");
}

/// `done` is set with Relaxed: the owner hands out a slot whose wipe it has not seen.
#[test]
#[should_panic(expected = "Causality violation")]
fn control_handed_over_relaxed() {
    explore("control: relaxed done", None, || {
        let world = World::<1>::new(&[0]);
        let other = {
            let world = world.clone();
            thread::spawn(move || {
                let cluster = &world.clusters[0];
                let (own, others) = (&cluster.own, &cluster.others);
                assert_ne!(own.live.load(Acquire) & bit(0), 0);
                others.claim.fetch_or(bit(0), AcqRel);
                cluster.memory[0].wipe(1);
                others.done.fetch_or(bit(0) | QUEUED, Relaxed);
            })
        };
        let cluster = &world.clusters[0];
        if cluster.group().fold_in_place().is_ok_and(|done| done != 0) {
            let _ = cluster.allocate(0);
        }
        other.join().unwrap();
    });
}

/// The group is pushed although Q was set: it is on the inbox twice, and the chain a circle.
#[test]
#[should_panic(expected = "twice on the inbox")]
fn control_pushed_without_looking_at_q() {
    explore("control: push without Q", None, || {
        let world = World::<1>::new(&[0, 1]);
        let others = [0, 1].map(|slot| {
            let world = world.clone();
            thread::spawn(move || {
                let cluster = &world.clusters[0];
                let claimed = cluster.group().claim(slot).unwrap();
                cluster.memory[slot].wipe(1);
                let (Handover::Push | Handover::Queued) = cluster.group().hand_over(claimed);
                world.inbox.push(Ticket(1), &cluster.others);
            })
        });
        for other in others {
            other.join().unwrap();
        }
        world.drain().unwrap();
    });
}
