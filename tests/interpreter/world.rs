//! A heap on the stand-in, and objects in it.
#![allow(unsafe_code)] // looks into objects

use crate::arena;
use crate::machine::{self, Machine};
use casemate::heap::{Frozen, Heap, Options, Request};
use casemate::policy::{Set, Without};
use casemate::record::Origin;
use casemate::{Policy, Verified};
use std::ptr::NonNull;
use std::sync::{Mutex, PoisonError};
use std::thread;

/// A heap on a machine.
pub type Here<'f, P, const MARKERS: bool> = Heap<'f, Machine<MARKERS>, P>;

/// [`casemate::Full`] for threads: a look at the word behind another's object is a data race by the
/// letter of the memory model, which the interpreter goes by (SECURITY.md says why it stays).
pub type Apart = Without<{ Set::NEIGHBOUR.and(Set::SWEEP).bits() }>;

static OPTIONS: Options = Options::DEFAULT;
static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

/// Runs `body` with a heap of its own, in a thread that has never used one.
pub fn with<P: Policy, const MARKERS: bool>(
    body: impl for<'f> FnOnce(Here<'f, P, MARKERS>) + Send,
) {
    let _turn = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    arena::make();
    let frozen = Box::new(Frozen::new());
    let heap = Heap::new(&frozen, &OPTIONS);
    let ended = thread::scope(|scope| scope.spawn(|| body(heap)).join());
    machine::leave(usize::MAX);
    arena::clear();
    if let Err(panic) = ended {
        std::panic::resume_unwind(panic);
    }
}

/// Walks the invariants.
pub fn verify<P: Policy, const MARKERS: bool>(heap: Here<'_, P, MARKERS>) -> Verified {
    heap.verify().expect("sound")
}

/// An object of the program's, all bytes of it written.
pub struct Object {
    at: NonNull<u8>,
    request: Request,
    seed: u8,
}

// SAFETY: memory that whoever has the object may use and free.
unsafe impl Send for Object {}

impl Object {
    /// An object, `None` if memory ran out.
    pub fn try_make<P: Policy, const MARKERS: bool>(
        heap: Here<'_, P, MARKERS>,
        size: usize,
        align: usize,
    ) -> Option<Object> {
        let request = Request { size, align, origin: Origin::Layout };
        let at = heap.allocate(request).expect("no misuse")?;
        assert!(at.addr().get().is_multiple_of(align), "aligned");
        let mut object = Object { at, request, seed: 0 };
        if P::SET.has(Set::WIPE) {
            object.check();
        }
        object.fill((at.addr().get() >> 4) as u8 | 1);
        Some(object)
    }

    /// An object.
    pub fn make<P: Policy, const MARKERS: bool>(
        heap: Here<'_, P, MARKERS>,
        size: usize,
        align: usize,
    ) -> Object {
        Object::try_make(heap, size, align).expect("memory")
    }

    fn fill(&mut self, seed: u8) {
        self.seed = seed;
        // SAFETY: the object is `size` bytes and this one's.
        unsafe { self.at.write_bytes(seed, self.request.size) }
    }

    /// It holds what was written.
    pub fn check(&self) {
        self.check_first(self.request.size);
    }

    fn check_first(&self, len: usize) {
        // SAFETY: as for `fill`; the heap hands out nothing that is not initialised.
        let bytes = unsafe { std::slice::from_raw_parts(self.at.as_ptr(), len) };
        assert!(bytes == vec![self.seed; len], "contents of {:?} at {:?}", self.request, self.at);
    }

    /// Its address.
    pub fn address(&self) -> usize {
        self.at.addr().get()
    }

    /// Frees it.
    pub fn free<P: Policy, const MARKERS: bool>(self, heap: Here<'_, P, MARKERS>) {
        self.check();
        // SAFETY: the object is this one's alone, and is not used again.
        unsafe { heap.free(self.address(), Some(self.request)) }.expect("no misuse");
    }

    /// Gives it another size.
    pub fn resize<P: Policy, const MARKERS: bool>(
        &mut self,
        heap: Here<'_, P, MARKERS>,
        size: usize,
    ) {
        self.check();
        let new = Request { size, ..self.request };
        // SAFETY: the object is this one's alone; from here on it is where it was moved to.
        let moved = unsafe { heap.reallocate(self.address(), Some(&self.request), &new) };
        let moved = moved.expect("no misuse");
        self.at = moved.expect("memory");
        let both = size.min(self.request.size);
        self.request = new;
        self.check_first(both);
        self.fill(self.seed.wrapping_add(2));
    }
}

/// Numbers for tests: the same in each run.
pub struct Numbers(pub u64);

impl Numbers {
    /// A number below `n`.
    pub fn below(&mut self, n: usize) -> usize {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % n
    }
}

/// Frees all of these in some order.
pub fn free_all<P: Policy, const MARKERS: bool>(
    heap: Here<'_, P, MARKERS>,
    objects: &mut Vec<Object>,
    numbers: &mut Numbers,
) {
    while !objects.is_empty() {
        objects.swap_remove(numbers.below(objects.len())).free(heap);
    }
}
