//! Slabs that were emptied and given back, with a look at what happens on the way.

use crate::child::leave;
use crate::memory;
use crate::scene::{Hand, Scene};
use crate::setting::{self, Role, Setting, Target};
use crate::verdict::Exit;

/// Guest heaps keep what they have: nobody looks after them when others free their objects.
pub fn applies(setting: &Setting) -> bool {
    setting.target != Target::Large && setting.role != Role::Guest
}

/// Takes the objects of many slabs and frees all of them, and then much else, so that the heap
/// gives the slabs back. `on_free` is called with eight objects, each just after it was freed, in
/// the slabs that become empty after the larger half.
///
/// What others free is taken in when a magazine is filled, and slabs become empty when the owner
/// frees, a few at a time: so the owner frees the first part, and the last.
pub fn empty_slabs(scene: &Scene, on_free: impl Fn(usize)) -> Vec<usize> {
    let layout = scene.target.snug();
    let n = match scene.target {
        Target::Smallest => 200 * 1792,
        Target::Middle => 200 * 56,
        Target::Largest => 100,
        _ => 1200,
    };
    let all = scene.take_many(layout, n);
    let (first, rest) = all.split_at(n * 7 / 10);
    let (middle, last) = rest.split_at(n / 10);
    free_at_home(scene, first);
    for (i, &at) in middle.iter().enumerate() {
        scene.here.free(at, layout);
        if i % (n / 80) == 0 {
            on_free(at);
        }
    }
    scene.home(|hand| hand.take_many(setting::layout(600, 8), 64));
    free_at_home(scene, last);
    scene.home(pass_time);
    all
}

/// What has a slab to itself is kept until the heap has freed 48 MiB more; empty slabs of several
/// until it has freed twice its peak, some at a time. Here: 300 MB.
pub fn pass_time(hand: Hand) {
    let other = setting::layout(700_000, 8);
    for _ in 0..450 {
        let at = hand.take(other);
        hand.free(at, other);
    }
}

fn free_at_home(scene: &Scene, objects: &[usize]) {
    let (objects, layout) = (objects.to_vec(), scene.target.snug());
    scene.home(move |hand| objects.iter().for_each(|&at| hand.free(at, layout)));
}

/// An object in a slab that was given back; `None` if such slabs stay accessible.
pub fn object(scene: &Scene) -> Option<usize> {
    let all = empty_slabs(scene, |_| {});
    if casemate::stats().small.purged == 0 {
        leave(Exit::SetUp);
    }
    // One object a page is enough to ask for.
    let mut page = 0;
    let is_next = |&at: &usize| std::mem::replace(&mut page, at >> 12) != at >> 12;
    let mut sorted = all;
    sorted.sort_unstable();
    memory::first_unreadable(sorted.into_iter().filter(is_next))
}
