//! Layer: faces, tests only. Start-up: what it leaves behind, what it tells, and what a child of
//! the middle of it finds.

use super::*;
use crate::os::linux::failing::{Call, Calls, Plan, arm, disarm};
use crate::secure::controls::raw::{POOL, free, query, take};
use crate::secure::controls::{alone, each_alone, raw};
use std::fs;
use std::string::String;

/// Whether the start-up page may be written, by the kernel's account.
fn is_page_writable() -> bool {
    let maps = fs::read_to_string("/proc/self/maps").expect("this process's mappings");
    let at = page_end();
    let of = |line: &str| -> Option<(usize, usize, String)> {
        let (range, rest) = line.split_once(' ')?;
        let (from, to) = range.split_once('-')?;
        let number = |text| usize::from_str_radix(text, 16).ok();
        Some((number(from)?, number(to)?, rest.into()))
    };
    let found = maps.lines().filter_map(of).find(|(from, to, _)| (*from..*to).contains(&at));
    found.expect("the page is mapped").2.starts_with("rw")
}

/// Starts with one call failing from its `first` use on.
fn start_without(call: Call, first: u64) -> crate::secure::Protections {
    arm(&Plan { calls: Calls::only(call), first, more: u64::MAX, ..Plan::NOTHING });
    let at = take(32, &POOL);
    disarm();
    let seen = query(at).expect("a buffer");
    free(at);
    seen
}

fn whole() {
    let seen = start_without(Call::Random, 0);
    assert_eq!(seen.read_only_metadata, !is_page_writable());
    assert!(seen.read_only_metadata || Linux::page_size() > align_of::<Root>());
    assert!(seen.sealed_metadata || !Linux::probe().seal);
}

fn unclosed() {
    let seen = start_without(Call::ReadOnly, 1);
    assert!(is_page_writable() && !seen.read_only_metadata && !seen.sealed_metadata);
}

fn unsealed() {
    // The first of them is the probe's, the second that of the metadata.
    let seen = start_without(Call::Seal, 3);
    assert_eq!(seen.read_only_metadata, !is_page_writable());
    assert!(!seen.sealed_metadata);
}

#[test]
fn what_is_told_was_done() {
    const NAME: &str = "secure::root::tests::what_is_told_was_done";
    each_alone(NAME, &[("whole", whole), ("unclosed", unclosed), ("unsealed", unsealed)]);
}

/// Pieces of the key, as they would lie in a variable.
fn pieces() -> [[u8; 8]; 10] {
    let key = &fixed().expect("started").key;
    // SAFETY: the key begins with ten words.
    unsafe { core::ptr::from_ref(key).cast::<[[u8; 8]; 10]>().read() }
}

fn no_key_is_left() {
    let here = 0u8;
    let below = (&raw const here).expose_provenance();
    assert!(fixed().is_ok());
    let left = on_the_stack(below);
    assert_eq!(left, 0, "pieces of the key on the stack");
    // The control: a copy that a call has left.
    leave_a_key();
    assert!(on_the_stack(below) > 0, "the control is found");
}

/// How often a piece of the key lies in the 48 KiB of stack below an address.
#[inline(never)]
fn on_the_stack(below: usize) -> usize {
    let key = core::ptr::from_ref(&fixed().expect("started").key).cast::<[u8; 8]>();
    let mut found = 0;
    for offset in (0..48 << 10).step_by(8) {
        let at = (below & !7) - (48 << 10) + offset;
        // SAFETY: of this thread's stack, which is larger; dead frames and this one. The key is
        // ten words.
        unsafe {
            let word = pointer::<u64>(at).read_volatile();
            for piece in 0..10 {
                found += usize::from(key.add(piece).cast::<u64>().read() == word);
            }
        }
    }
    found
}

#[inline(never)]
fn leave_a_key() {
    let pieces = core::hint::black_box(pieces());
    core::hint::black_box(&pieces);
}

#[test]
fn start_up_leaves_no_key_on_the_stack() {
    alone("secure::root::tests::start_up_leaves_no_key_on_the_stack", no_key_is_left);
}

/// A child of a raw fork, made while another thread of the parent was starting: at each of the
/// moments at which that thread may have been.
fn gone(entered: bool) {
    let made = make(8).expect("memory");
    let word = made.fixed.generation;
    if entered {
        made.enter();
    }
    // As the kernel does in a child.
    // SAFETY: the word of what was just made.
    unsafe { &*pointer::<AtomicUsize>(word) }.store(GONE, Ordering::Release);
    STATUS.store(word, Ordering::Release);
    settle();
    let at = take(32, &POOL);
    assert!(query(at).is_some());
    free(at);
    assert_eq!(fixed().expect("started").generation == word, entered);
    assert_eq!(fixed().expect("started").generation().load(Ordering::Acquire), LIVE);
}

#[test]
fn a_child_whose_parent_was_starting_starts_itself() {
    const NAME: &str = "secure::root::tests::a_child_whose_parent_was_starting_starts_itself";
    each_alone(NAME, &[("before it entered", || gone(false)), ("after", || gone(true))]);
}

/// A handler of the thread that is starting.
fn reentered() {
    let made = make(Linux::thread().identity).expect("memory");
    STATUS.store(made.fixed.generation, Ordering::Release);
    settle();
    let error = raw::alloc(32, 1, &POOL).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Reentered);
    made.enter();
    STATUS.store(LIVE, Ordering::Release);
    free(take(32, &POOL));
}

#[test]
fn a_handler_in_the_middle_is_refused() {
    alone("secure::root::tests::a_handler_in_the_middle_is_refused", reentered);
}
