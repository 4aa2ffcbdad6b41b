//! Writes after free: found when the memory is handed out again, or when its slab is given back.

use crate::child::leave;
use crate::matrix::{self, Case};
use crate::memory::{self, damage, write};
use crate::purged;
use crate::scene::Scene;
use crate::setting::{Environment, Role, Setting, Target, layout};
use crate::verdict::{End, Exit};
use casemate::interface::Interface;
use casemate::{Kind, Place};
use std::collections::HashSet;

pub const CASES: &[Case] = &[
    Case { name: "stale write, found at reuse", run: |scene| stale(scene, 0), end: at_reuse },
    Case { name: "stale write at the slot's end", run: stale_tail, end: at_reuse },
    Case { name: "stale write, in a slab that stays open", run: unguarded, end: without_guards },
    Case { name: "stale write, in a slab opened again", run: reopened, end: opened_again },
    Case { name: "stale write, found at purge", run: at_purge, end: at_give_back },
];

#[test]
fn stale_writes_are_found() {
    matrix::run(CASES);
}

/// A group with no live object in it may be given back rather than used again: only where there
/// are neighbours, one of them can be kept alive.
fn at_reuse(setting: &Setting) -> Option<End> {
    let place = setting.target.place();
    match setting.target {
        Target::Smallest | Target::Middle => Some(End::Line(Kind::WriteAfterFree, place)),
        Target::Largest | Target::Page => {
            Some(End::OneOf(&[Kind::WriteAfterFree, Kind::WriteAfterFreePurge], place))
        }
        Target::Large => None,
    }
}

fn at_give_back(setting: &Setting) -> Option<End> {
    let end = End::Line(Kind::WriteAfterFreePurge, setting.target.place());
    purged::applies(setting).then_some(end)
}

/// Where each guard is a mapping, and there are too many of these for further ones.
fn without_guards(setting: &Setting) -> Option<End> {
    let few = mappings() < 1 << 17;
    let here = setting.environment == Environment::Mprotect && setting.target == Target::Largest;
    let end = End::Line(Kind::WriteAfterFree, Place::Slot(40_960));
    (few && here && setting.role == Role::Owner).then_some(end)
}

fn mappings() -> usize {
    let most = std::fs::read_to_string("/proc/sys/vm/max_map_count");
    most.ok().and_then(|most| most.trim().parse().ok()).unwrap_or(usize::MAX)
}

/// Slabs that no guard could be had for cannot be closed when they are given back.
fn unguarded(scene: &Scene) {
    let layout = layout(40_000, 8);
    let mut all = Vec::new();
    while casemate::protections().unguarded_slabs < 300 {
        all.extend(scene.here.take_many(layout, 500));
    }
    let (guarded, last) = all.split_at(all.len() - 300);
    scene.here.free_all(last, &[], layout);
    Interface::<casemate::Full>::new(|_| {}, |_| {}, || {}).trim();
    if casemate::stats().small.purged < 200 || guarded.is_empty() {
        leave(Exit::SetUp);
    }
    last.iter().for_each(|&at| write(at + 100, 1));
    scene.here.take_many(layout, 300);
}

fn opened_again(setting: &Setting) -> Option<End> {
    let here = setting.target.has_neighbours() && setting.role == Role::Owner;
    here.then_some(End::Line(Kind::WriteAfterFree, setting.target.place()))
}

/// The slab was given back after it was looked at, and serves again: what was freed there before has
/// not been handed out yet, and may be written to.
fn reopened(scene: &Scene) {
    let layout = scene.target.snug();
    let all = purged::empty_slabs(scene, |_| {});
    let is_readable = memory::readable();
    // Some of them: each is asked for by two system calls.
    let mut closed: Vec<_> = all.iter().step_by(all.len() / 2000 + 1).copied().collect();
    closed.retain(|&at| !is_readable(at));
    let mut taken = HashSet::new();
    let stale = loop {
        if closed.is_empty() || taken.len() > all.len() {
            leave(Exit::SetUp);
        }
        taken.extend(scene.here.take_many(layout, 50));
        let stale = closed.iter().filter(|at| is_readable(**at) && !taken.contains(*at));
        let stale: Vec<_> = stale.collect();
        if !stale.is_empty() {
            break stale;
        }
    };
    stale.into_iter().for_each(|&at| damage(at));
    scene.here.take_many(layout, all.len());
}

/// One byte written to a freed object, which comes up again in the course of correct use.
fn stale(scene: &Scene, offset: usize) {
    let layout = scene.target.snug();
    if !scene.target.has_neighbours() {
        let at = scene.take(layout);
        scene.here.free(at, layout);
        write(at + offset, 1);
        return scene.churn(layout);
    }
    // The slot above stays in use: its free would notice what happens at this one's end, and
    // without it the whole group might be given back before it is used again.
    let (all, [at, above]) = scene.neighbours(layout);
    scene.here.free(at, layout);
    write(at + offset, 1);
    scene.here.free_all(&all, &[at, above], layout);
    scene.churn(layout);
}

fn stale_tail(scene: &Scene) {
    stale(scene, scene.target.slot() - 1);
}

/// One byte written to each of a few among many objects, just after it was freed.
fn at_purge(scene: &Scene) {
    purged::empty_slabs(scene, damage);
}
