//! Freed twice: by one thread, by two, at the same time, long afterwards.
//!
//! The thread that is preempted in the middle of its free is modelled under loom
//! (`tests/loom/double_free.rs`): no test can hold a thread there.

use crate::matrix::{self, Case};
use crate::purged;
use crate::scene::Scene;
use crate::setting::{Role, Setting, Target, layout};
use crate::verdict::End;
use casemate::{Kind, Place};
use std::sync::atomic::{AtomicUsize, Ordering};

pub const CASES: &[Case] = &[
    Case { name: "twice", run: twice, end: everywhere },
    Case { name: "owner's, then another's", run: home_first, end: apart },
    Case { name: "another's, then owner's", run: home_last, end: apart },
    Case { name: "with others in between", run: in_between, end: everywhere },
    Case { name: "realloc of a freed object", run: realloc_freed, end: everywhere },
    Case { name: "realloc of what realloc moved", run: realloc_moved, end: everywhere },
    Case { name: "racing threads", run: race, end: racing },
    Case { name: "after its slab was given back", run: after_purge, end: slots_of_owners },
    Case { name: "large, long forgotten", run: forgotten, end: large_only },
];

#[test]
fn double_free_is_stopped() {
    matrix::run(CASES);
}

fn everywhere(setting: &Setting) -> Option<End> {
    Some(End::Line(Kind::DoubleFree, setting.target.place()))
}

fn apart(setting: &Setting) -> Option<End> {
    (setting.role == Role::Other).then_some(everywhere(setting)?)
}

fn slots_of_owners(setting: &Setting) -> Option<End> {
    purged::applies(setting).then_some(everywhere(setting)?)
}

fn large_only(setting: &Setting) -> Option<End> {
    let end = End::Line(Kind::ForeignPointer, Place::Unknown);
    (setting.target == Target::Large).then_some(end)
}

/// Two that free one object at a time cannot always tell which of them was first; the owner, who
/// makes no claim, may meet the other's wipe in the middle of its checks.
fn racing(setting: &Setting) -> Option<End> {
    Some(End::OneOf(&[Kind::DoubleFree, Kind::RacingFree, Kind::Overflow], setting.target.place()))
}

fn twice(scene: &Scene) {
    let layout = scene.target.loose();
    let at = scene.take(layout);
    scene.here.free(at, layout);
    scene.here.free(at, layout);
}

fn home_first(scene: &Scene) {
    let layout = scene.target.loose();
    let at = scene.take(layout);
    scene.home(move |hand| hand.free(at, layout));
    scene.here.free(at, layout);
}

fn home_last(scene: &Scene) {
    let layout = scene.target.loose();
    let at = scene.take(layout);
    scene.here.free(at, layout);
    scene.home(move |hand| hand.free(at, layout));
}

/// Younger frees, and allocations that must not be given the freed memory yet.
fn in_between(scene: &Scene) {
    let layout = scene.target.snug();
    let all = scene.take_many(layout, 4);
    all.iter().for_each(|&at| scene.here.free(at, layout));
    scene.take_many(layout, 2);
    scene.here.free(all[0], layout);
}

fn realloc_freed(scene: &Scene) {
    let layout = scene.target.loose();
    let at = scene.take(layout);
    scene.here.free(at, layout);
    scene.here.resize(at, layout, layout.size() + 1);
}

fn realloc_moved(scene: &Scene) {
    let layout = scene.target.loose();
    let at = scene.take(layout);
    scene.here.resize(at, layout, layout.size() * 8);
    scene.here.resize(at, layout, layout.size() * 8);
}

/// Many objects, each freed by two threads at the same moment. Nearly always the first one is
/// already enough; where both frees go through, the owner finds it when it takes them in.
fn race(scene: &Scene) {
    static TURN: AtomicUsize = AtomicUsize::new(0);
    static AT: AtomicUsize = AtomicUsize::new(0);
    const ROUNDS: usize = 2000;
    /// Waits until it is `turn`, and does not let the processor go.
    fn wait_for(turn: usize) {
        while TURN.load(Ordering::Acquire) != turn {
            std::hint::spin_loop();
        }
    }
    let layout = scene.target.loose();
    let here = scene.here;
    std::thread::spawn(move || {
        for round in 0..ROUNDS {
            wait_for(2 * round + 1);
            here.free(AT.load(Ordering::Relaxed), layout);
            TURN.store(2 * round + 2, Ordering::Release);
        }
    });
    for round in 0..ROUNDS {
        AT.store(scene.take(layout), Ordering::Relaxed);
        TURN.store(2 * round + 1, Ordering::Release);
        here.free(AT.load(Ordering::Relaxed), layout);
        wait_for(2 * round + 2);
    }
}

fn after_purge(scene: &Scene) {
    if let Some(at) = purged::object(scene) {
        scene.here.free(at, scene.target.snug());
    }
}

/// After enough younger frees nothing is known of a large object any more, not even its address.
fn forgotten(scene: &Scene) {
    let large = scene.target.loose();
    let at = scene.take(large);
    scene.here.free(at, large);
    for _ in 0..40 {
        let younger = scene.take(large);
        scene.here.free(younger, large);
    }
    scene.take(layout(16, 8));
    scene.here.free(at, large);
}
