//! A fixed sequence of allocations for `ci/instructions`, which counts its instructions.
//!
//! `ci_instructions hot N`: N times, one object of 64 B is freed and another allocated.
//! `ci_instructions churn N`: among 200,000 objects of 16 to 128 B, N times another one, in a
//! shuffled order, is freed and one of the same size allocated in its place.
//! `ci_instructions control N`: as hot, with 300 idle steps in each pair: what the check must see.
#![expect(unsafe_code, reason = "calls the allocator as the compiler would, without its elisions")]

use std::alloc::{GlobalAlloc, Layout};
use std::hint::black_box;
use std::process::ExitCode;

use casemate::Casemate;

static HEAP: Casemate = Casemate::new();

const LIVE: usize = 200_000;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (Some(kind), Some(Ok(pairs))) =
        (arguments.first(), arguments.get(1).map(|text| text.parse::<usize>()))
    else {
        return ExitCode::FAILURE;
    };
    match kind.as_str() {
        "hot" => hot(pairs, 0),
        "control" => hot(pairs, 300),
        "churn" => churn(pairs),
        _ => return ExitCode::FAILURE,
    }
    ExitCode::SUCCESS
}

/// An object, with its first byte written.
fn allocate(layout: Layout) -> *mut u8 {
    // SAFETY: no layout here has size 0.
    let ptr = unsafe { HEAP.alloc(layout) };
    assert!(!ptr.is_null());
    // SAFETY: the object has at least one byte.
    unsafe { ptr.write(1) };
    black_box(ptr)
}

fn free(ptr: *mut u8, layout: Layout) {
    // SAFETY: every caller gives up an object that `allocate` made with this layout.
    unsafe { HEAP.dealloc(ptr, layout) }
}

fn hot(pairs: usize, idle: usize) {
    let layout = Layout::new::<[u64; 8]>();
    let mut ptr = allocate(layout);
    for _ in 0..pairs {
        free(ptr, layout);
        for step in 0..idle {
            black_box(step);
        }
        ptr = allocate(layout);
    }
    free(ptr, layout);
}

fn churn(pairs: usize) {
    let layout = |i: usize| {
        let size = 16 + i % 8 * 16;
        Layout::from_size_align(size, 8).expect("16 to 128 B")
    };
    let mut objects: Vec<*mut u8> = (0..LIVE).map(|i| allocate(layout(i))).collect();
    // A step with no common factor with 200,000 visits every object once a turn, each time far
    // away from the last.
    let mut at = 0;
    for _ in 0..pairs {
        at = (at + 76_543) % LIVE;
        free(objects[at], layout(at));
        objects[at] = allocate(layout(at));
    }
    for (i, ptr) in objects.into_iter().enumerate() {
        free(ptr, layout(i));
    }
}
