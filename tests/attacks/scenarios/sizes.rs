//! Frees that name a size or a layout.

use crate::arena::field::Field;
use crate::arena::scenario::{Chance, Scenario, slot};
use casemate::Kind;
use std::alloc::Layout;

pub const ALL: &[Scenario] = &[
    Scenario {
        name: "sized delete, too large",
        technique: "an object of 24 bytes is deleted as one of 56 (size-class confusion)",
        goal: "two live objects overlap",
        run: too_large,
        effect: Chance::Never,
        ends: &[slot(Kind::WrongSize, 32)],
    },
    Scenario {
        name: "sized delete of a derived object",
        technique: "an object of 200 bytes is deleted by its base, as one of 24; what is left of it is still used",
        goal: "an allocation of 24 bytes lies in what was an object of 200",
        run: derived,
        effect: Chance::Never,
        ends: &[slot(Kind::WrongSize, 224)],
    },
    Scenario {
        name: "rebuilt vector",
        technique: "Rust: a vector is made from raw parts with a larger capacity than was allocated, and dropped",
        goal: "two live objects overlap",
        run: rebuilt,
        effect: Chance::Never,
        ends: &[slot(Kind::WrongSize, 32)],
    },
];

fn rebuilt(f: &Field) {
    let (three, seven) = (Layout::new::<[u64; 3]>(), Layout::new::<[u64; 7]>());
    let [a, next] = [f.take_layout(three), f.take_layout(three)];
    f.free_layout(a, seven);
    f.goal(Field::overlap((f.take_layout(seven), 56), (next, 24)));
}

fn too_large(f: &Field) {
    let [a, next] = f.take_many(24);
    f.free_sized(a, 56);
    f.goal(Field::overlap((f.take(56), 56), (next, 24)));
}

fn derived(f: &Field) {
    let [a, _] = f.take_many(200);
    f.free_sized(a, 24);
    f.goal(Field::overlap((f.take(24), 24), (a, 200)));
}
