//! What the interpreter, or the stand-in, must find. The interpreter ends at the first fault: those
//! are run by name, by `ci/interpreter`, which looks for its words.
#![allow(unsafe_code)] // does what must not be done

use crate::arena::{self, PAGE, Page};
use crate::machine::Machine;
use crate::world::{Object, with};
use casemate::Full;
use casemate::os::{Os, pointer};
use std::sync::Barrier;
use std::thread;

/// As an array: of a single byte the interpreter would print the whole allocation around it, which
/// is the arena.
fn peek(at: usize) -> [u8; 2] {
    // SAFETY: none: that is the control.
    unsafe { pointer::<[u8; 2]>(at).read() }
}

fn poke(at: usize) {
    // SAFETY: none: that is the control.
    unsafe { pointer::<u8>(at).write(1) }
}

#[test]
#[ignore = "must fail"]
fn a_read_of_a_guard() {
    with::<Full, true>(|heap| {
        let object = Object::make(heap, 2 << 20, 16);
        assert_eq!(arena::page(object.address() - PAGE), Page::Guard);
        println!("{:?}", peek(object.address() - 2));
    });
}

#[test]
#[ignore = "must fail"]
fn a_read_of_what_was_given_back() {
    with::<Full, true>(|heap| {
        let object = Object::make(heap, 2 << 20, 16);
        let at = object.address();
        object.free(heap);
        println!("{:?}", peek(at));
    });
}

#[test]
#[ignore = "must fail"]
fn a_race() {
    with::<Full, true>(|heap| {
        let object = Object::make(heap, 100, 16);
        let at = object.address();
        // Both are there before either writes: else the end of one could come before the other.
        let both = &Barrier::new(2);
        let write = move || {
            both.wait();
            poke(at);
        };
        thread::scope(|scope| {
            scope.spawn(write);
            scope.spawn(write);
        });
    });
}

#[test]
#[should_panic(expected = "unmapped twice")]
fn an_unmapping_of_nothing() {
    arena::make();
    let _ = Machine::<true>::unmap(1 << 30, PAGE);
}

#[test]
#[should_panic(expected = "closed with contents")]
fn a_closing_of_contents() {
    arena::make();
    let _free_again = FreeAgain;
    assert!(Machine::<true>::map(1 << 30, PAGE).is_ok());
    poke(1 << 30);
    let _ = Machine::<true>::close(1 << 30, PAGE);
}

struct FreeAgain;

impl Drop for FreeAgain {
    fn drop(&mut self) {
        arena::clear();
    }
}
