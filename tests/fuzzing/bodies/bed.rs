//! A heap made for one input, and its end: everything it took from the kernel goes back.

#![expect(unsafe_code, reason = "a heap of its own, by its unsafe interface")]

use super::fault::Fault;
use super::second::Who;
use casemate::heap::{Claim, Frozen, Heap, Options, Plan, Request};
use casemate::inside::{Linux, replace_thread_word, unmap};
use casemate::{Policy, Verified, Violation};
use std::alloc::Layout;
use std::ptr::{NonNull, with_exposed_provenance_mut};

static OPTIONS: Options = Options::DEFAULT;

/// Allocations as a guest before a thread earns a heap; see `heap/earn.rs`.
const GUEST: u32 = 64;
/// What a heap says.
pub type Said<T> = Result<T, Violation>;

/// A heap and the two threads that use it.
pub struct Bed<P: Policy> {
    heap: Heap<'static, Linux, P>,
    frozen: *mut Frozen,
    fault: Fault,
    guests: u8,
    /// The latest allocation, for a fault.
    last: (Layout, usize),
}

impl<P: Policy> Bed<P> {
    /// A new heap, started. `guests`: bit 0 and 1 for threads that stay guests for their first
    /// allocations; the others have a heap from the first one on.
    pub fn new(guests: u8, fault: Fault) -> Self {
        let frozen = Box::into_raw(Box::new(Frozen::new()));
        // SAFETY: freed at the end of the bed, when no thread uses the heap any more.
        let heap = Heap::new(unsafe { &*frozen }, &OPTIONS);
        heap.start().expect("there is address space for a heap");
        for (i, who) in Who::ALL.into_iter().enumerate() {
            let word = if guests >> i & 1 != 0 { 0 } else { GUEST };
            // SAFETY: no heap's number.
            who.does(move || unsafe { replace_thread_word(word) });
        }
        Bed { heap, frozen, fault, guests, last: (Layout::new::<()>(), 0) }
    }

    /// Where everything is.
    pub fn plan(&self) -> &Plan {
        // SAFETY: as in `new`.
        unsafe { &*self.frozen }.started().expect("started by `new`")
    }

    /// The heap itself.
    pub fn heap(&self) -> Heap<'static, Linux, P> {
        self.heap
    }

    /// Whether an address lies where slots are.
    pub fn has_slots_at(&self, at: usize) -> bool {
        at.wrapping_sub(self.plan().slots) < self.plan().regions << self.plan().region_shift
    }

    /// Memory, or 0.
    pub fn allocate(&mut self, who: Who, layout: Layout) -> Said<usize> {
        let heap = self.heap;
        let request = Request::layout(layout);
        let at = self.fault.hear(who.does(move || heap.allocate(request).map(address)))?;
        let at = match self.fault {
            Fault::Repeats if self.last.0 == layout => self.last.1,
            _ => at,
        };
        self.last = (layout, at);
        Ok(at)
    }

    /// Frees, saying this. What is live the body's model takes for gone, or the call for refused.
    pub fn free(&self, who: Who, at: usize, claim: Claim) -> Said<()> {
        let heap = self.heap;
        // SAFETY: the heap's objects are the body's alone, which does not touch this one any more.
        self.fault.hear(who.does(move || unsafe { heap.free_claiming(at, claim) }))
    }

    /// Resizes: an address, or 0.
    pub fn resize(&mut self, who: Who, at: usize, claim: Claim, new: Request) -> Said<usize> {
        let heap = self.heap;
        // SAFETY: as for `free`; a layout's alignment.
        let resized =
            who.does(move || unsafe { heap.reallocate_claiming(at, claim, &new) }.map(address));
        let at = self.fault.hear(resized)?;
        if self.fault == Fault::Loses && at != 0 {
            // SAFETY: live with a byte at least; the body's threads wait for this one.
            unsafe { with_exposed_provenance_mut::<u8>(at).write(0) };
        }
        Ok(at)
    }

    /// Both threads at the same time.
    pub fn race<A: Send + 'static, B>(
        &self,
        theirs: impl FnOnce(Heap<'static, Linux, P>) -> A + Send + 'static,
        ours: impl FnOnce(Heap<'static, Linux, P>) -> B,
    ) -> (A, B) {
        let heap = self.heap;
        super::second::both(move || theirs(heap), || ours(heap))
    }

    /// What a race of frees gave, as heard.
    pub fn heard<T: Default>(&self, outcome: Said<T>) -> Said<T> {
        self.fault.hear(outcome)
    }

    /// Whether a thread may be without a heap of its own.
    pub fn has_guest(&self, who: Who) -> bool {
        self.guests >> (who as u8) & 1 != 0
    }

    /// Both threads walk over the invariants: each sees its own heap and what is nobody's. What
    /// they saw together.
    pub fn verify(&self) -> Said<Verified> {
        let mut seen = self.walk()?;
        seen.objects += usize::from(self.fault == Fault::Miscounts);
        Ok(seen)
    }

    fn walk(&self) -> Said<Verified> {
        let heap = self.heap;
        let walk = |who: Who| self.fault.hear(who.does(move || heap.verify()));
        let (mut all, second) = (walk(Who::First)?, walk(Who::Second)?);
        // A thread without a heap sees what is nobody's.
        // SAFETY: of no heap; then that of this thread's.
        let word = unsafe { replace_thread_word(0) };
        let common = self.fault.hear(heap.verify());
        // SAFETY: as above.
        unsafe { replace_thread_word(word) };
        all.objects = (all.objects + second.objects).saturating_sub(common?.objects);
        Ok(all)
    }
}

impl<P: Policy> Drop for Bed<P> {
    fn drop(&mut self) {
        for who in Who::ALL {
            // SAFETY: of no heap.
            who.does(|| unsafe { replace_thread_word(0) });
        }
        let mut mapped = Vec::new();
        self.heap().mapped(&mut |at, len| mapped.push((at, len)));
        for (at, len) in mapped {
            // SAFETY: this heap's alone, which nobody uses any more.
            unsafe { unmap(at, len) };
        }
        // SAFETY: made by `new`; both threads have forgotten the heap.
        drop(unsafe { Box::from_raw(self.frozen) });
    }
}

/// The address of an object, 0 for none: it may go from thread to thread.
pub fn address(object: Option<NonNull<u8>>) -> usize {
    object.map_or(0, |object| object.as_ptr().expose_provenance())
}

/// A claim that an object was allocated with this layout.
pub fn exact(layout: Layout) -> Claim {
    Claim::exact(Request::layout(layout))
}
