//! Sizes and alignments given to free and realloc that are not those allocated.

use crate::matrix::{self, Case};
use crate::scene::Scene;
use crate::setting::{Setting, TOO_MUCH, Target, layout};
use crate::verdict::End;
use casemate::Kind;
use std::alloc::Layout;

pub const CASES: &[Case] = &[
    Case { name: "a byte more", run: |scene| free(scene, more), end: size },
    Case { name: "a byte less", run: |scene| free(scene, less), end: size },
    Case {
        name: "a quarter of a MiB less",
        run: |scene| free(scene, quarter_less),
        end: size_of_far,
    },
    Case { name: "another class", run: |scene| free(scene, much_more), end: size },
    Case { name: "large for small", run: |scene| free(scene, huge), end: size },
    Case { name: "small for large", run: |scene| free(scene, tiny), end: size_of_more },
    Case { name: "twice the alignment", run: |scene| free(scene, twice_aligned), end: alignment },
    Case { name: "an alignment above a page", run: |scene| free(scene, far), end: alignment },
    Case { name: "half of a far alignment", run: |scene| far_pages(scene, 15), end: far_alignment },
    Case {
        name: "a quarter of a far alignment",
        run: |scene| far_pages(scene, 14),
        end: far_alignment,
    },
    Case { name: "twice a far alignment", run: |scene| far_pages(scene, 17), end: far_alignment },
    Case {
        name: "a usual alignment for a far one",
        run: |scene| far_pages(scene, 4),
        end: far_alignment,
    },
    Case { name: "a byte less than far aligned pages", run: fewer_far_bytes, end: far_size },
    Case { name: "realloc of a byte more", run: |scene| resize(scene, more), end: size },
    Case { name: "realloc of a byte less", run: |scene| resize(scene, less), end: size },
    Case { name: "realloc of another class", run: |scene| resize(scene, huge), end: size },
    Case { name: "realloc of a byte less to too much", run: resize_too_much, end: size },
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

/// By as much as a record's field for the slack holds.
fn size_of_far(setting: &Setting) -> Option<End> {
    if setting.target.loose().size() > 1 << 18 { size(setting) } else { None }
}

fn far_alignment(setting: &Setting) -> Option<End> {
    far_end(setting, Kind::WrongAlignment)
}

fn far_size(setting: &Setting) -> Option<End> {
    far_end(setting, Kind::WrongSize)
}

/// The same object for each target: once is enough.
fn far_end(setting: &Setting, kind: Kind) -> Option<End> {
    (setting.target == Target::Page)
        .then_some(End::Line(kind, casemate::Place::Slot(FAR_PAGES as u32)))
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

/// Pages that are aligned to more than a record's field for the alignment holds.
const FAR_PAGES: usize = 1 << 16;

fn far_pages(scene: &Scene, align: u32) {
    let at = scene.take(layout(FAR_PAGES, FAR_PAGES));
    scene.here.free(at, layout(FAR_PAGES, 1 << align));
}

fn fewer_far_bytes(scene: &Scene) {
    let at = scene.take(layout(FAR_PAGES, FAR_PAGES));
    scene.here.free(at, layout(FAR_PAGES - 1, FAR_PAGES));
}

fn quarter_less(true_one: Layout) -> Layout {
    layout(true_one.size() - (1 << 18), true_one.align())
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

/// There is no memory for it, and the object stays where it is.
fn resize_too_much(scene: &Scene) {
    let layout = scene.target.loose();
    let at = scene.take(layout);
    scene.here.resize(at, less(layout), TOO_MUCH);
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
