//! Layer: heap. What the caller of free or realloc says of an object, against its record.

use super::free::Found;
use super::{Claim, Heap, Outcome};
use crate::os::Os;
use crate::policy::{Policy, Set};
use crate::record::{Origin, Record};
use crate::request::Difference;
use crate::size_class::classify;
use crate::violation::{Kind, Violation};
use core::sync::atomic::Ordering::Relaxed;

impl<O: Os, P: Policy> Heap<'_, O, P> {
    /// The object in a slot is what its caller says, or differs in a way that is only counted.
    #[inline(always)]
    pub(super) fn check_claim(
        &self,
        found: &Found<'_>,
        record: Record,
        claim: Claim,
    ) -> Outcome<()> {
        if P::SET.has(Set::EXACT) && claim.fits(record, found.region.room as usize) {
            return Ok(());
        }
        self.check_difference(found, record, claim)
    }

    #[cold]
    fn check_difference(&self, found: &Found<'_>, record: Record, claim: Claim) -> Outcome<()> {
        let room = found.region.room as usize;
        let is_exact = P::SET.has(Set::EXACT);
        // What the alignment was may not be known any more; an origin always is.
        let align = if record.is_taken_over() {
            claim.align().trailing_zeros()
        } else {
            record.align_log2()
        };
        let difference = claim.differs(record.origin(), align);
        if let Some(size) = claim.size() {
            let right = if is_exact && !record.is_taken_over() {
                size <= room && room - size == record.slack()
            } else {
                self.is_class_of(found.number, size, claim, record)
            };
            if !right {
                return Err(self.blame(found, Kind::WrongSize));
            }
        }
        match difference {
            None => Ok(()),
            Some(Difference::Align) if is_exact => Err(self.blame(found, Kind::WrongAlignment)),
            Some(Difference::Align) => Ok(()),
            Some(Difference::Interface) => {
                self.mismatch(record.origin(), claim, self.blame(found, Kind::WrongInterface))
            }
        }
    }

    /// Without exact records, and for objects whose size the program took over: the request would
    /// be served by this region.
    fn is_class_of(&self, number: usize, size: usize, claim: Claim, record: Record) -> bool {
        let request = super::Request { size, align: claim.align(), origin: record.origin() };
        classify(size, request.align, self.plan().page_shift).is_some_and(|class| {
            // One that was taken over may have been asked for with another size.
            let partition = self.region_of(class, &request);
            if record.is_taken_over() {
                partition / P::PARTITIONS == number / P::PARTITIONS
            } else {
                partition == number
            }
        })
    }

    /// An object of one interface was freed by another: fatal or counted, by the policy.
    pub(super) fn mismatch(
        &self,
        origin: Origin,
        claim: Claim,
        violation: Violation,
    ) -> Outcome<()> {
        let through_layouts = origin == Origin::Layout || claim.origin() == Some(Origin::Layout);
        if P::MATCHED || through_layouts {
            return Err(violation);
        }
        self.shared().mismatches.fetch_add(1, Relaxed);
        Ok(())
    }
}
