//! That the bodies can fail: each of six protections switched off, each of ten kinds of violation
//! unheard, and each other fault makes a body fail, for the reason that it should.

use crate::bodies::fault::{Fault, Faulty};
use crate::bodies::harness::subject::Own;
use crate::bodies::{misuse, pointers, realloc, sequences};
use crate::random::bytes;
use casemate::policy::{Set, Without};
use casemate::{Full, Kind, Light, Policy};

/// What a body finds wrong, among this many inputs: the first finding with these words.
fn finds(
    inputs: u64,
    most: usize,
    words: &str,
    mut body: impl FnMut(&[u8]) -> Result<(), String>,
) -> Option<String> {
    (1..=inputs).find_map(|seed| body(&bytes(seed, most)).err().filter(|what| what.contains(words)))
}

fn misuse_finds<P: Policy>(fault: Fault, words: &str) {
    let mut seen = misuse::Summary::default();
    let finding = finds(4000, 600, words, |bytes| misuse::run::<P>(bytes, fault, &mut seen));
    assert!(finding.is_some(), "{} with {fault:?}: nothing with {words:?}, {seen:?}", P::NAME);
}

#[test]
fn misuse_fails_where_violations_are_not_found() {
    let unheard = [
        (Kind::DoubleFree, "a second free"),
        (Kind::DoubleFree, "both ends"),
        (Kind::WrongSize, "freed as"),
        (Kind::WrongAlignment, "freed as"),
        (Kind::InteriorPointer, "a free of"),
        (Kind::MisalignedPointer, "a free of"),
        (Kind::ForeignPointer, "never handed out"),
        (Kind::Overflow, "is damaged and was freed"),
        (Kind::Underflow, "is damaged and was freed"),
        (Kind::DamagedNeighbour, "is whole with"),
        (Kind::WriteAfterFree, "is whole with"),
    ];
    for (kind, words) in unheard {
        misuse_finds::<Full>(Fault::Deaf(kind), words);
    }
}

#[test]
fn misuse_fails_without_a_protection() {
    misuse_finds::<Without<{ Set::CANARY.bits() }>>(Fault::None, "is damaged and was freed");
    misuse_finds::<Without<{ Set::NEIGHBOUR.bits() }>>(Fault::None, "is damaged and was freed");
    misuse_finds::<Without<{ Set::EXACT.bits() }>>(Fault::None, "freed as");
    misuse_finds::<Without<{ Set::GUARDS.bits() }>>(Fault::None, "went through the guard");
    misuse_finds::<Without<{ Set::PURGE_CLOSE.bits() }>>(Fault::None, "went through the guard");
}

/// Objects of one class, most of them freed; a stale write to one of these; and more of them,
/// until its slot comes up again.
fn stale_write_and_reuse() -> Vec<u8> {
    // 20 objects of 4095 bytes.
    let allocate = [0x60, 0, 4, 0x40, 12, 0, 0];
    let free = |n| [20, n];
    // The dead object's middle, 8 bytes.
    let write = [30, 0, 0, 5, 0, 7, 0, 0, 4, 0x55];
    let mut bytes = vec![0, 5];
    bytes.extend(allocate.repeat(4));
    bytes.extend(free(60));
    bytes.extend(write);
    for _ in 0..70 {
        bytes.extend(allocate);
        bytes.extend(free(20));
    }
    bytes
}

#[test]
fn misuse_fails_without_the_reuse_check() {
    let bytes = stale_write_and_reuse();
    let mut seen = misuse::Summary::default();
    let outcome = misuse::run::<Full>(&bytes, Fault::None, &mut seen);
    assert!(outcome.is_ok() && seen.later == 1, "{outcome:?} {seen:?}");
    type Control = Without<{ Set::REUSE_CHECK.bits() }>;
    let finding = misuse::run::<Control>(&bytes, Fault::None, &mut seen).unwrap_err();
    assert!(finding.contains("was handed out"), "{finding}");
}

#[test]
fn misuse_fails_on_a_heap_that_is_wrong() {
    misuse_finds::<Full>(Fault::Repeats, "overlaps");
    misuse_finds::<Full>(Fault::Loses, "lost");
    misuse_finds::<Full>(Fault::Miscounts, "the model");
}

#[test]
fn pointers_fails_where_it_should() {
    let faults = [
        (Fault::Deaf(Kind::DoubleFree), "which is nothing"),
        (Fault::Deaf(Kind::ForeignPointer), "which is nothing"),
        (Fault::Deaf(Kind::InteriorPointer), "which is nothing"),
        (Fault::Deaf(Kind::MisalignedPointer), "which is nothing"),
        (Fault::Repeats, "overlaps"),
        (Fault::Loses, "lost"),
        (Fault::Miscounts, "the model"),
    ];
    for (fault, words) in faults {
        let mut seen = pointers::Summary::default();
        let body = |bytes: &[u8]| pointers::run::<Full>(bytes, fault, &mut seen);
        assert!(finds(400, 1600, words, body).is_some(), "{fault:?}: nothing with {words:?}");
    }
}

#[test]
fn realloc_fails_where_it_should() {
    let faults = [
        (Fault::Deaf(Kind::DoubleFree), "a second free"),
        (Fault::Deaf(Kind::WrongSize), "claimed as"),
        (Fault::Deaf(Kind::WrongAlignment), "claimed as"),
        (Fault::Repeats, "overlaps"),
        (Fault::Loses, "lost"),
        (Fault::Miscounts, "the model"),
    ];
    for (fault, words) in faults {
        let mut seen = realloc::Summary::default();
        let body = |bytes: &[u8]| realloc::run::<Full>(bytes, fault, &mut seen);
        assert!(finds(400, 1200, words, body).is_some(), "{fault:?}: nothing with {words:?}");
    }
}

fn sequences_finds<P: Policy>(fault: Fault, words: &str) {
    let body = |bytes: &[u8]| {
        // A heap for each: after a finding it is not to be relied on.
        let mut state = sequences::State::default();
        // Small objects and one thread: what two of them do to one object could fault.
        let mut bytes = bytes.to_vec();
        bytes.iter_mut().take(2).for_each(|byte| *byte = 0);
        let outcome = state.run(&bytes, || Faulty::new(Own::<P>::new(), fault));
        state.end();
        outcome
    };
    assert!(finds(100, 600, words, body).is_some(), "{fault:?}: nothing with {words:?}");
}

#[test]
fn sequences_fails_where_it_should() {
    // Without wiping: both would be noticed by the contents first.
    sequences_finds::<Light>(Fault::Repeats, "overlaps");
    sequences_finds::<Light>(Fault::Shifts, "not aligned");
    sequences_finds::<Full>(Fault::Loses, "lost");
    sequences_finds::<Full>(Fault::Litters, "not zero");
    sequences_finds::<Full>(Fault::Miscounts, "the model");
}
