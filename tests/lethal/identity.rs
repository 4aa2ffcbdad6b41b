//! A thread's index into the heap table lies in its thread-local storage, where an overflow can
//! reach it: whatever is written there must not give the thread another's heap.
#![expect(unsafe_code, reason = "overwrites a thread's index")]

use crate::matrix::{self, Case};
use crate::scene::Scene;
use crate::setting::{Role, Setting, Target, layout};
use crate::verdict::End;
use casemate::inside::{HEAP_SHIFT, replace_thread_word, thread_word};
use casemate::{Kind, Place};

pub const CASES: &[Case] = &[
    Case { name: "another's index, allocating", run: of_another, end: metadata },
    Case { name: "another's index, freeing", run: of_another_free, end: metadata },
    Case { name: "another's index, reallocating", run: of_another_realloc, end: metadata },
    Case { name: "index of a guest heap", run: of_guest, end: metadata },
    Case { name: "index of an abandoned heap", run: of_abandoned, end: metadata },
    Case { name: "index of no heap", run: of_nobody, end: fault },
];

#[test]
fn a_forged_index_is_caught() {
    matrix::run(CASES);
}

/// The thread that has its index overwritten has a heap of its own, as has the other.
fn applies(setting: &Setting) -> bool {
    setting.role == Role::Other && setting.target.has_neighbours()
}

fn metadata(setting: &Setting) -> Option<End> {
    applies(setting).then_some(End::Line(Kind::Metadata, Place::Unknown))
}

/// The table's rest is inaccessible.
fn fault(setting: &Setting) -> Option<End> {
    (applies(setting) && setting.target == Target::Middle).then_some(End::FaultAnywhere)
}

/// Overwrites the thread's index, as a stray write does.
fn forge(word: u32) {
    // SAFETY: the heap's table is reserved; these cases look at what comes of it.
    unsafe { replace_thread_word(word) };
}

/// The index of another thread, whose heap has slots of the kind ready.
fn others_word(scene: &Scene) -> u32 {
    scene.take(scene.target.loose());
    scene.home(|_| thread_word())
}

fn of_another(scene: &Scene) {
    forge(others_word(scene));
    scene.here.take(scene.target.loose());
}

fn of_another_free(scene: &Scene) {
    let layout = scene.target.loose();
    let mine = scene.here.take(layout);
    forge(others_word(scene));
    scene.here.free(mine, layout);
}

fn of_another_realloc(scene: &Scene) {
    let layout = scene.target.loose();
    let mine = scene.here.take(layout);
    forge(others_word(scene));
    scene.here.resize(mine, layout, layout.size() * 4);
}

fn of_guest(scene: &Scene) {
    forge(1 << HEAP_SHIFT);
    scene.here.take(scene.target.loose());
}

fn of_abandoned(scene: &Scene) {
    let hand = scene.here;
    let ended = std::thread::spawn(move || {
        hand.churn(layout(200, 8), 300);
        thread_word()
    });
    let word = ended.join().unwrap_or_default();
    assert!(word >> HEAP_SHIFT != 0);
    forge(word);
    scene.here.take(scene.target.loose());
}

fn of_nobody(scene: &Scene) {
    forge(0x00ff_ff00);
    scene.here.take(scene.target.loose());
}
