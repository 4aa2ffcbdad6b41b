//! Pointers into objects and their slots, and pointers that are not aligned as any object is.

use crate::matrix::{self, Case};
use crate::scene::Scene;
use crate::setting::{Setting, Target};
use crate::verdict::End;
use casemate::Kind;

pub const CASES: &[Case] = &[
    Case { name: "one byte in", run: |scene| free_at(scene, 1), end: misaligned },
    Case { name: "three bytes in", run: |scene| free_at(scene, 3), end: misaligned },
    Case { name: "four bytes in", run: |scene| free_at(scene, 4), end: misaligned },
    Case { name: "eight bytes in", run: |scene| free_at(scene, 8), end: interior },
    Case { name: "sixteen bytes in", run: |scene| free_at(scene, 16), end: interior_of_more },
    Case { name: "in the middle", run: free_middle, end: interior_of_more },
    Case { name: "at its canary", run: free_canary, end: interior },
    Case { name: "realloc one byte in", run: |scene| realloc_at(scene, 1), end: misaligned },
    Case { name: "realloc eight bytes in", run: |scene| realloc_at(scene, 8), end: interior },
];

#[test]
fn interior_pointers_are_refused() {
    matrix::run(CASES);
}

fn misaligned(setting: &Setting) -> Option<End> {
    Some(End::Line(Kind::MisalignedPointer, setting.target.place()))
}

fn interior(setting: &Setting) -> Option<End> {
    Some(End::Line(Kind::InteriorPointer, setting.target.place()))
}

/// In the smallest slot, of 16 bytes, there is no such place.
fn interior_of_more(setting: &Setting) -> Option<End> {
    if setting.target == Target::Smallest { None } else { interior(setting) }
}

fn free_at(scene: &Scene, offset: usize) {
    let layout = scene.target.loose();
    let at = scene.take(layout);
    scene.here.free(at + offset, layout);
}

fn free_middle(scene: &Scene) {
    free_at(scene, (scene.target.slot() / 2).next_multiple_of(16));
}

fn free_canary(scene: &Scene) {
    free_at(scene, scene.target.slot() - 8);
}

fn realloc_at(scene: &Scene, offset: usize) {
    let layout = scene.target.loose();
    let at = scene.take(layout);
    scene.here.resize(at + offset, layout, layout.size() + 1);
}
