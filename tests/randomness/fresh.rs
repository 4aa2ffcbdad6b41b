//! A heap made for one test: nothing is in it but what the test did, and its plan is at hand.
#![expect(unsafe_code, reason = "frees, and unmaps what the heaps leave")]

use crate::heap::alone;
use casemate::heap::{Frozen, Heap, Options, Request};
use casemate::inside::{Linux, unmap};
use casemate::policy::Policy;
use std::alloc::Layout;

static OPTIONS: Options = Options::DEFAULT;

/// Runs on a fresh heap in a fresh thread, one at a time: heaps need room.
pub fn on_a_heap<P: Policy, T: Send>(
    body: impl FnOnce(&Frozen, Heap<'_, Linux, P>) -> T + Send,
) -> T {
    let _alone = alone();
    std::thread::scope(|scope| {
        let run = || {
            let frozen = Frozen::new();
            let result = body(&frozen, Heap::new(&frozen, &OPTIONS));
            let plan = frozen.started().expect("a heap that has started");
            let span = plan.regions << plan.region_shift;
            // SAFETY: this heap's alone, which nobody uses any more.
            unsafe {
                unmap(plan.slots, span + (1 << plan.page_shift) + plan.nothing.len);
                unmap(plan.meta.0, plan.meta.1);
            }
            result
        };
        scope.spawn(run).join().unwrap()
    })
}

/// The same in a thread that owns a heap of it: its first allocations come from shared ones.
pub fn in_own_heap<P: Policy, T: Send>(body: impl FnOnce(Heap<'_, Linux, P>) -> T + Send) -> T {
    on_a_heap(|_, heap| {
        for _ in 0..200 {
            free(heap, allocate(heap, Layout::new::<u64>()), Layout::new::<u64>());
        }
        body(heap)
    })
}

pub fn allocate<P: Policy>(heap: Heap<'_, Linux, P>, layout: Layout) -> usize {
    heap.allocate(Request::layout(layout)).unwrap().unwrap().addr().get()
}

pub fn free<P: Policy>(heap: Heap<'_, Linux, P>, at: usize, layout: Layout) {
    // SAFETY: every caller frees what it allocated from this heap with this layout, once, and uses
    // it no more.
    unsafe { heap.free(at, Some(Request::layout(layout))) }.unwrap();
}
