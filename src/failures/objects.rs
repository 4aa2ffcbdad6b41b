//! Layer: faces, tests only. Objects of the process's heap that know what they hold.
#![expect(unsafe_code, reason = "allocates by hand")]

use crate::interface::{Claim, Interface, Origin, Request};
use crate::policy::{Full, Light, Policy, Set, Strict};
use crate::violation::Violation;
use std::vec::Vec;

fn nothing_more(_: &Violation) {}
fn no_tick() {}

static FULL: Interface<Full> = Interface::new(nothing_more, nothing_more, no_tick);
static STRICT: Interface<Strict> = Interface::new(nothing_more, nothing_more, no_tick);
static LIGHT: Interface<Light> = Interface::new(nothing_more, nothing_more, no_tick);

/// A policy's heap.
pub trait Named: Policy {
    fn heap() -> &'static Interface<Self>
    where
        Self: Sized;
}

impl Named for Full {
    fn heap() -> &'static Interface<Self> {
        &FULL
    }
}

impl Named for Strict {
    fn heap() -> &'static Interface<Self> {
        &STRICT
    }
}

impl Named for Light {
    fn heap() -> &'static Interface<Self> {
        &LIGHT
    }
}

/// An object, filled with a pattern.
#[derive(Clone, Copy, Debug)]
pub struct Object {
    at: usize,
    size: usize,
    align: usize,
    seed: u8,
}

/// Where a long object is looked at: both ends, and one byte in 509 between.
fn places(size: usize) -> impl Iterator<Item = usize> {
    let edge = size.min(600);
    (0..edge).chain((edge..size).step_by(509)).chain(size - edge..size)
}

impl Object {
    fn byte(&self, i: usize) -> u8 {
        (i as u8).wrapping_mul(31).wrapping_add(self.seed) | 1
    }

    fn pointer(&self) -> *mut u8 {
        crate::os::pointer(self.at)
    }

    fn fill(&self) {
        for i in places(self.size) {
            // SAFETY: a live object of this size, this one's alone.
            unsafe { self.pointer().add(i).write(self.byte(i)) };
        }
    }

    fn request(&self) -> Request {
        Request { size: self.size, align: self.align, origin: Origin::Layout }
    }

    fn claim(&self) -> Claim {
        Claim::exact(self.request())
    }

    /// A new one; `None` for null. It must be aligned and zero.
    pub fn new<P: Named>(size: usize, align: usize, seed: usize) -> Option<Object> {
        let object = Object { at: 0, size, align, seed: seed as u8 };
        let got = P::heap().allocate_zeroed(object.request());
        if got.is_null() {
            return None;
        }
        let object = Object { at: got.expose_provenance(), ..object };
        assert_eq!(object.at % align, 0, "alignment of {object:x?}");
        for i in places(size) {
            // SAFETY: as in `fill`; the heap initialised it.
            assert_eq!(unsafe { got.add(i).read() }, 0, "byte {i} of the new {object:x?}");
        }
        object.fill();
        Some(object)
    }

    /// Its bytes.
    pub fn size(&self) -> usize {
        self.size
    }

    /// It holds what was written to it.
    pub fn check(&self) {
        self.check_first(self.size);
    }

    fn check_first(&self, len: usize) {
        for i in places(self.size).filter(|&i| i < len) {
            // SAFETY: live, and only read.
            let byte = unsafe { self.pointer().add(i).read() };
            assert_eq!(byte, self.byte(i), "byte {i} of {self:x?}");
        }
    }

    /// Looks at it and frees it.
    pub fn free<P: Named>(self) {
        self.check();
        // SAFETY: this one's, which ends here.
        unsafe { P::heap().free(self.pointer(), self.claim()) };
    }

    /// What must not be done.
    pub fn free_again<P: Named>(self) {
        // SAFETY: not live any more: misuse, which is found.
        unsafe { P::heap().free(self.pointer(), self.claim()) };
    }

    /// Gives it another size; it stays as it is if there is no memory.
    pub fn resize<P: Named>(self, size: usize) -> Object {
        self.check();
        let wanted = Request { size, ..self.request() };
        // SAFETY: this one's; only the answer is used from now on.
        let got = unsafe { P::heap().reallocate(self.pointer(), self.claim(), wanted) };
        if got.is_null() {
            self.check();
            return self;
        }
        let moved = Object { at: got.expose_provenance(), ..self };
        moved.check_first(size.min(self.size));
        let moved = Object { size, ..moved };
        if P::SET.has(Set::WIPE) {
            for i in places(size).filter(|&i| i >= self.size) {
                // SAFETY: live with this size.
                assert_eq!(unsafe { moved.pointer().add(i).read() }, 0, "grown byte {i}");
            }
        }
        moved.fill();
        moved
    }
}

/// Objects, the heap's answer to some of which was null.
#[derive(Default)]
pub struct Held {
    pub objects: Vec<Object>,
    pub null: usize,
}

impl Held {
    pub fn add<P: Named>(&mut self, size: usize, align: usize) {
        let seed = self.objects.len() + size;
        match Object::new::<P>(size, align, seed) {
            Some(object) => self.objects.push(object),
            None => self.null += 1,
        }
    }

    pub fn add_all<P: Named>(&mut self, sizes: impl IntoIterator<Item = usize>) {
        sizes.into_iter().for_each(|size| self.add::<P>(size, 8));
    }

    pub fn check(&self) {
        self.objects.iter().for_each(Object::check);
    }

    /// Frees every object whose number leaves this remainder.
    pub fn free_some<P: Named>(&mut self, every: usize, offset: usize) {
        let mut number = 0;
        self.objects.retain(|object| {
            number += 1;
            let stays = number % every != offset;
            if !stays {
                object.free::<P>();
            }
            stays
        });
    }

    pub fn free<P: Named>(&mut self) {
        self.objects.drain(..).for_each(Object::free::<P>);
    }
}
