//! Writes past the end, before the start and into neighbours, found by canaries. What meets a
//! guard instead is in `guards`.

use crate::matrix::{self, Case};
use crate::memory::{damage, write};
use crate::scene::Scene;
use crate::setting::{Setting, TOO_MUCH, Target};
use crate::verdict::End;
use casemate::Kind;

pub const CASES: &[Case] = &[
    Case { name: "a byte past the end", run: past_loose_end, end: with_slack },
    Case { name: "a byte past the end, no slack", run: past_snug_end, end: snug },
    Case { name: "a NUL past the end", run: nul_past_end, end: snug },
    Case { name: "the slot's last byte", run: last_byte, end: slots },
    Case { name: "realloc of a damaged object", run: realloc_damaged, end: with_slack },
    Case { name: "a byte before the start", run: before_start, end: under },
    Case { name: "neighbour below damaged", run: neighbour, end: under },
    Case { name: "freed neighbour below damaged", run: freed_neighbour, end: under },
    Case {
        name: "realloc of a damaged object to too much",
        run: realloc_too_much,
        end: with_slack,
    },
    Case { name: "damaged and never freed", run: never_freed, end: at_take_up },
];

#[test]
fn corruption_is_found() {
    matrix::run(CASES);
}

fn overflow(setting: &Setting) -> Option<End> {
    Some(End::Line(Kind::Overflow, setting.target.place()))
}

fn with_slack(setting: &Setting) -> Option<End> {
    if setting.target == Target::Page { None } else { overflow(setting) }
}

fn slots(setting: &Setting) -> Option<End> {
    if setting.target == Target::Large { None } else { with_slack(setting) }
}

/// The largest class has slack behind the largest object that it serves.
fn snug(setting: &Setting) -> Option<End> {
    slots(setting)
}

fn under(setting: &Setting) -> Option<End> {
    let end = End::Line(Kind::Underflow, setting.target.place());
    setting.target.has_neighbours().then_some(end)
}

/// A slab of one slot is not taken up while its object lives.
fn at_take_up(setting: &Setting) -> Option<End> {
    let end = End::Line(Kind::DamagedNeighbour, setting.target.place());
    setting.target.has_neighbours().then_some(end)
}

fn past_loose_end(scene: &Scene) {
    let layout = scene.target.loose();
    let at = scene.take(layout);
    damage(at + layout.size());
    scene.here.free(at, layout);
}

fn past_snug_end(scene: &Scene) {
    let layout = scene.target.snug();
    let at = scene.take(layout);
    damage(at + layout.size());
    scene.here.free(at, layout);
}

/// The byte is never zero, so that this is seen.
fn nul_past_end(scene: &Scene) {
    let layout = scene.target.snug();
    let at = scene.take(layout);
    write(at + layout.size(), 0);
    scene.here.free(at, layout);
}

fn last_byte(scene: &Scene) {
    let layout = scene.target.loose();
    let at = scene.take(layout);
    damage(at + scene.target.slot() - 1);
    scene.here.free(at, layout);
}

fn realloc_damaged(scene: &Scene) {
    let layout = scene.target.loose();
    let at = scene.take(layout);
    damage(at + layout.size());
    scene.here.resize(at, layout, layout.size() * 2);
}

fn before_start(scene: &Scene) {
    let layout = scene.target.loose();
    let (_, [_, above]) = scene.neighbours(layout);
    damage(above - 1);
    scene.here.free(above, layout);
}

/// The object below runs over its end; it is not the one that is freed.
fn neighbour(scene: &Scene) {
    let layout = scene.target.snug();
    let (_, [below, above]) = scene.neighbours(layout);
    damage(below + layout.size());
    scene.here.free(above, layout);
}

/// The object below is freed when its last byte is written to, by whoever frees this one.
fn freed_neighbour(scene: &Scene) {
    let layout = scene.target.snug();
    let (_, [below, above]) = scene.neighbours(layout);
    scene.here.free(below, layout);
    damage(above - 1);
    scene.here.free(above, layout);
}

/// There is no memory for it, and the object stays where it is.
fn realloc_too_much(scene: &Scene) {
    let layout = scene.target.loose();
    let at = scene.take(layout);
    damage(at + layout.size());
    scene.here.resize(at, layout, TOO_MUCH);
}

/// Neither the damaged object nor the one above it is ever freed. Their group comes up again for
/// the sake of its other slots.
fn never_freed(scene: &Scene) {
    let layout = scene.target.snug();
    let (all, [below, above]) = scene.neighbours(layout);
    damage(below + layout.size());
    scene.here.free_all(&all, &[below, above], layout);
    scene.churn(layout);
}
