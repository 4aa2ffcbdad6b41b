//! Layer: heap. How many bytes there are: the whole slot, for programs that ask in order to use
//! it, and what is left of an object behind any pointer into it.

#![expect(unsafe_code, reason = "hands what was watched to the program")]

use super::{Claim, Heap, Outcome};
use crate::bitmap::bit;
use crate::large;
use crate::os::Os;
use crate::policy::Policy;
use crate::record::Record;
use crate::slab::meta::group;
use crate::violation::{Kind, Place, Violation};
use core::sync::atomic::Ordering::{Acquire, Relaxed, Release};

/// Turns that a call waits for another that takes over the same object: one that a signal handler
/// interrupted does not go on before that ends.
const WAITS: u32 = 1 << 14;

impl<O: Os, P: Policy> Heap<'_, O, P> {
    /// The bytes that the program may use of the object at `at`, and does from now on: what was
    /// watched between its end and its canary becomes part of it, zeroed.
    ///
    /// # Safety
    /// If a live object of this heap starts at `at`, the caller may use all of it, and nobody frees
    /// or resizes it meanwhile; others look at its canary only, which stays, or ask the same. Every
    /// other address is misuse that is found.
    pub unsafe fn take_over(&self, at: usize) -> Outcome<usize> {
        if !super::start::is_ready(self.frozen) {
            return Err(Violation::new(Kind::ForeignPointer).at(Place::Unknown, at));
        }
        self.notice_fork()?;
        let Some(found) = self.find_slot(at)? else {
            if self.is_nothing(at) {
                return self.take_over_nothing(at);
            }
            // A signal handler that interrupted the table's own lock learns the least there is.
            return Ok(large::take_over::<O, P>(&self.grounds(), at)?.unwrap_or(0));
        };
        let slot = found.id.slot as usize;
        let room = found.region.room as usize;
        found.group.check_live(slot).map_err(|kind| self.blame(&found, kind))?;
        if found.group.others.claim.load(Relaxed) & bit(slot) != 0 {
            return Err(self.blame(&found, Kind::DoubleFree));
        }
        let Some(word) = found.group.records.get(slot) else {
            return Err(self.blame(&found, Kind::Metadata));
        };
        let first = Record::from_bits(word.load(Acquire));
        for _ in 0..WAITS {
            // Acquire: what another call of this has wiped is not the program's before that.
            let record = Record::from_bits(word.load(Acquire));
            if record.generation() != first.generation() {
                return Err(self.blame(&found, Kind::RacingFree));
            }
            if record.slack() == 0 {
                break;
            }
            if record.is_taken_over() {
                O::pause();
                continue;
            }
            let being = record.being_taken_over().bits();
            if word.compare_exchange(record.bits(), being, Relaxed, Relaxed).is_err() {
                continue;
            }
            // Of several that ask at once this one looks and wipes.
            self.check(&found, record, Claim::ANY)?;
            self.memory(&found).wipe_part(room - record.slack(), room);
            word.store(record.taken_over().bits(), Release);
            break;
        }
        Ok(room)
    }

    /// The most bytes that may be accessed from `at` on: to the end of the object that it lies in;
    /// 0 in memory of this heap that belongs to no object; `usize::MAX` where this heap knows
    /// nothing of the address. Takes no lock; large objects are not known.
    #[inline]
    pub fn bytes_behind(&self, at: usize) -> usize {
        if !super::start::is_ready(self.frozen) {
            return usize::MAX;
        }
        let plan = self.plan();
        let number = at.wrapping_sub(plan.slots) >> plan.region_shift;
        let Some(region) = self.region_at(number) else {
            return if self.is_nothing(at) { 0 } else { usize::MAX };
        };
        let Some(state) = self.shared().region.get(number) else { return usize::MAX };
        let Some((id, offset)) = region.locate(at, state.frontier()) else { return 0 };
        let group = group(region, id.slab, id.group as usize);
        let slot = id.slot as usize;
        // Claimed: another thread has freed it, and its owner has not taken notice yet.
        let live = group.own.live.load(Acquire) & !group.others.claim.load(Relaxed);
        if live & bit(slot) == 0 {
            return 0;
        }
        match group.record(slot) {
            Ok(record) => (region.room as usize - record.slack()).saturating_sub(offset),
            Err(_) => 0,
        }
    }

    /// The same, with large objects, where `at` is the start of one.
    pub fn object_size(&self, at: usize) -> usize {
        if !super::start::is_ready(self.frozen) {
            return usize::MAX;
        }
        let (window, len) = self.plan().large;
        if at.wrapping_sub(window) >= len {
            return self.bytes_behind(at);
        }
        if self.notice_fork().is_err() {
            return usize::MAX;
        }
        match large::size_of_object::<O>(&self.grounds(), at) {
            Some(size) if size != 0 => size,
            _ => usize::MAX,
        }
    }
}
