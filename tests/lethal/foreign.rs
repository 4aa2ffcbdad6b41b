//! Pointers that no allocation returned.

use crate::matrix::{self, Case};
use crate::setting::{Environment, Role, Setting, Target};
use crate::verdict::End;
use crate::{memory, plan, scene::Scene};
use casemate::geometry::SlabId;
use casemate::{Kind, Place};
use std::alloc::{GlobalAlloc, System};

pub const CASES: &[Case] = &[
    Case { name: "first use is a free", run: on_stack, end: once },
    Case { name: "first use is a realloc", run: realloc_on_stack, end: once },
    Case { name: "stack", run: on_stack, end: unknown },
    Case { name: "static", run: in_static, end: unknown },
    Case { name: "another heap's", run: of_another_heap, end: unknown },
    Case { name: "another mapping", run: another_mapping, end: unknown },
    Case { name: "unmapped", run: unmapped, end: unknown },
    Case { name: "small number", run: small_number, end: unknown },
    Case { name: "no such address", run: no_such_address, end: unknown },
    Case { name: "metadata", run: metadata, end: unknown },
    Case { name: "start-up page", run: start_up_page, end: unknown },
    Case { name: "realloc of a stack address", run: realloc_on_stack, end: unknown },
    Case { name: "odd stack address", run: odd_stack, end: odd },
    Case { name: "beyond the frontier", run: beyond_frontier, end: of_class },
    Case { name: "before the first slot", run: before_first_slot, end: of_class },
    Case { name: "in a guard", run: in_guard, end: of_class },
    Case { name: "never handed out", run: never_handed_out, end: of_class },
    Case { name: "realloc of never handed out", run: realloc_never, end: of_class },
    Case { name: "realloc of the next in turn", run: realloc_next, end: of_group },
    Case { name: "guard of a large object", run: in_large_guard, end: unknown_large },
    Case { name: "inside a freed large object", run: in_freed_large, end: unknown_large },
];

#[test]
fn foreign_pointers_are_refused() {
    matrix::run(CASES);
}

fn unknown(setting: &Setting) -> Option<End> {
    Some(no_object(setting, Kind::ForeignPointer))
}

fn no_object(setting: &Setting, kind: Kind) -> End {
    match setting.environment {
        Environment::Lowest => End::Anywhere(kind),
        _ => End::Line(kind, Place::Unknown),
    }
}

fn once(setting: &Setting) -> Option<End> {
    // Nothing was allocated: there is one kind of thread, and the environment does not matter.
    let plain = setting.role == Role::Owner && setting.environment == Environment::Default;
    if plain { unknown(setting) } else { None }
}

fn odd(setting: &Setting) -> Option<End> {
    Some(no_object(setting, Kind::MisalignedPointer))
}

fn of_class(setting: &Setting) -> Option<End> {
    let small = setting.target != Target::Large;
    small.then_some(End::Line(Kind::ForeignPointer, setting.target.place()))
}

fn of_group(setting: &Setting) -> Option<End> {
    if setting.target.has_neighbours() { of_class(setting) } else { None }
}

fn unknown_large(setting: &Setting) -> Option<End> {
    if setting.target == Target::Large { unknown(setting) } else { None }
}

/// Frees an address as if it were an object, while a true one of the kind is alive.
fn free(scene: &Scene, at: usize) {
    let layout = scene.target.loose();
    if !scene.is_first_use() {
        scene.take(layout);
    }
    scene.here.free(at, layout);
}

fn on_stack(scene: &Scene) {
    let local = [0u128; 4];
    free(scene, (&raw const local).expose_provenance());
}

fn odd_stack(scene: &Scene) {
    let local = [0u128; 4];
    free(scene, (&raw const local).expose_provenance() + 1);
}

fn realloc_on_stack(scene: &Scene) {
    let local = [0u128; 4];
    let layout = scene.target.loose();
    scene.here.resize((&raw const local).expose_provenance(), layout, layout.size() + 1);
}

fn in_static(scene: &Scene) {
    static TEXT: [u64; 8] = [0; 8];
    free(scene, (&raw const TEXT).expose_provenance());
}

#[expect(unsafe_code, reason = "allocates with the system's allocator")]
fn of_another_heap(scene: &Scene) {
    // SAFETY: no layout here has size zero.
    let at = unsafe { System.alloc(scene.target.loose()) };
    free(scene, at.expose_provenance());
}

fn another_mapping(scene: &Scene) {
    free(scene, memory::mapped());
}

fn unmapped(scene: &Scene) {
    free(scene, memory::unmapped());
}

fn small_number(scene: &Scene) {
    free(scene, 16);
}

fn no_such_address(scene: &Scene) {
    free(scene, 1 << 63);
}

fn metadata(scene: &Scene) {
    let plan = plan::plan();
    assert!(plan.shared > plan.meta.0);
    free(scene, plan.shared);
}

fn start_up_page(scene: &Scene) {
    free(scene, plan::start_up_page().0);
}

fn beyond_frontier(scene: &Scene) {
    let (region, _) = plan::slab_of(scene.take(scene.target.loose()));
    free(scene, region.slab(SlabId(region.limit - 1)));
}

fn before_first_slot(scene: &Scene) {
    let (region, _) = plan::slab_of(scene.take(scene.target.loose()));
    free(scene, region.base - 16);
}

fn in_guard(scene: &Scene) {
    let (region, slab) = plan::slab_of(scene.take(scene.target.loose()));
    free(scene, region.slab(slab) + region.shape.data as usize);
}

/// A slot between those that were handed out; where a slab has one slot, the next slab, which is
/// closed.
fn unused_slot(scene: &Scene) -> usize {
    let taken = scene.take_many(scene.target.loose(), 3);
    let (region, slab) = plan::slab_of(taken[0]);
    let slot = region.shape.slot as usize;
    let slots = (0..region.shape.slots as usize).map(|i| region.slab(slab) + i * slot);
    let slabs = (0..4).map(|i| region.slab(SlabId(slab.0 + i)));
    let unused = slots.chain(slabs).find(|at| !taken.contains(at));
    unused.expect("fewer objects than slots")
}

fn never_handed_out(scene: &Scene) {
    let at = unused_slot(scene);
    scene.here.free(at, scene.target.loose());
}

fn realloc_never(scene: &Scene) {
    let (at, layout) = (unused_slot(scene), scene.target.loose());
    scene.here.resize(at, layout, layout.size() + 1);
}

/// One slot of a group is left, and where a realloc must move, that one is the next to be handed
/// out: it must not become the object that it is moved to.
fn realloc_next(scene: &Scene) {
    let layout = scene.target.loose();
    let mut taken = vec![scene.take(layout)];
    let (region, slab) = plan::slab_of(taken[0]);
    let slot = region.shape.slot as usize;
    taken.extend(scene.take_many(layout, region.shape.group_slots as usize - 2));
    let slots = (0..region.shape.slots as usize).map(|i| region.slab(slab) + i * slot);
    let mut left = slots.filter(|&at| plan::share_group(at, taken[0]) && !taken.contains(&at));
    let (at, none) = (left.next().expect("one left"), left.next());
    assert_eq!(none, None);
    scene.here.resize(at, layout, layout.size());
}

fn in_large_guard(scene: &Scene) {
    let layout = scene.target.snug();
    let at = scene.take(layout);
    scene.here.free(at + layout.size(), layout);
}

fn in_freed_large(scene: &Scene) {
    let layout = scene.target.snug();
    let at = scene.take(layout);
    scene.here.free(at, layout);
    scene.here.free(at + 4096, layout);
}
