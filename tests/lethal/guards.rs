//! Accesses that fault, and at which byte.

use crate::fault::expect;
use crate::matrix::{self, Case};
use crate::memory::{damage, fill, read, write};
use crate::plan::{self, slab_of};
use crate::purged;
use crate::scene::Scene;
use crate::setting::{Environment, Role, Setting, Target};
use crate::verdict::End;
use casemate::inside::page_size;
use std::alloc::Layout;
use std::ops::Range;

pub const CASES: &[Case] = &[
    Case { name: "overflow out of a slab", run: out_of_slab, end: slots },
    Case { name: "underflow out of a slab", run: below_slab, end: slots },
    Case { name: "read of a guard's far end", run: guards_end, end: slots },
    Case { name: "before a region's first slot", run: before_region, end: slots },
    Case { name: "overflow out of a page", run: out_of_page, end: pages },
    Case { name: "underflow out of a page", run: below_page, end: pages },
    Case { name: "overflow out of a large object", run: out_of_large, end: large },
    Case { name: "past a large object's slack", run: out_of_loose_large, end: large },
    Case { name: "underflow out of a large object", run: below_large, end: large },
    Case { name: "beyond a large object cut short", run: cut_short, end: large },
    Case { name: "beyond a large object that grew in its place", run: grown, end: large },
    Case { name: "read of a purged slab", run: read_purged, end: purge },
    Case { name: "write to a purged slab", run: write_purged, end: purge },
    Case { name: "read of a slot that waits for long", run: read_waiting, end: decay },
    Case { name: "read of a freed large object", run: read_freed_large, end: large },
    Case { name: "write to a freed large object", run: write_freed_large, end: large },
    Case { name: "write to a large object that moved", run: write_moved_large, end: large },
];

#[test]
fn guards_fault() {
    matrix::run(CASES);
}

fn slots(setting: &Setting) -> Option<End> {
    (setting.target != Target::Large).then_some(End::Fault)
}

fn pages(setting: &Setting) -> Option<End> {
    (setting.target == Target::Page).then_some(End::Fault)
}

fn large(setting: &Setting) -> Option<End> {
    (setting.target == Target::Large).then_some(End::Fault)
}

fn purge(setting: &Setting) -> Option<End> {
    purged::applies(setting).then_some(End::Fault)
}

/// Slots that have a slab to themselves; guests' frees are taken in only when they are needed.
fn decay(setting: &Setting) -> Option<End> {
    let single = matches!(setting.target, Target::Largest | Target::Page);
    let markers = setting.environment == Environment::Default && setting.role != Role::Guest;
    (single && markers).then_some(End::Fault)
}

/// An object, and its slab's guard.
fn in_slab(scene: &Scene) -> (usize, Range<usize>) {
    let at = scene.take(scene.target.snug());
    let (region, slab) = slab_of(at);
    let start = region.slab(slab);
    (at, start + region.shape.data as usize..start + (1 << region.shape.stride_shift))
}

/// A linear overflow from some object of a slab: at the slab's end it is over.
fn out_of_slab(scene: &Scene) {
    let (object, guard) = in_slab(scene);
    expect(guard.start);
    (object..=guard.start).for_each(|at| write(at, 0x41));
}

fn guards_end(scene: &Scene) {
    let (_, guard) = in_slab(scene);
    expect(guard.end - 1);
    read(guard.end - 1);
}

/// The byte below a slab's first slot is the previous slab's guard, or lies before the first one.
fn below_slab(scene: &Scene) {
    let (region, slab) = slab_of(scene.take(scene.target.snug()));
    let below = region.slab(slab) - 1;
    expect(below);
    damage(below);
}

fn before_region(scene: &Scene) {
    let at = scene.take(scene.target.snug());
    let (region, _) = slab_of(at);
    assert!(plan::is_in_regions(region.base - 1));
    expect(region.base - 1);
    write(region.base - 1, 1);
}

fn out_of_page(scene: &Scene) {
    let layout = scene.target.snug();
    let at = scene.take(layout);
    fill(at, layout.size(), 1);
    expect(at + layout.size());
    write(at + layout.size(), 1);
}

fn below_page(scene: &Scene) {
    let at = scene.take(scene.target.snug());
    expect(at - 1);
    write(at - 1, 1);
}

fn out_of_large(scene: &Scene) {
    let layout = scene.target.snug();
    let at = scene.take(layout);
    fill(at, layout.size(), 1);
    expect(at + layout.size());
    write(at + layout.size(), 1);
}

fn out_of_loose_large(scene: &Scene) {
    let layout = scene.target.loose();
    let at = scene.take(layout);
    let end = at + layout.size().next_multiple_of(page_size());
    expect(end);
    (at + layout.size()..=end).for_each(|at| write(at, 1));
}

fn below_large(scene: &Scene) {
    let at = scene.take(scene.target.snug());
    expect(at - 1);
    write(at - 1, 1);
}

/// What realloc takes away from an object is a guard from then on.
fn cut_short(scene: &Scene) {
    let layout = scene.target.snug();
    let at = scene.take(layout);
    let half = layout.size() / 2;
    assert_eq!(scene.here.resize(at, layout, half), at);
    expect(at + half);
    fill(at, half + 1, 1);
}

/// Growth in place takes the guard's place, and leaves one behind.
fn grown(scene: &Scene) {
    let (mut layout, page) = (scene.target.snug(), page_size());
    let at = scene.take(layout);
    let sizes = [1, 3, 40, 41].map(|pages| layout.size() + pages * page);
    for size in sizes.into_iter().chain([layout.size() / 2, layout.size() + 20 * page]) {
        assert_eq!(scene.here.resize(at, layout, size), at);
        layout = Layout::from_size_align(size, layout.align()).unwrap();
        fill(at, size, 1);
    }
    expect(at + layout.size());
    write(at + layout.size(), 1);
}

fn read_purged(scene: &Scene) {
    if let Some(at) = purged::object(scene) {
        expect(at);
        read(at);
    }
}

fn write_purged(scene: &Scene) {
    if let Some(at) = purged::object(scene) {
        expect(at);
        write(at, 1);
    }
}

/// The slot cannot be handed out again, since nothing of its class was freed, and has no memory.
fn read_waiting(scene: &Scene) {
    let layout = scene.target.snug();
    let at = scene.take(layout);
    fill(at, layout.size(), 1);
    scene.home(move |hand| hand.free(at, layout));
    scene.home(purged::pass_time);
    expect(at);
    read(at);
}

fn freed_large(scene: &Scene) -> usize {
    let layout = scene.target.loose();
    let at = scene.take(layout);
    fill(at, layout.size(), 1);
    scene.here.free(at, layout);
    at
}

fn read_freed_large(scene: &Scene) {
    let at = freed_large(scene);
    expect(at);
    read(at);
}

fn write_freed_large(scene: &Scene) {
    let at = freed_large(scene) + (1 << 20);
    expect(at);
    write(at, 1);
}

fn write_moved_large(scene: &Scene) {
    let layout = scene.target.loose();
    let at = scene.take(layout);
    fill(at, layout.size(), 1);
    assert_ne!(scene.here.resize(at, layout, layout.size() * 4), at);
    expect(at);
    write(at, 1);
}
