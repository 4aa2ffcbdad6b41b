//! How many frees lie between a slot's own free and its next owner, against the stated minimum.

use crate::heap::{allocate, free, in_own_heap};
use casemate::heap::quarantine;
use casemate::size_class::classify;

/// Frees of the class from one object's free until its address is handed out again.
fn distances(size: usize, trials: usize) -> Vec<u32> {
    in_own_heap(move || {
        (0..trials)
            .map(|_| {
                let object = allocate(size);
                let watched = object.addr();
                free(object, size);
                for frees in 0..200_000 {
                    let next = allocate(size);
                    free(next, size);
                    if next.addr() == watched {
                        return frees;
                    }
                }
                u32::MAX
            })
            .collect()
    })
}

#[test]
fn no_slot_comes_back_before_the_minimum() {
    println!("{:>8} {:>8} {:>8} {:>8} {:>8}", "slot", "minimum", "least", "median", "most");
    for size in [8, 24, 40, 104, 248, 500, 1000, 4000, 16_000, 60_000, 250_000] {
        let slot = classify(size, 8, 12).unwrap().slot(12);
        let mut seen = distances(size, 40);
        seen.sort_unstable();
        let (least, median, most) = (seen[0], seen[20], seen[39]);
        println!("{slot:>8} {:>8} {least:>8} {median:>8} {most:>8}", quarantine(slot));
        assert!(least >= quarantine(slot), "slot {slot}: back after {least} frees");
        assert!(median < u32::MAX, "slot {slot}: reused at all");
    }
}
