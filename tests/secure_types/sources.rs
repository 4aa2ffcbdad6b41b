//! What secrets come from is wiped before the ordinary heap gets it back: this program's allocator
//! looks at every block that is freed.
#![expect(unsafe_code, reason = "is an allocator")]

use casemate::secure::{Policy, Requirements, SecretBox, SecretString, SecretVec};
use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

/// Bytes that no freed block may hold while this thread watches.
const MARK: [u8; 16] = *b"\x01mark of a heap\x02";

thread_local! {
    static WATCHING: Cell<bool> = const { Cell::new(false) };
    static FOUND: Cell<usize> = const { Cell::new(0) };
}

struct Watching;

// SAFETY: the system's allocator, with a look at what is freed.
unsafe impl GlobalAlloc for Watching {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        if WATCHING.try_with(Cell::get).unwrap_or(false) {
            // SAFETY: the block is the caller's to free, and was zeroed when it was made.
            let bytes = unsafe { std::slice::from_raw_parts(at, layout.size()) };
            let found = bytes.windows(16).filter(|window| *window == MARK).count();
            FOUND.with(|all| all.set(all.get() + found));
        }
        // SAFETY: the caller's.
        unsafe { System.dealloc(at, layout) }
    }
}

#[global_allocator]
static HEAP: Watching = Watching;

/// How many marks were in blocks that `f` freed.
fn marks_freed(f: impl FnOnce()) -> usize {
    FOUND.set(0);
    WATCHING.set(true);
    f();
    WATCHING.set(false);
    FOUND.get()
}

/// Marks all over the capacity of a vector, of which four are elements.
fn source() -> Vec<[u8; 16]> {
    let mut source = vec![MARK; 10];
    source.truncate(4);
    source
}

fn text() -> String {
    let mut text = String::from_utf8(MARK.repeat(10)).unwrap();
    text.truncate(64);
    text
}

fn refusing() -> Policy {
    Policy::require(Requirements::NO_FORK).share_with_children()
}

#[test]
fn the_control_finds_marks() {
    let held = source();
    assert_eq!(marks_freed(|| drop(held)), 10);
    let held = text();
    assert_eq!(marks_freed(|| drop(held)), 10);
}

#[test]
fn vectors_and_boxes() {
    let held = source();
    let mut vector = SecretVec::new();
    assert_eq!(marks_freed(|| vector = SecretVec::from(held)), 0);
    assert_eq!(vector.expose_secret(), [MARK; 4]);
    let (held, boxed) = (source().into_boxed_slice(), Box::new(MARK));
    assert_eq!(marks_freed(|| drop(SecretBox::<[[u8; 16]]>::from(held))), 0);
    assert_eq!(marks_freed(|| drop(SecretBox::from(boxed))), 0);
}

#[test]
fn strings() {
    let held = text();
    let mut string = SecretString::new();
    assert_eq!(marks_freed(|| string = SecretString::from(held)), 0);
    assert_eq!(string.expose_secret().len(), 64);
    // Shrinking to a box is the caller's, and copies: only what is converted is wiped.
    let held = text().into_boxed_str();
    assert_eq!(marks_freed(|| drop(SecretBox::<str>::from(held))), 0);
}

#[test]
fn conversions_that_fail() {
    let (vector, string) = (source(), text());
    assert_eq!(
        marks_freed(|| {
            assert!(SecretVec::try_from_vec_with(vector, &refusing()).is_err());
            assert!(SecretString::try_from_string_with(string, &refusing()).is_err());
        }),
        0
    );
}

#[test]
fn elements_that_panic_when_dropped() {
    struct Panics([u8; 16]);
    impl Drop for Panics {
        fn drop(&mut self) {
            std::panic::resume_unwind(Box::new(()));
        }
    }
    let held = vec![Panics(MARK)];
    assert_eq!(held[0].0, MARK);
    let marks = marks_freed(|| {
        let unwound = std::panic::catch_unwind(|| {
            let _ = SecretVec::try_from_vec_with(held, &refusing());
        });
        assert!(unwound.is_err());
    });
    assert_eq!(marks, 0);
}
