//! A realloc by a thread that does not own the group copies between the claim and the wipe. It
//! reads what the object's owner wrote, and nothing else, whoever frees the object meanwhile.

use crate::double_free::{Free, drain_and_reuse, free, race};
use crate::world::{Freed, Met, World, explore};
use casemate::bitmap::bit;
use casemate::violation::Kind;
use loom::sync::atomic::Ordering::Acquire;
use loom::thread;

/// The crate's steps: claim, copy, wipe, hand over.
fn realloc(world: &World<1>) -> Result<Freed, Kind> {
    let Some(claimed) = world.claim_first(0, 0)? else { return Ok(Freed::TooLate) };
    let memory = &world.clusters[0].memory[0];
    assert_eq!(memory.read(), 1, "copied another object");
    memory.wipe(1);
    Ok(Freed::First { pushed: world.hand_over(0, claimed) })
}

#[test]
fn a_copy_reads_its_own_object_under_a_double_free() {
    static COPIED: Met = Met::new();
    static REFUSED: Met = Met::new();
    race("realloc against free", realloc, free, |outcome| match outcome.freed[0] {
        Ok(Freed::First { .. }) => COPIED.hit(),
        Err(_) if outcome.reused == Ok(true) => REFUSED.hit(),
        _ => {}
    });
    COPIED.assert("copied");
    REFUSED.assert("refused because the slot has a new object");
}

#[test]
fn of_two_reallocs_one_copies() {
    race("realloc against realloc", realloc, realloc, |_| {});
}

/// The copy goes to a heap of the caller's own, and a third thread frees it there while the
/// first owner reuses the slot: no alarm, nothing lost in either heap.
#[test]
fn an_object_moves_to_another_heap() {
    static REUSED: Met = Met::new();
    explore("move to another heap", None, || {
        let (from, to) = (World::<1>::new(&[0]), World::<1>::new(&[]));
        let mover = {
            let (from, to) = (from.clone(), to.clone());
            thread::spawn(move || {
                let old = &from.clusters[0].memory[0];
                let claimed = from.clusters[0].group().claim(0).unwrap();
                // The new slot is had before the old object is touched: it may fail.
                assert_eq!(to.clusters[0].allocate(1), Ok(1));
                assert_eq!(old.read(), 1);
                old.wipe(1);
                from.hand_over(0, claimed);
                let third = {
                    let to = to.clone();
                    thread::spawn(move || to.free_remote(0, 1).unwrap())
                };
                let [first] = to.drain().unwrap();
                third.join().unwrap();
                let [second] = to.drain().unwrap();
                assert_eq!(first ^ second, bit(1));
            })
        };
        let reused = drain_and_reuse(&from).unwrap();
        mover.join().unwrap();
        from.drain().unwrap();
        if reused {
            REUSED.hit();
        }
        from.clusters[0].assert_settled(u64::from(reused));
        to.clusters[0].assert_settled(0);
    });
    REUSED.assert("the old slot reused while the object moves on");
}

/// Copied before it is claimed: the copy runs into the wipe or into the next object.
#[test]
#[should_panic(expected = "Causality violation")]
fn control_copied_before_the_claim() {
    let early: Free = |world| {
        let cluster = &world.clusters[0];
        if cluster.own.live.load(Acquire) & bit(0) == 0 {
            return Err(Kind::DoubleFree);
        }
        let record = cluster.group().record(0)?;
        if record.generation() != 1 {
            return Ok(Freed::TooLate);
        }
        assert_eq!(cluster.memory[0].read(), 1, "copied another object");
        free(world)
    };
    race("control: copy before claim", early, free, |_| {});
}

/// Copied after the slot was handed over: its owner may have given it away.
#[test]
#[should_panic(expected = "Causality violation")]
fn control_copied_after_the_hand_over() {
    explore("control: copy after hand-over", None, || {
        let world = World::<1>::new(&[0]);
        let other = {
            let world = world.clone();
            thread::spawn(move || {
                let claimed = world.claim_first(0, 0).unwrap().unwrap();
                world.clusters[0].memory[0].wipe(1);
                world.hand_over(0, claimed);
                world.clusters[0].memory[0].read()
            })
        };
        let _ = drain_and_reuse(&world);
        other.join().unwrap();
    });
}
