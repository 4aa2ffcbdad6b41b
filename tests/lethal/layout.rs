//! Sizes and alignments given to free and realloc that are not those allocated.

use crate::matrix::{self, Case};
use crate::scene::Scene;
use crate::setting::{Setting, Target, layout};
use crate::verdict::End;
use casemate::Kind;
use std::alloc::Layout;

pub const CASES: &[Case] = &[
    Case { name: "a byte more", run: |scene| free(scene, more), end: size },
    Case { name: "a byte less", run: |scene| free(scene, less), end: size },
    Case { name: "another class", run: |scene| free(scene, much_more), end: size },
    Case { name: "large for small", run: |scene| free(scene, huge), end: size },
    Case { name: "small for large", run: |scene| free(scene, tiny), end: size_of_more },
    Case { name: "twice the alignment", run: |scene| free(scene, twice_aligned), end: alignment },
    Case { name: "an alignment above a page", run: |scene| free(scene, far), end: alignment },
    Case { name: "realloc of a byte more", run: |scene| resize(scene, more), end: size },
    Case { name: "realloc of a byte less", run: |scene| resize(scene, less), end: size },
    Case { name: "realloc of another class", run: |scene| resize(scene, huge), end: size },
    Case { name: "realloc of another alignment", run: realloc_aligned, end: alignment },
    Case { name: "the size before a realloc", run: old_size, end: stays },
    Case { name: "the size before a realloc that moves", run: old_size_moved, end: moved },
];

#[test]
fn layouts_that_do_not_match_are_refused() {
    matrix::run(CASES);
}

fn size(setting: &Setting) -> Option<End> {
    Some(End::Line(Kind::WrongSize, setting.target.place()))
}

fn size_of_more(setting: &Setting) -> Option<End> {
    if setting.target == Target::Smallest { None } else { size(setting) }
}

fn alignment(setting: &Setting) -> Option<End> {
    Some(End::Line(Kind::WrongAlignment, setting.target.place()))
}

/// A byte less stays in the class, but for whole pages.
fn stays(setting: &Setting) -> Option<End> {
    if setting.target == Target::Page { None } else { size(setting) }
}

/// The object lies where eight times its size belongs.
fn moved(setting: &Setting) -> Option<End> {
    let place = match setting.target {
        Target::Smallest => casemate::Place::Slot(48),
        Target::Middle => casemate::Place::Slot(8256),
        _ => casemate::Place::Large,
    };
    // Eight pages are a class of their own.
    (setting.target != Target::Page).then_some(End::Line(Kind::WrongSize, place))
}

fn more(true_one: Layout) -> Layout {
    layout(true_one.size() + 1, true_one.align())
}

fn less(true_one: Layout) -> Layout {
    layout(true_one.size() - 1, true_one.align())
}

fn much_more(true_one: Layout) -> Layout {
    layout(true_one.size() * 2 + 64, true_one.align())
}

fn huge(true_one: Layout) -> Layout {
    layout(true_one.size() + (64 << 20), true_one.align())
}

fn tiny(true_one: Layout) -> Layout {
    layout(3, true_one.align())
}

fn twice_aligned(true_one: Layout) -> Layout {
    layout(true_one.size(), true_one.align() * 2)
}

fn far(true_one: Layout) -> Layout {
    layout(true_one.size(), 1 << 14)
}

fn free(scene: &Scene, wrong: fn(Layout) -> Layout) {
    let layout = scene.target.loose();
    let at = scene.take(layout);
    scene.here.free(at, wrong(layout));
}

fn resize(scene: &Scene, wrong: fn(Layout) -> Layout) {
    let layout = scene.target.loose();
    let at = scene.take(layout);
    scene.here.resize(at, wrong(layout), layout.size() - 2);
}

fn realloc_aligned(scene: &Scene) {
    let layout = scene.target.loose();
    let at = scene.take(layout);
    scene.here.resize(at, twice_aligned(layout), layout.size());
}

fn old_size(scene: &Scene) {
    let layout = scene.target.loose();
    let at = scene.take(layout);
    let at = scene.here.resize(at, layout, layout.size() - 1);
    scene.here.free(at, layout);
}

fn old_size_moved(scene: &Scene) {
    let layout = scene.target.loose();
    let at = scene.take(layout);
    let at = scene.here.resize(at, layout, layout.size() * 8);
    scene.here.free(at, layout);
}
