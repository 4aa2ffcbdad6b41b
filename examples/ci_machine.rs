//! For the `ci/` scripts that set the machine up in some way first: a program on Casemate that
//! does a bit of everything, and says how it went.
//!
//! ```text
//! ci_machine everyday           small and large objects, threads
//! ci_machine locked-first       the same, after mlockall as the first thing
//! ci_machine locked-midway      the same, then mlockall, then the same again
//! ci_machine slabs N            N slabs of their own at once, then the same
//! ci_machine exhaust SIZE       objects of this size until null; frees them; again; the same
//! ci_machine in-turn SIZE SIZE  objects of one size until null; frees them; as much of the other
//! ```

#![expect(unsafe_code, reason = "mlockall, and allocations by hand")]

#[path = "ci_shared/memory.rs"]
mod memory;

use std::alloc::{Layout, alloc, dealloc};
use std::collections::VecDeque;

#[global_allocator]
static HEAP: casemate::Casemate = casemate::Casemate::new();

fn main() {
    let mut arguments = std::env::args().skip(1);
    let what = arguments.next().unwrap_or_default();
    let mut number = || arguments.next().expect("a number").parse::<usize>().expect("a number");
    match what.as_str() {
        "everyday" => everyday(),
        "locked-first" => {
            lock_all();
            everyday();
        }
        "locked-midway" => {
            everyday();
            let held: Vec<Vec<u8>> = (0..5000).map(|i| vec![7; 1 + i * 13 % 9000]).collect();
            lock_all();
            everyday();
            assert!(held.iter().all(|bytes| bytes.iter().all(|&byte| byte == 7)));
            drop(held);
            everyday();
        }
        "slabs" => slabs(number()),
        "exhaust" => exhaust(number()),
        "in-turn" => in_turn([number(), number()]),
        _ => panic!(
            "everyday, locked-first, locked-midway, slabs N, exhaust SIZE, in-turn SIZE SIZE"
        ),
    }
    casemate::verify().expect("every invariant");
    let (protections, stats) = (casemate::protections(), casemate::stats());
    println!("{protections}\nheaps: {}, forks: {}", stats.heaps, stats.forks);
    println!("resident, with page tables: {} KiB", memory::resident());
    println!("VmSize {} KiB, VmLck {} KiB", memory::status("VmSize"), memory::status("VmLck"));
}

fn lock_all() {
    // SAFETY: locking changes no contents.
    let done = unsafe { libc::mlockall(libc::MCL_CURRENT | libc::MCL_FUTURE) };
    assert_eq!(done, 0, "mlockall: {}", std::io::Error::last_os_error());
    println!("locked: {} KiB of {}", memory::status("VmLck"), memory::status("VmRSS"));
}

/// Objects of all sizes in this thread and others, grown and passed around.
fn everyday() {
    let body = |seed: usize| {
        let mut held = VecDeque::new();
        for i in 0..6000 {
            let size = [24, 150, 900, 4000, 20_000][(i + seed) % 5] + i % 77;
            let mut bytes = vec![seed as u8; if i % 300 == 0 { 20 * size } else { size }];
            bytes.resize(size * 3 / 2, seed as u8);
            held.push_back(bytes);
            if held.len() > 200 {
                let oldest = held.pop_front().expect("one");
                assert!(oldest.iter().all(|&byte| byte == seed as u8));
            }
        }
        held
    };
    let threads: Vec<_> = (1..4)
        .map(|seed| {
            let builder = std::thread::Builder::new().stack_size(256 << 10);
            builder.spawn(move || body(seed)).expect("a thread")
        })
        .collect();
    drop(body(0));
    threads.into_iter().for_each(|thread| drop(thread.join().expect("no panic")));
    casemate::verify().expect("every invariant");
}

/// Fills `room` with objects of one layout until null.
fn fill(room: &mut Vec<*mut u8>, layout: Layout) -> usize {
    while room.len() < room.capacity() {
        // SAFETY: the size is not zero.
        let at = std::hint::black_box(unsafe { alloc(layout) });
        if at.is_null() {
            break;
        }
        // SAFETY: the object's first byte.
        unsafe { at.write(1) };
        room.push(at);
    }
    room.len()
}

fn empty(room: &mut Vec<*mut u8>, layout: Layout) {
    for at in room.drain(..) {
        // SAFETY: allocated by `fill` with this layout.
        unsafe { dealloc(at, layout) };
    }
}

/// Page-multiple objects have a slab each: with guards by `mprotect`, two mappings each.
fn slabs(count: usize) {
    let layout = Layout::from_size_align(4096, 4096).expect("a layout");
    let mut room = Vec::with_capacity(count);
    let had = fill(&mut room, layout);
    let maps = std::fs::read_to_string("/proc/self/maps").expect("maps").lines().count();
    println!("{had} of {count} slabs at once, {maps} mappings");
    assert_eq!(had, count);
    everyday();
    empty(&mut room, layout);
    everyday();
}

fn exhaust(size: usize) {
    let layout = Layout::from_size_align(size, 16).expect("a layout");
    let mut room = Vec::with_capacity((6 << 30) / size);
    let first = fill(&mut room, layout);
    assert!(first < room.capacity(), "memory ends");
    empty(&mut room, layout);
    let second = fill(&mut room, layout);
    empty(&mut room, layout);
    println!("{first} objects of {size} bytes until null, then {second}");
    assert!(second >= first / 2);
    everyday();
}

/// What objects of one class had must serve those of another.
fn in_turn(sizes: [usize; 2]) {
    let [first, second] = sizes.map(|size| {
        let layout = Layout::from_size_align(size, 16).expect("a layout");
        // The list itself should not be what memory goes to.
        let mut room = Vec::with_capacity((1 << 30) / size);
        let had = fill(&mut room, layout) * size;
        assert!(room.len() < room.capacity(), "memory ends");
        empty(&mut room, layout);
        had >> 20
    });
    println!("{first} MiB of {} bytes until null, then {second} of {}", sizes[0], sizes[1]);
    assert!(second >= first / 4 * 3);
    everyday();
}
