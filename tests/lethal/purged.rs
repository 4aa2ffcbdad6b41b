//! Slabs that were emptied and given back, with a look at what happens on the way.

use crate::child::leave;
use crate::memory;
use crate::scene::Scene;
use crate::setting::{Role, Setting, Target, layout};
use crate::verdict::Exit;

/// Guest heaps keep what they have: nobody looks after them when others free their objects.
pub fn applies(setting: &Setting) -> bool {
    setting.target != Target::Large && setting.role != Role::Guest
}

/// Frees the objects of many slabs until the heap gives some back; the freed objects. `on_free` is
/// called with each object of the first half just after it was freed, and with its share of that
/// half in thousandths.
pub fn empty_slabs(scene: &Scene, on_free: impl Fn(usize, usize)) -> Vec<usize> {
    let half = match scene.target {
        Target::Smallest => 60 * 1792,
        Target::Middle => 60 * 56,
        _ => 40,
    };
    let layout = scene.target.snug();
    let mut all = scene.take_many(layout, 2 * half);
    let later = all.split_off(half);
    for (i, &at) in all.iter().enumerate() {
        scene.here.free(at, layout);
        on_free(at, i * 1000 / half);
    }
    if scene.is_apart() {
        // Objects that others freed are taken in when a magazine is filled, and slabs given back
        // when the owner frees.
        scene.home(take_in);
    }
    scene.home(move |hand| later.iter().for_each(|&at| hand.free(at, layout)));
    all
}

fn take_in(hand: crate::scene::Hand) {
    hand.take_many(layout(600, 8), 64);
}

/// An object in a slab that was given back; `None` if such slabs stay accessible.
pub fn object(scene: &Scene) -> Option<usize> {
    let all = empty_slabs(scene, |_, _| {});
    if casemate::stats().small.purged == 0 {
        leave(Exit::SetUp);
    }
    all.into_iter().find(|&at| !memory::is_readable(at))
}
