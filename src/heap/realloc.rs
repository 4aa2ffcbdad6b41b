//! Layer: heap. Resizing: in place where the slot allows it, otherwise by a checked copy.

#![expect(unsafe_code, reason = "copies objects")]

use super::alloc::{Object, owns};
use super::free::Found;
use super::{Claim, Heap, Outcome, Request};
use crate::copy::copy;
use crate::large;
use crate::os::{Os, pointer};
use crate::policy::{Policy, Set};
use crate::record::Record;
use crate::size_class::classify;
use crate::violation::{Kind, Place, Violation};
use core::sync::atomic::Ordering::Relaxed;

/// Bytes of slack that a resize within a slot looks at, beyond what the object gets.
const NEAR: usize = 1024;

impl<'f, O: Os, P: Policy> Heap<'f, O, P> {
    /// Gives the object at `at` another size. `None`: no memory, and the object stays as it was.
    ///
    /// `old` is what it was allocated with, where the interface knows. What the object leaves
    /// behind, in its slot or elsewhere, is wiped.
    ///
    /// # Safety
    /// If a live object of this heap starts at `at`, it is the caller's to free, and nobody uses it
    /// meanwhile, nor what of it is given up or was left behind afterwards. Every other address is
    /// misuse that is found. The new alignment is a power of two.
    pub unsafe fn reallocate(
        &self,
        at: usize,
        old: Option<&Request>,
        new: &Request,
    ) -> Outcome<Object> {
        let claim = old.map_or(Claim::ANY, |&old| Claim::exact(old));
        // SAFETY: the caller's.
        unsafe { self.reallocate_claiming(at, claim, new) }
    }

    /// The same for an object of which the caller says this.
    ///
    /// # Safety
    /// That of [`reallocate`](Heap::reallocate).
    pub unsafe fn reallocate_claiming(
        &self,
        at: usize,
        old: Claim,
        new: &Request,
    ) -> Outcome<Object> {
        if !super::start::is_ready(self.frozen) {
            return Err(Violation::new(Kind::ForeignPointer).at(Place::Unknown, at));
        }
        self.notice_fork()?;
        let Some(found) = self.find_slot(at)? else {
            if self.is_nothing(at) {
                return self.reallocate_nothing(at, old, new);
            }
            return self.reallocate_large(at, old, new);
        };
        let stays = classify(new.size, new.align, self.plan().page_shift)
            .is_some_and(|class| self.region_of(class, new) == found.number);
        let thread = O::thread();
        let owner = found.group.others.owner.load(Relaxed);
        if let Some(entry) = self.enter(&thread)
            && owns(&entry, owner)
        {
            if stays {
                return self.resize_owned(&found, old, new);
            }
            let slot = found.id.slot as usize;
            let record = found.group.check_owned(slot).map_err(|kind| self.blame(&found, kind))?;
            self.check(&found, record, old)?;
            drop(entry);
            return self.copy_owned(&found, record, new);
        }
        if stays
            && let Some(Some(object)) = self.with_other(owner as usize, |entry| {
                let is_theirs = owns(entry, found.group.others.owner.load(Relaxed));
                if is_theirs { self.resize_owned(&found, old, new).map(Some) } else { Ok(None) }
            })?
        {
            return Ok(object);
        }
        self.copy_claimed(&found, old, new)
    }

    /// The owner, or who is inside of its heap, resizes within the slot.
    fn resize_owned(&self, found: &Found<'f>, old: Claim, new: &Request) -> Outcome<Object> {
        let slot = found.id.slot as usize;
        let record = found.group.check_owned(slot).map_err(|kind| self.blame(found, kind))?;
        // The rest stays where it is, watched: what grows in small steps would look at all of it
        // each time.
        let size = (found.region.room as usize).saturating_sub(record.slack());
        self.check_near(found, record, old, new.size.saturating_sub(size) + NEAR)?;
        self.resize(found, record, new)
    }

