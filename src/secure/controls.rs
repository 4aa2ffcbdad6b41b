//! Layer: faces. For every protection of secure memory: the cases that show it, and that they
//! fail without it.
//!
//! The cases are those of `tests/secure`, which run there against the library as programs get it.
//! Here each runs twice in a process of its own: with everything, and with one protection less.
//! One without a case here fails the test, so nobody can add a protection that no test would miss.
#![expect(unsafe_code, reason = "the cases misuse raw buffers, in children")]

#[path = "../../tests/secure/ending.rs"]
mod ending;
#[path = "../../tests/secure/looks.rs"]
mod looks;
#[path = "../../tests/secure/misuse_pages.rs"]
mod misuse_pages;
#[path = "../../tests/secure/misuse_slots.rs"]
mod misuse_slots;
#[path = "../../tests/secure/raw.rs"]
#[allow(dead_code, reason = "not all of it is used in unit tests")]
pub(crate) mod raw;

use super::protection::{Protection, off};
use ending::{Case, End};
use std::println;
use std::string::String;
use std::vec::Vec;

/// Names the protection that a child lacks.
const WITHOUT: &str = "CASEMATE_SECURE_WITHOUT";
const TEST: &str = "secure::controls::every_protection_is_missed_when_it_is_off";

/// What only the crate itself can look at.
const INSIDE: &[Case] = &[(
    "write to the start-up page",
    || {
        raw::free(raw::take(32, &raw::POOL));
        raw::write(super::root::page_end(), 0);
    },
    End::Fault,
)];

fn cases() -> Vec<Case> {
    [misuse_slots::SLOT, misuse_pages::PAGES, looks::LOOKS, INSIDE].concat()
}

/// The cases that a protection, and it alone, makes end as they must.
fn witnesses(one: Protection) -> &'static [&'static str] {
    match one {
        Protection::Guards => &[
            "pages: one byte past the end",
            "pages: reading past the end",
            "one byte past the chunk",
        ],
        Protection::RandomPlace => &["places far apart"],
        Protection::RandomSlot => &["slots in random order"],
        Protection::FrontCanary => &[
            "one byte before the start",
            "before the start of an aligned one",
            "pages: one byte before the start",
            "pages: far before the start",
        ],
        Protection::BackCanary => &[
            "one byte past the end",
            "a zero past the end",
            "one byte past an odd end",
            "one byte past the end of nothing",
            "past the end, then resized",
            "pages: past the end of what ends before its page",
            "pages: aligned to a megabyte, past the end",
        ],
        Protection::Wipe => &["freed memory is zero"],
        Protection::ReuseCheck => &["a late write"],
        Protection::BlockCheck => &["a late write to a block without a class"],
        Protection::PurgeCheck => &["a late write, found when memory is given back"],
        Protection::Quarantine => &["freed slots wait"],
        Protection::RangeWait => &["pages: twice"],
        Protection::TakeAway => &["pages: after the free"],
        Protection::Access => &["reading what is closed", "writing what is sealed"],
        Protection::NoFork => &["a child cannot read"],
        Protection::Occupy => &["a child's addresses are taken"],
        Protection::ForkNotice => &["a fork without handlers is noticed"],
        Protection::NoDump => &["dumps leave it out"],
        Protection::Lock => &["it is locked"],
        Protection::Seal => &["write to the start-up page"],
    }
}

/// How a case ends without the protection: not at all, but a second free of a range that nobody
/// remembers is that of a foreign pointer.
fn without(one: Protection) -> End {
    match one {
        Protection::RangeWait => End::Line("the pointer is no secure buffer"),
        _ => End::Survives,
    }
}

/// In the test called `name`: runs it again in a process of its own. In that process: runs `act`.
pub(crate) fn alone(name: &str, act: fn()) {
    each_alone(name, &[("alone", act)]);
}

/// The same for several, each in a process of its own.
pub(crate) fn each_alone(name: &str, acts: &[(&'static str, fn())]) {
    let cases: Vec<Case> = acts.iter().map(|&(case, act)| (case, act, End::Survives)).collect();
    ending::run(name, &cases);
}

#[test]
fn every_protection_is_missed_when_it_is_off() {
    let cases = cases();
    if ending::is_child() {
        let lacks = std::env::var(WITHOUT).ok();
        for &(name, one) in Protection::EACH {
            if lacks.as_deref() == Some(name) {
                off(one);
            }
        }
        ending::run(TEST, &cases);
    }
    let mut failures: Vec<String> = Vec::new();
    let mut children = 0;
    for &(name, one) in Protection::EACH {
        assert!(!witnesses(one).is_empty(), "{name}: no case shows it");
        for &case in witnesses(one) {
            let found = cases.iter().find(|(known, ..)| *known == case);
            let &(_, _, end) = found.expect(case);
            failures.extend(ending::fails(TEST, case, end, &[]));
            failures.extend(ending::fails(TEST, case, without(one), &[(WITHOUT, name)]));
            children += 2;
        }
    }
    println!("{} protections, {children} children", Protection::EACH.len());
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

#[test]
fn names_differ() {
    let mut names: Vec<_> = cases().into_iter().map(|(name, ..)| name).collect();
    let all = names.len();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), all);
}
