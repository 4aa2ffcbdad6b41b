//! Which slot of a fresh group is handed out first, second, last: each is equally likely.

use crate::heap::{allocate, in_own_heap};
use crate::statistics::{chi_square, limit};
use casemate::geometry::Shape;
use casemate::size_class::classify;

const GROUPS: usize = 4000;

/// For each fresh group in turn, the slots in the order in which they were handed out.
fn orders(size: usize) -> (usize, Vec<Vec<usize>>) {
    let shape = Shape::of(classify(size, 8, 12).unwrap(), 12);
    let orders = in_own_heap(move || {
        (0..GROUPS)
            .map(|n| {
                let slots = shape.slots_of(n % shape.groups as usize);
                let order: Vec<_> = (0..slots).map(|_| allocate(size).addr()).collect();
                let first = *order.iter().min().unwrap();
                let order: Vec<_> =
                    order.iter().map(|at| (at - first) / shape.slot as usize).collect();
                assert!(order.iter().all(|&slot| slot < slots), "one group at a time: {order:?}");
                order
            })
            .collect::<Vec<_>>()
    });
    (shape.group_slots as usize, orders)
}

fn counts(slots: usize, orders: &[Vec<usize>], place: usize) -> Vec<u32> {
    let mut counts = vec![0; slots];
    for order in orders.iter().filter(|order| order.len() == slots) {
        counts[order[place]] += 1;
    }
    counts
}

#[test]
fn every_slot_is_equally_likely_at_every_place() {
    for size in [72, 88] {
        let (slots, orders) = orders(size);
        for place in [0, 1, slots / 2, slots - 1] {
            let chi = chi_square(&counts(slots, &orders, place));
            assert!(chi < limit(slots - 1), "size {size}, place {place}: {chi}");
        }
    }
}

/// The next slot says nothing of the one after it: differences are uniform too.
#[test]
fn neighbours_in_time_are_not_neighbours_in_space() {
    let (slots, orders) = orders(56);
    let mut counts = vec![0u32; slots - 1];
    for order in orders.iter().filter(|order| order.len() == slots) {
        for pair in order.chunks_exact(2) {
            counts[(pair[1] + slots - pair[0]) % slots - 1] += 1;
        }
    }
    let chi = chi_square(&counts);
    assert!(chi < limit(slots - 2), "{chi}");
}

/// The control: a source that prefers some slots by a tenth fails.
#[test]
fn a_slight_preference_would_be_seen() {
    let mut counts = vec![1000u32; 63];
    counts[..20].fill(1150);
    assert!(chi_square(&counts) > limit(62));
}
