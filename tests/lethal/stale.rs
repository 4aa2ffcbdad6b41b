//! Writes after free: found when the memory is handed out again, or when its slab is given back.

use crate::matrix::{self, Case};
use crate::memory::{damage, write};
use crate::purged;
use crate::scene::Scene;
use crate::setting::{Setting, Target};
use crate::verdict::End;
use casemate::Kind;

pub const CASES: &[Case] = &[
    Case { name: "stale write, found at reuse", run: |scene| stale(scene, 0), end: at_reuse },
    Case { name: "stale write at the slot's end", run: stale_tail, end: at_reuse },
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
