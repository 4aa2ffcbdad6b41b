//! Layer: heap. Objects of no bytes, for interfaces in which they exist.

use super::alloc::Object;
use super::{Claim, Heap, Outcome, Request};
use crate::os::{Os, pointer};
use crate::policy::Policy;
use crate::violation::{Kind, Place, Violation};
use core::ptr::NonNull;

impl<O: Os, P: Policy> Heap<'_, O, P> {
    /// A pointer that differs from every other object's and faults on any access. Where no such
    /// address is left (there are a million, 65,536 under a limit of address space), a slot
    /// like that of one byte.
    pub fn allocate_nothing(self, request: Request) -> Outcome<Object> {
        if !request.align.is_power_of_two() || !self.ensure_started()? {
            return Ok(None);
        }
        let given = self.shared().nothing.give::<O>(&self.plan().nothing, request.align);
        match given {
            Some(at) => Ok(NonNull::new(pointer(at))),
            None => self.allocate(request),
        }
    }

    /// Whether the address is one of those.
    #[inline]
    pub(super) fn is_nothing(&self, at: usize) -> bool {
        self.plan().nothing.contains(at)
    }

    /// Frees it, if it is one.
    pub(super) fn free_nothing(&self, at: usize, claim: Claim) -> Outcome<bool> {
        if !self.is_nothing(at) {
            return Ok(false);
        }
        if claim.size().is_some_and(|size| size != 0) {
            return Err(fail(Kind::WrongSize, at));
        }
        let freed = self.shared().nothing.take_back(&self.plan().nothing, at);
        freed.map(|()| true).map_err(|kind| fail(kind, at))
    }

    /// Gives it bytes.
    pub(super) fn reallocate_nothing(
        &self,
        at: usize,
        old: Claim,
        new: &Request,
    ) -> Outcome<Object> {
        self.check_nothing(at)?;
        let Some(target) = self.allocate(*new)? else { return Ok(None) };
        self.free_nothing(at, old)?;
        Ok(Some(target))
    }

    /// It is given out.
    pub(super) fn check_nothing(&self, at: usize) -> Outcome<()> {
        self.shared().nothing.check(&self.plan().nothing, at).map_err(|kind| fail(kind, at))
    }
}

fn fail(kind: Kind, at: usize) -> Violation {
    Violation::new(kind).at(Place::Slot(0), at)
}
