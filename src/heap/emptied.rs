//! Tests: memory that was given back while its slots wait is watched like any other.

#![expect(unsafe_code, reason = "frees, and writes to what was freed")]

use super::held::alone_at;
use super::{Frozen, Heap, Object, Options, Outcome, Request};
use crate::os::{Linux, Os, pointer};
use crate::policy::Full;
use crate::record::Origin;
use crate::violation::Kind;
use std::boxed::Box;
use std::vec::Vec;

static OPTIONS: Options = Options::DEFAULT;

const REQUEST: Request = Request { size: 4000, align: 16, origin: Origin::Malloc };

type Here = Heap<'static, Linux, Full>;

/// As a guest, also after the first ones.
fn allocate(heap: Here) -> Outcome<Object> {
    Linux::thread().word.set(0);
    heap.allocate(REQUEST)
}

fn free(heap: Here, at: usize) -> Outcome<()> {
    // SAFETY: allocated by the callers below, and freed once.
    unsafe { heap.free(at, Some(REQUEST)) }
}

/// A heap, and the addresses of what a guest has freed there, all of it at once as far as the guest
/// heap knows.
fn freed(name: &str, then: impl FnOnce(Here, &[usize])) {
    alone_at(&std::format!("heap::emptied::{name}"), || {
        let heap = Heap::new(Box::leak(Box::new(Frozen::new())), &OPTIONS);
        heap.start().expect("the heap starts");
        let some = || allocate(heap).expect("no misuse").expect("memory").addr().get();
        let objects: Vec<_> = (0..60).map(|_| some()).collect();
        objects.iter().for_each(|&at| free(heap, at).expect("no misuse"));
        then(heap, &objects);
    });
}

fn write(at: usize) {
    // SAFETY: within a slot of an open slab, which nobody uses.
    unsafe { pointer::<u8>(at + 100).write_volatile(1) };
}

fn is_present(at: usize) -> bool {
    let mut state = 0u8;
    let page = at & !((1 << crate::heap::PAGE_SHIFT) - 1);
    // SAFETY: a query about one page, with a valid place for the answer.
    let status = unsafe { libc::mincore(pointer(page), 1, &raw mut state) };
    status == 0 && state & 1 != 0
}

#[test]
fn what_was_written_to_before_is_found() {
    freed("what_was_written_to_before_is_found", |heap, objects| {
        // Of a slab from which nothing more is handed out just now, as the last ones' are.
        write(objects[0]);
        let found = heap.trim().expect_err("a write after free");
        assert_eq!(found.kind, Kind::WriteAfterFreePurge);
    });
}

#[test]
fn what_is_written_to_afterwards_is_found() {
    freed("what_is_written_to_afterwards_is_found", |heap, objects| {
        heap.trim().expect("no misuse");
        assert!(!is_present(objects[0]));
        write(objects[0]);
        let found = (0..100_000).find_map(|_| match allocate(heap) {
            Ok(object) => free(heap, object.expect("memory").addr().get()).err(),
            Err(found) => Some(found),
        });
        let kind = found.expect("a write after free").kind;
        assert!(matches!(kind, Kind::WriteAfterFree | Kind::WriteAfterFreePurge), "{kind:?}");
    });
}

/// It goes on waiting: as many frees of its class lie behind each of them as otherwise.
#[test]
fn what_waits_goes_on_waiting() {
    freed("what_waits_goes_on_waiting", |heap, objects| {
        heap.trim().expect("no misuse");
        let least = super::quarantine(4160) as usize;
        for frees in 0..2 * least {
            let at = allocate(heap).expect("no misuse").expect("memory").addr().get();
            if let Some(i) = objects.iter().position(|&object| object == at) {
                let behind = objects.len() - 1 - i + frees;
                assert!(behind >= least, "{behind} frees behind it instead of {least}");
            }
            free(heap, at).expect("no misuse");
        }
    });
}
