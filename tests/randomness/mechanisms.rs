//! Every number that a heap draws at its start, or for an object, over many starts: against the
//! bits that it should have.

use crate::estimate::{Bits, Estimate};
use crate::facts::{Fact, Facts, WAITS, classes};
use crate::heap::alone;
use crate::statistics::{chi_square, limit, probability};
use casemate::Full;
use casemate::geometry::Shape;
use casemate::heap::quarantine;
use casemate::policy::{Policy, Set, Without};
use casemate::size_class::classify;
use std::sync::OnceLock;

const STARTS: usize = 400;

/// What so many heaps drew, each in a thread of its own.
fn heaps<P: Policy>(starts: usize) -> Vec<Facts> {
    let _alone = alone();
    (0..starts)
        .map(|start| WAITS[start % WAITS.len()])
        .map(|wait| {
            std::thread::scope(|scope| scope.spawn(|| Facts::gather::<P>(wait)).join().unwrap())
        })
        .collect()
}

/// The full policy's, gathered once for all tests.
fn full() -> &'static [Facts] {
    static FULL: OnceLock<Vec<Facts>> = OnceLock::new();
    FULL.get_or_init(|| heaps::<Full>(STARTS))
}

fn all(heaps: &[Facts], fact: Fact) -> Vec<u64> {
    heaps.iter().flat_map(|facts| facts.of(fact)).copied().collect()
}

/// Chi-square of values from `least` on, in equal bins of `width`.
fn chi(values: impl Iterator<Item = u64>, least: u64, bins: usize, width: u64) -> f64 {
    let mut counts = vec![0; bins];
    for value in values {
        counts[((value - least) / width) as usize] += 1;
    }
    chi_square(&counts)
}

#[test]
fn every_mechanism_has_its_bits() {
    let heaps = full();
    for fact in [Fact::SlotSpan, Fact::MetaSpan, Fact::Window, Fact::Offset, Fact::Place] {
        let seen = Estimate::of(&all(heaps, fact));
        println!("{fact:?}: {:.2} bits, {seen:?}", seen.bits());
        // A quarter of the values, or another form, would be seen long before.
        assert!(seen.bits() > fact.design().unwrap() - 1.0 && seen.uneven == 0, "{fact:?}");
    }
    let guards = all(heaps, Fact::Guard);
    for side in 0..2 {
        let chi = chi(guards.iter().skip(side).step_by(2).copied(), 1, 16, 1);
        assert!(chi < limit(15), "guard {side}: {chi}");
    }
    let first = all(heaps, Fact::MetaGuard);
    let least = *first.iter().min().unwrap();
    assert!(first.iter().all(|pages| pages - least < 256));
    // The least of them is the first of 256 to within a few.
    let chi = chi(first.into_iter(), least, 8, 32);
    assert!(chi < limit(7) + 40.0, "first guard of the metadata: {chi}");
    for (number, class) in classes().enumerate() {
        let shape = Shape::of(class, 12);
        let slots = shape.slots_of(0);
        if slots > 1 {
            let drawn = heaps.iter().map(|facts| facts.of(Fact::Slot)[number]);
            let chi = self::chi(drawn, 0, slots, 1);
            assert!(
                chi < limit(slots - 1),
                "slot of {}: p = {}",
                shape.slot,
                probability(chi, slots - 1)
            );
        }
    }
}

#[test]
fn every_bit_of_canaries_and_patterns_is_random() {
    let heaps = full();
    for (fact, constant) in [(Fact::Canary, 0xff01u64), (Fact::Slack, 0x0101_0101_0101_0101)] {
        let seen = Bits::of(&all(heaps, fact));
        assert_eq!(seen, Bits { varying: !constant, uneven: 0, linked: 0 }, "{fact:?}");
        assert_eq!(Some(f64::from(seen.varying.count_ones())), fact.design());
    }
}

#[test]
fn how_long_a_slot_waits_cannot_be_foretold() {
    let heaps = full();
    for (number, size) in WAITS.into_iter().enumerate() {
        let own = heaps.iter().skip(number).step_by(WAITS.len());
        let waits: Vec<_> = own.flat_map(|facts| facts.of(Fact::Wait)).copied().collect();
        let slot = classify(size, 8, 12).unwrap().slot(12);
        let least = u64::from(quarantine(slot));
        let seen = Estimate::of(&waits);
        println!("{slot}: {least} frees at least: {:.2} bits, {seen:?}", seen.bits());
        assert!(waits.iter().all(|&frees| frees >= least), "slot {slot}: {waits:?}");
        // As many outcomes as a draw between the least and twice that has, or nearly.
        assert!(seen.bits() > (least as f64).log2() - 1.0, "slot {slot}: {seen:?}");
    }
}

/// The controls: without the protection the same numbers have no bits.
#[test]
fn without_random_offsets_it_shows() {
    let heaps = heaps::<Without<{ Set::RANDOM_OFFSET.bits() }>>(8);
    assert_eq!(Estimate::of(&all(&heaps, Fact::Offset)).bits(), 0.0);
    assert!(all(&heaps, Fact::Guard).iter().all(|&pages| pages == 1));
}

#[test]
fn without_random_choice_of_slots_and_slabs_it_shows() {
    let heaps = heaps::<Without<{ Set::RANDOM_SLOT.and(Set::RANDOM_SLAB).bits() }>>(8);
    for fact in [Fact::Slot, Fact::Slab] {
        assert!(heaps.windows(2).all(|pair| pair[0].of(fact) == pair[1].of(fact)), "{fact:?}");
    }
}

#[test]
fn what_a_child_tells_is_what_it_drew() {
    let [facts] = &heaps::<Full>(1)[..] else { panic!() };
    assert_eq!(Facts::parse(&facts.text()).as_ref(), Some(facts));
}
