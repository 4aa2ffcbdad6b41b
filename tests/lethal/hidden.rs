//! Protections that do not kill by themselves: randomness, wiping, delay, separation. Each case
//! looks whether one holds; without the protection it fails, and each says how surely.

use crate::child::leave;
use crate::matrix::{self, Case};
use crate::scene::Scene;
use crate::setting::{Setting, Target, layout};
use crate::verdict::{End, Exit};
use crate::{memory, plan};
use casemate::inside::page_size;

pub const CASES: &[Case] = &[
    Case { name: "slots in random order", run: slot_order, end: smallest },
    Case { name: "slabs in random order", run: slab_order, end: middle },
    Case { name: "regions start at random", run: region_offsets, end: middle },
    Case { name: "large guards of random size", run: large_guards, end: large },
    Case { name: "freed memory is zero", run: wiped, end: slots },
    Case { name: "what realloc leaves is zero", run: wiped_after_move, end: slots },
    Case { name: "freed slots wait", run: delayed, end: slots },
];

/// For the strict policy, which `controls` runs.
pub const STRICT: &[Case] = &[
    Case { name: "requests of one class lie apart", run: partitions, end: smallest },
    Case { name: "some objects end at a guard", run: sampled, end: sampled_end },
];

#[test]
fn what_does_not_kill_holds() {
    matrix::run(CASES);
}

fn smallest(setting: &Setting) -> Option<End> {
    (setting.target == Target::Smallest).then_some(End::Holds)
}

fn middle(setting: &Setting) -> Option<End> {
    (setting.target == Target::Middle).then_some(End::Holds)
}

fn large(setting: &Setting) -> Option<End> {
    (setting.target == Target::Large).then_some(End::Holds)
}

fn slots(setting: &Setting) -> Option<End> {
    (setting.target != Target::Large).then_some(End::Holds)
}

fn sampled_end(setting: &Setting) -> Option<End> {
    (setting.target == Target::Smallest).then_some(End::Fault)
}

fn hold_if(holds: bool) {
    if holds {
        leave(Exit::Holds);
    }
}

/// Without: each object but a group's first lies right above the one before. With: one in 63
/// does by chance, so that a quarter of 400 is beyond any doubt.
fn slot_order(scene: &Scene) {
    let all = scene.take_many(scene.target.snug(), 400);
    let slot = scene.target.slot();
    hold_if(all.windows(2).filter(|pair| pair[1] == pair[0] + slot).count() < 100);
}

/// Without: slabs ascend. With: those of a step come in any order. 600 objects fill 50 slabs in
/// steps of at least two, most of four or more: all ascend by chance less than once in 2^40 times.
fn slab_order(scene: &Scene) {
    let all = scene.take_many(layout(20_000, 8), 600);
    let mut slabs: Vec<u32> = all.into_iter().map(|at| plan::slab_of(at).1.0).collect();
    slabs.dedup();
    hold_if(slabs.windows(2).any(|pair| pair[0] > pair[1]));
}

/// Without: every region's first slab lies one page in, but for those of whole pages, which are
/// aligned. With: all of them do by chance once in more than 2^500 processes.
fn region_offsets(_: &Scene) {
    let plan = plan::plan();
    let page = page_size();
    let regular = |i: usize| plan.region[i].base == plan.slots + (i << plan.region_shift) + page;
    let mut slots = (0..plan.regions).filter(|&i| plan.region[i].has_canary());
    hold_if(!slots.all(regular));
}

/// Without: a page on both sides. With: 1 to 16 pages, all of 20 the least once in 2^160 times.
fn large_guards(scene: &Scene) {
    scene.take_many(scene.target.snug(), 20);
    let stats = casemate::stats();
    hold_if(stats.large_guards > stats.large_live * 2 * page_size() as u64);
}

/// The whole slot, and its canary, is gone when free returns. A neighbour keeps the slab.
fn wiped(scene: &Scene) {
    let layout = scene.target.loose();
    let at = scene.take_many(layout, 2)[0];
    memory::fill(at, layout.size(), 0x5a);
    scene.here.free(at, layout);
    let slot = at..at + scene.target.slot();
    hold_if(slot.into_iter().all(|at| memory::read(at) == 0));
}

fn wiped_after_move(scene: &Scene) {
    let layout = scene.target.loose();
    let at = scene.take_many(layout, 2)[0];
    memory::fill(at, layout.size(), 0x5a);
    let moved = scene.here.resize(at, layout, layout.size() * 8);
    let slot = at..at + scene.target.slot();
    hold_if(moved != at && slot.into_iter().all(|at| memory::read(at) == 0));
}

/// The stated minimum: 256 KiB of frees of the class, at least 8 and at most 4096 objects.
/// Without: the slot comes back when its group has been handed out once, after at most 126.
fn delayed(scene: &Scene) {
    let layout = scene.target.snug();
    let least = ((256 << 10) / scene.target.slot()).clamp(8, 4096);
    let at = scene.take(layout);
    scene.here.free(at, layout);
    let early = scene.home(move |hand| {
        (0..least).any(|_| {
            let next = hand.take(layout);
            hand.free(next, layout);
            next == at
        })
    });
    hold_if(!early);
}

/// Without: one region serves the class. With: one of four for each of 8 sizes at 4 alignments;
/// all the same once in 2^62 processes.
fn partitions(scene: &Scene) {
    let bits = casemate::protections().region_bits;
    let requests = (0..4).flat_map(|log| (1..=8).map(move |size| layout(size, 1 << log)));
    let objects = requests.map(|request| scene.take(request));
    // Some lie at guards of their own.
    let slots = objects.filter(|&at| plan::is_in_regions(at));
    let regions: Vec<usize> = slots.map(|at| (at - plan::plan().slots) >> bits).collect();
    hold_if(regions.iter().any(|&region| region != regions[0]));
}

/// Without: all lie in regions. With: one in some thousand has pages of its own, and ends where
/// they end; that none of 100,000 has is less likely than 1e-40.
fn sampled(scene: &Scene) {
    let layout = layout(64, 16);
    for _ in 0..100_000 {
        let at = scene.here.take(layout);
        if !plan::is_in_regions(at) {
            crate::fault::expect(at + layout.size());
            memory::write(at + layout.size(), 1);
        }
        scene.here.free(at, layout);
    }
}
