//! Two threads free the same object. One of them is found out in every interleaving, also when
//! it was stopped half-way while the slot went to a new object; only one wipes, and only the
//! object it meant.

use crate::world::{Freed, Met, World, explore};
use casemate::bitmap::bit;
use casemate::slab::group::QUEUED;
use casemate::slab::inbox::Ticket;
use casemate::violation::Kind;
use loom::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed, Release};
use loom::thread;
use std::sync::Arc;

/// A free of slot 0 by a thread that does not own the group, or a copy of it with a fault.
pub type Free = fn(&World<1>) -> Result<Freed, Kind>;

/// The crate's own.
pub fn free(world: &World<1>) -> Result<Freed, Kind> {
    world.free_remote(0, 0)
}

/// The owner takes its inbox and hands slot 0 out again if it came back: whether it did.
pub fn drain_and_reuse(world: &World<1>) -> Result<bool, Kind> {
    let cluster = &world.clusters[0];
    if world.drain()?[0] & bit(0) == 0 {
        return Ok(false);
    }
    // Take-up comes before every reuse.
    cluster.group().fold_in_place()?;
    assert_eq!(cluster.allocate(0)?, 2);
    Ok(true)
}

/// What became of the two frees and of the owner.
pub struct Outcome {
    pub freed: [Result<Freed, Kind>; 2],
    pub reused: Result<bool, Kind>,
}

/// Runs the two frees of one object and the owner at a time, and judges the outcome.
pub fn race(name: &str, first: Free, second: Free, met: impl Fn(&Outcome) + Send + Sync + 'static) {
    race_beside(name, None, [first, second], drain_and_reuse, met);
}

/// The same with an owner that does something else beside, to slot 1.
fn race_beside(
    name: &str,
    preemptions: Option<usize>,
    frees: [Free; 2],
    owner: fn(&World<1>) -> Result<bool, Kind>,
    met: impl Fn(&Outcome) + Send + Sync + 'static,
) {
    explore(name, preemptions, move || {
        let world = World::<1>::new(&[0, 1]);
        let others = frees.map(|free| {
            let world: Arc<World<1>> = world.clone();
            thread::spawn(move || free(&world))
        });
        let reused = owner(&world);
        let freed = others.map(|other| other.join().unwrap());
        let outcome = Outcome { freed, reused };

        let done = freed.iter().filter(|f| matches!(f, Ok(Freed::First { .. }))).count();
        assert!(done <= 1, "both freed it");
        let late = freed.contains(&Ok(Freed::TooLate));
        let found = reused.is_err() || freed.iter().any(Result::is_err);
        assert!(found || late, "a double free went unseen");
        if reused == Ok(true) {
            assert_eq!(world.clusters[0].memory[0].read(), 2, "the new object was wiped");
        }
        met(&outcome);
    });
}

#[test]
fn a_racing_double_free_is_found() {
    static BEFORE: Met = Met::new();
    static REUSED: Met = Met::new();
    static LATE: Met = Met::new();
    static FOLDED: Met = Met::new();
    race("racing double free", free, free, |outcome| {
        let kind = outcome.freed.iter().find_map(|freed| freed.err());
        match (kind, outcome.reused) {
            (Some(Kind::DoubleFree), Ok(false)) => BEFORE.hit(),
            (Some(Kind::RacingFree), Ok(true)) => REUSED.hit(),
            (_, Err(Kind::RacingFree)) => FOLDED.hit(),
            _ => {}
        }
        if outcome.freed.contains(&Ok(Freed::TooLate)) {
            LATE.hit();
        }
    });
    BEFORE.assert("the second free finds the first one's claim");
    REUSED.assert("a stopped free finds a new object in the slot");
    FOLDED.assert("the owner finds the claim of a stopped free");
    LATE.assert("a free that began after the reuse");
}

/// After the reuse the owner frees another slot: a stopped free whose second look reads that
/// store to `live`, not the one that published the new object, must see the new record all the
/// same. So every store to `live` is a Release.
#[test]
fn the_second_look_sees_the_record_behind_a_later_free() {
    static REUSED: Met = Met::new();
    let owner = |world: &World<1>| {
        let reused = drain_and_reuse(world)?;
        world.clusters[0].free_owned(1)?;
        Ok(reused)
    };
    race_beside("double free, then owner's free", None, [free, free], owner, |outcome| {
        if outcome.reused == Ok(true) && outcome.freed.contains(&Err(Kind::RacingFree)) {
            REUSED.hit();
        }
    });
    REUSED.assert("a stopped free finds a new object in the slot");
}

/// The same where the later store to `live` is a fold's. At most five preemptions: without a
/// bound it takes half a minute (700,000 executions, no fault).
#[test]
fn the_second_look_sees_the_record_behind_a_later_fold() {
    static FOLDED: Met = Met::new();
    let both: Free = |world| {
        let freed = free(world)?;
        world.free_remote(0, 1)?;
        Ok(freed)
    };
    let owner = |world: &World<1>| {
        let reused = drain_and_reuse(world)?;
        if world.drain()? != [0] && reused {
            FOLDED.hit();
        }
        Ok(reused)
    };
    race_beside("double free, then fold", Some(5), [free, both], owner, |_| {});
    FOLDED.assert("a fold after the reuse");
}

