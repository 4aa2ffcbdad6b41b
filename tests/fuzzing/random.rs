//! Random inputs, the same ones every time; the heap's own randomness differs each time.

use crate::bodies::fault::Fault;
use crate::bodies::harness::subject::Own;
use crate::bodies::{misuse, pointers, realloc, sequences};
use casemate::{Full, Strict};

/// Bytes from a number: of a length that has all orders of magnitude up to `most`.
pub fn bytes(seed: u64, most: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state >> 32
    };
    let len = most >> (next() % 5);
    (0..len).map(|_| next() as u8).collect()
}

/// Runs a body on this many inputs.
pub fn each(inputs: u64, most: usize, mut body: impl FnMut(&[u8]) -> Result<(), String>) {
    for seed in 1..=inputs {
        let bytes = bytes(seed, most);
        if let Err(what) = body(&bytes) {
            panic!("input {seed}: {what}\n{bytes:?}");
        }
    }
}

#[test]
fn sequences_hold() {
    let mut state = sequences::State::default();
    each(400, 600, |bytes| state.run(bytes, Own::<Full>::new));
    state.end();
    let seen = state.summary;
    println!("{seen:?}");
    // The threads are part of it.
    assert!(seen.shared_rounds > seen.sequences && seen.foreign * 4 > seen.actions);
    assert!(seen.ended > 20);
}

#[test]
fn pointers_hold() {
    let mut seen = pointers::Summary::default();
    each(800, 1600, |bytes| pointers::run::<Full>(bytes, Fault::None, &mut seen));
    println!("{seen:?}");
    assert!(seen.hits > seen.inputs && seen.misses > 5 * seen.inputs);
    assert!(seen.answers.iter().all(|&n| n > 100) && seen.interior > 100);
}

#[test]
fn resizes_hold() {
    let mut seen = realloc::Summary::default();
    each(500, 1200, |bytes| realloc::run::<Full>(bytes, Fault::None, &mut seen));
    println!("{seen:?}");
    assert!(seen.resized > 5 * seen.inputs && seen.stayed > seen.inputs);
    assert!(seen.foreign > seen.inputs && seen.crossed > 50 && seen.refused > seen.inputs);
}

fn look(seen: &misuse::Summary) {
    println!("{seen:?}");
    assert!(seen.bugs > seen.inputs / 2 && seen.writes > seen.inputs / 4);
    let ends = [seen.at_once, seen.later, seen.last, seen.faults, seen.unharmed];
    assert!(ends.iter().all(|&n| n > seen.inputs / 200), "{ends:?}");
}

#[test]
fn misuse_is_met() {
    let mut seen = misuse::Summary::default();
    each(2000, 600, |bytes| misuse::run::<Full>(bytes, Fault::None, &mut seen));
    look(&seen);
}

#[test]
fn misuse_is_met_under_the_strict_policy() {
    let mut seen = misuse::Summary::default();
    each(800, 600, |bytes| misuse::run::<Strict>(bytes, Fault::None, &mut seen));
    look(&seen);
}
