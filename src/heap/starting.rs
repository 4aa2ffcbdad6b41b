//! Tests: start-up, and what it leaves behind.

#![expect(unsafe_code, reason = "a thread on a stack of the test's, which is read afterwards")]

use super::frozen::Turn;
use super::held::alone_at;
use super::{Frozen, Heap, Options, Request};
use crate::os::linux::failing::{Call, Calls, Plan, arm};
use crate::os::{Linux, Os};
use crate::policy::{Full, Policy, Strict};
use crate::record::Origin;
use crate::violation::Kind;
use std::boxed::Box;
use std::vec::Vec;

static FOR_GOOD: Options = Options { for_good: true, ..Options::DEFAULT };

type Here = Heap<'static, Linux, Full>;

fn heap() -> Here {
    Heap::new(Box::leak(Box::new(Frozen::new())), &FOR_GOOD)
}

fn alone(name: &str, body: impl FnOnce()) {
    alone_at(&std::format!("heap::starting::{name}"), body);
}

fn turn() -> Turn {
    Turn::take(Linux::thread().identity).expect("nobody is starting")
}

const REQUEST: Request = Request { size: 100, align: 16, origin: Origin::Malloc };

/// It saw that nobody had started the heap, and was preempted there.
#[test]
fn a_thread_that_comes_late_does_not_write_to_the_closed_page() {
    alone("a_thread_that_comes_late_does_not_write_to_the_closed_page", || {
        let heap = heap();
        heap.start().expect("the heap starts");
        assert!(heap.protections().read_only);
        let slots = heap.plan().slots;
        heap.start_in_turn(&turn()).expect("it has started");
        assert_eq!(heap.plan().slots, slots);
        assert!(heap.allocate(REQUEST).expect("no misuse").is_some());
    });
}

#[test]
fn a_handler_that_interrupts_the_start_gets_null() {
    alone("a_handler_that_interrupts_the_start_gets_null", || {
        let heap = heap();
        let turn = turn();
        assert!(heap.allocate(REQUEST).expect("no misuse").is_none());
        drop(turn);
        assert!(heap.allocate(REQUEST).expect("no misuse").is_some());
    });
}

fn report_without(never: Calls) -> (bool, bool) {
    arm(&Plan { never, ..Plan::NOTHING });
    let heap = heap();
    heap.start().expect("the heap starts");
    arm(&Plan::NOTHING);
    let report = heap.protections();
    (report.read_only, report.sealed)
}

#[test]
fn what_could_not_be_closed_is_not_said_to_be() {
    alone("what_could_not_be_closed_is_not_said_to_be", || {
        assert_eq!(report_without(Calls::only(Call::ReadOnly)), (false, false));
        assert_eq!(report_without(Calls::only(Call::Seal)), (true, false));
        assert_eq!(report_without(Calls::NONE), (true, Linux::probe().seal));
    });
}

extern "C" fn start(heap: *mut core::ffi::c_void) -> *mut core::ffi::c_void {
    // SAFETY: what `on_a_stack` passes, which outlives this thread.
    unsafe { &*heap.cast::<Here>() }.start().expect("the heap starts");
    core::ptr::null_mut()
}

/// Starts the heap in a thread; the words of its stack after it has ended.
fn on_a_stack(heap: &Here) -> Vec<usize> {
    const LEN: usize = 1 << 20;
    // SAFETY: a mapping for the thread's stack alone, read once the thread has ended and never
    // unmapped; all arguments are valid.
    unsafe {
        let (both, own) = (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_PRIVATE);
        let stack = libc::mmap(core::ptr::null_mut(), LEN, both, own | libc::MAP_ANONYMOUS, -1, 0);
        assert_ne!(stack, libc::MAP_FAILED);
        let mut attributes = core::mem::zeroed();
        let mut thread = 0;
        assert_eq!(libc::pthread_attr_init(&raw mut attributes), 0);
        assert_eq!(libc::pthread_attr_setstack(&raw mut attributes, stack, LEN), 0);
        let argument = (&raw const *heap).cast_mut().cast();
        let made = libc::pthread_create(&raw mut thread, &raw const attributes, start, argument);
        assert_eq!(made, 0);
        assert_eq!(libc::pthread_join(thread, core::ptr::null_mut()), 0);
        let words = stack.cast::<usize>();
        (0..LEN / size_of::<usize>()).map(|i| words.add(i).read_volatile()).collect()
    }
}

/// On the stack, that is: registers are saved there, too.
#[test]
fn no_copy_of_the_secrets_is_left_behind() {
    alone("no_copy_of_the_secrets_is_left_behind", || {
        let heap = heap();
        let words = on_a_stack(&heap);
        let plan = heap.plan();
        let key = core::ptr::from_ref(&plan.key).cast::<usize>();
        // SAFETY: the key is 80 random bytes first of all.
        let key: Vec<usize> = (0..10).map(|i| unsafe { key.add(i).read() }).collect();
        assert!(words.iter().any(|&word| word != 0), "the stack was used");
        let left = |secret: usize| words.iter().filter(|&&word| word == secret).count();
        let keys: Vec<_> = key.iter().map(|&word| left(word)).collect();
        assert!(keys.iter().all(|&n| n == 0), "words of the key: {keys:?}");
        let of_regions = plan.region.iter().take(plan.regions).map(|r| left(r.base) + left(r.meta));
        let of_regions = of_regions.sum::<usize>();
        let of_plan = [plan.slots, plan.meta.0, plan.shared, plan.large.0].map(left);
        assert!(of_regions == 0 && of_plan == [0; 4], "{of_regions} of regions, {of_plan:?}");
    });
}

/// What a thread with a heap of its own, started under one policy, gets of it under another.
fn second<First: Policy, Second: Policy>() -> Option<Kind> {
    let frozen = Box::leak(Box::new(Frozen::new()));
    let first = Heap::<Linux, First>::new(frozen, &FOR_GOOD);
    for size in (0..200).map(|i| 16 + i * 40) {
        assert!(first.allocate(Request { size, ..REQUEST }).expect("no misuse").is_some());
    }
    let second = Heap::<Linux, Second>::new(frozen, &FOR_GOOD);
    let found = second.allocate(Request { size: 3000, ..REQUEST }).err();
    Linux::thread().word.set(0);
    found.map(|violation| violation.kind)
}

/// Its slots would be of other sizes.
#[test]
fn a_heap_with_other_partitions_gives_nothing() {
    alone("a_heap_with_other_partitions_gives_nothing", || {
        assert_eq!(second::<Full, Strict>(), Some(Kind::SecondHeap));
        assert_eq!(second::<Strict, Full>(), Some(Kind::SecondHeap));
        assert_eq!(second::<Full, Full>(), None);
    });
}