    fn resize(&self, found: &Found<'f>, record: Record, new: &Request) -> Outcome<Object> {
        let slack = found.region.room as usize - new.size;
        let memory = self.memory(found);
        let shape = Record::shape(slack, new.align.trailing_zeros(), new.origin);
        let slot = found.id.slot as usize;
        let changed =
            found.group.resize_owned(slot, shape).map_err(|kind| self.blame(found, kind))?;
        if found.region.has_canary() {
            // The generation stays, and the pattern with it.
            let words = self.plan().key.words(found.at, changed.generation());
            memory.reseal(record.slack(), slack, P::SET.has(Set::CANARY).then_some(words));
        }
        Ok(core::ptr::NonNull::new(pointer(found.at)))
    }

    /// The owner moves the object to another slot.
    fn copy_owned(&self, found: &Found<'f>, record: Record, new: &Request) -> Outcome<Object> {
        let Some(target) = self.allocate(*new)? else { return Ok(None) };
        let room = found.region.room as usize;
        let size = (room - record.slack()).min(new.size);
        // SAFETY: the target was just allocated with `new.size` bytes and is not the old slot,
        // which is still live.
        unsafe { self.memory(found).copy_to(target.as_ptr(), size) };
        // What its caller says was compared before.
        // SAFETY: the caller of `reallocate` may free it, and its contents are in the new place.
        unsafe { self.free_claiming(found.at, Claim::ANY)? };
        Ok(Some(target))
    }

    /// Someone else moves it: the object is claimed before a byte of it is read, so that a racing
    /// free can neither wipe it meanwhile nor hand it out.
    fn copy_claimed(&self, found: &Found<'f>, old: Claim, new: &Request) -> Outcome<Object> {
        // The target of a stale realloc could otherwise be the very slot that it names.
        let slot = found.id.slot as usize;
        found.group.check_live(slot).map_err(|kind| self.blame(found, kind))?;
        // The target first: a claim cannot be taken back.
        let Some(target) = self.allocate(*new)? else {
            return self.check_unclaimed(found, old).map(|()| None);
        };
        let claimed = self.claim(found, old)?;
        let room = found.region.room as usize;
        let size = (room - claimed.record.slack()).min(new.size);
        // SAFETY: as for the owner.
        unsafe { self.memory(found).copy_to(target.as_ptr(), size) };
        self.finish_claimed(found, claimed)?;
        Ok(Some(target))
    }

    /// There is no memory, so the object stays as it is: what [`claim`](Heap::claim) would have found
    /// wrong with it, as far as that can be told without claiming it.
    #[cold]
    fn check_unclaimed(&self, found: &Found<'f>, old: Claim) -> Outcome<()> {
        let slot = found.id.slot as usize;
        let record = found.group.check_owned(slot).map_err(|kind| self.blame(found, kind))?;
        self.check(found, record, old)
    }

    fn reallocate_large(&self, at: usize, old: Claim, new: &Request) -> Outcome<Object> {
        let small = classify(new.size, new.align, self.plan().page_shift).is_some();
        if !small {
            let heeded = self.heeded_limit();
            let mut moved = large::resize::<O, P>(&self.grounds(), at, old, new)?;
            if moved.is_none() && self.heed_limit() != heeded {
                moved = large::resize::<O, P>(&self.grounds(), at, old, new)?;
            }
            if moved.is_some() {
                return Ok(moved);
            }
            return self.retry(new.size.max(new.align), || {
                large::resize::<O, P>(&self.grounds(), at, old, new)
            });
        }
        // It moves into a slot. An object that shares its page's end with a guard (a sampled
        // one) comes here too.
        // 0 for what is no live object: the free below says what is wrong with it.
        let Some(size) = large::size_of_object::<O>(&self.grounds(), at) else { return Ok(None) };
        let Some(target) = self.allocate(*new)? else {
            return large::check::<O, P>(&self.grounds(), at, old).map(|()| None);
        };
        // SAFETY: the old object is live with `size` bytes; the target is another object.
        unsafe { copy(pointer(at), target.as_ptr(), size.min(new.size)) };
        large::free::<O, P>(&self.grounds(), at, old)?;
        Ok(Some(target))
    }
}
