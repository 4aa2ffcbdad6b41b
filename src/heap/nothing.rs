//! Layer: heap. Objects of no bytes, for interfaces in which they exist.

use super::alloc::Object;
use super::{Claim, Heap, Outcome, Request};
use crate::os::{Os, pointer};
use crate::policy::Policy;
use crate::record::Origin;
use crate::request::Difference;
use crate::violation::{Kind, Place, Violation};
use core::ptr::NonNull;

/// Alignment and origin, as they are noted of an address.
struct Note(u8);

impl Note {
    /// Of a request whose alignment is one that an address can have.
    fn of(request: &Request) -> Note {
        Note((request.align.trailing_zeros() as u8) << 2 | request.origin as u8)
    }

    /// How the object is not what its caller says.
    fn differs(&self, claim: Claim) -> Option<Difference> {
        claim.differs(self.origin(), u32::from(self.0 >> 2))
    }

    fn origin(&self) -> Origin {
        Origin::of(u32::from(self.0))
    }
}

impl<O: Os, P: Policy> Heap<'_, O, P> {
    /// A pointer that differs from every other object's and faults on any access. Where no such
    /// address is left (there are a million, 65,536 under a limit of address space), a slot
    /// like that of one byte.
    pub fn allocate_nothing(self, request: Request) -> Outcome<Object> {
        if !request.align.is_power_of_two() || !self.ensure_started()? {
            return Ok(None);
        }
        let given = self.shared().nothing.give::<O>(
            &self.plan().nothing,
            request.align,
            Note::of(&request).0,
        );
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
        self.check_claimed_nothing(at, claim)?;
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
        self.check_claimed_nothing(at, old)?;
        let Some(target) = self.allocate(*new)? else { return Ok(None) };
        // What its caller says was compared.
        self.free_nothing(at, Claim::ANY)?;
        Ok(Some(target))
    }

    /// It is given out, and what its caller says.
    fn check_claimed_nothing(&self, at: usize, claim: Claim) -> Outcome<()> {
        let note = self.check_nothing(at)?;
        if claim.size().is_some_and(|size| size != 0) {
            return Err(fail(Kind::WrongSize, at));
        }
        match note.differs(claim) {
            None => Ok(()),
            Some(Difference::Align) => Err(fail(Kind::WrongAlignment, at)),
            Some(Difference::Interface) => {
                self.mismatch(note.origin(), claim, fail(Kind::WrongInterface, at))
            }
        }
    }

    /// It is given out: what is known of it.
    fn check_nothing(&self, at: usize) -> Outcome<Note> {
        let note = self.shared().nothing.check(&self.plan().nothing, at);
        note.map(Note).map_err(|kind| fail(kind, at))
    }

    /// Bytes of it that the program may use: none.
    pub(super) fn take_over_nothing(&self, at: usize) -> Outcome<usize> {
        self.check_nothing(at).map(|_| 0)
    }
}

fn fail(kind: Kind, at: usize) -> Violation {
    Violation::new(kind).at(Place::Slot(0), at)
}