/// One thread frees twice; the second is found wherever the owner has got to with the first.
#[test]
fn a_second_free_by_the_same_thread_is_found() {
    explore("twice by one thread", None, || {
        let world = World::<1>::new(&[0, 1]);
        let other = {
            let world = world.clone();
            thread::spawn(move || {
                assert!(world.free_remote(0, 0).is_ok());
                world.free_remote(0, 0)
            })
        };
        let cluster = &world.clusters[0];
        // Its claim may be found by the owner first: that is the end as well.
        let folded = world.drain().and_then(|_| cluster.group().fold_in_place());
        let second = other.join().unwrap();
        assert!(matches!(second, Err(Kind::DoubleFree | Kind::RacingFree)), "{second:?}");
        assert!(matches!(folded, Ok(_) | Err(Kind::RacingFree)), "{folded:?}");
    });
}

/// A slot that was never handed out, and one that is free, are refused at the first look.
#[test]
fn a_free_slot_is_refused_at_the_first_look() {
    explore("free slot", None, || {
        let world = World::<1>::new(&[0]);
        let cluster = &world.clusters[0];
        cluster.free_owned(0).unwrap();
        let other = {
            let world = world.clone();
            thread::spawn(move || [0, 1].map(|slot| world.free_remote(0, slot)))
        };
        cluster.allocate(2).unwrap();
        let expected = [Err(Kind::DoubleFree), Err(Kind::ForeignPointer)];
        assert_eq!(other.join().unwrap(), expected);
        cluster.assert_settled(bit(2));
    });
}

/// The fault in one place: steps 1 to 5 with the look after the claim left to the caller.
fn faulty(world: &World<1>, again: fn(live: u64, same: bool) -> bool) -> Result<Freed, Kind> {
    let cluster = &world.clusters[0];
    let (own, others, group) = (&cluster.own, &cluster.others, cluster.group());
    let before = own.live.load(Acquire);
    let record = group.record(0)?;
    if before & bit(0) == 0 || others.claim.fetch_or(bit(0), AcqRel) & bit(0) != 0 {
        return Err(Kind::DoubleFree);
    }
    let after = own.live.load(Acquire);
    if !again(after & bit(0), group.record(0)? == record) {
        return Err(Kind::RacingFree);
    }
    if record.generation() != 1 {
        return Ok(Freed::TooLate);
    }
    cluster.memory[0].wipe(1);
    Ok(finish(world))
}

/// Step 5, for the copies.
fn finish(world: &World<1>) -> Freed {
    let others = &world.clusters[0].others;
    let pushed = others.done.fetch_or(bit(0) | QUEUED, AcqRel) & QUEUED == 0;
    if pushed {
        world.inbox.push(Ticket(1), others);
    }
    Freed::First { pushed }
}

/// The copy is the protocol as long as nothing is left out, so the controls differ in that only.
#[test]
fn the_copy_without_a_fault_passes() {
    let whole: Free = |world| faulty(world, |live, same| live != 0 && same);
    race("copy without a fault", whole, whole, |_| {});
}

/// No second look: a stopped free wipes whatever is in the slot by then.
#[test]
#[should_panic(expected = "Causality violation")]
fn control_no_look_after_the_claim() {
    let free: Free = |world| faulty(world, |_, _| true);
    race("control: no second look", free, free, |_| {});
}

/// The second look sees that the slot is live, but not that the object is another.
#[test]
#[should_panic(expected = "wiped another object")]
fn control_second_look_without_the_record() {
    let free: Free = |world| faulty(world, |live, _| live != 0);
    race("control: no record", free, free, |_| {});
}

/// Wiped before it is claimed: both wipe.
#[test]
#[should_panic(expected = "Causality violation")]
fn control_wiped_before_the_claim() {
    let free: Free = |world| {
        let cluster = &world.clusters[0];
        if cluster.own.live.load(Acquire) & bit(0) == 0 {
            return Err(Kind::DoubleFree);
        }
        cluster.memory[0].wipe(1);
        let Some(claimed) = world.claim_first(0, 0)? else { return Ok(Freed::TooLate) };
        Ok(Freed::First { pushed: world.hand_over(0, claimed) })
    };
    race("control: wipe before claim", free, free, |_| {});
}

/// The claim is a load and a store: both have it.
#[test]
#[should_panic(expected = "Causality violation")]
fn control_claim_in_two_steps() {
    let free: Free = |world| {
        let cluster = &world.clusters[0];
        let others = &cluster.others;
        let claim = others.claim.load(Acquire);
        if cluster.own.live.load(Acquire) & bit(0) == 0 || claim & bit(0) != 0 {
            return Err(Kind::DoubleFree);
        }
        others.claim.store(others.claim.load(Relaxed) | bit(0), Release);
        cluster.memory[0].wipe(1);
        Ok(finish(world))
    };
    race("control: claim in two steps", free, free, |_| {});
}
