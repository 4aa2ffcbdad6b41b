//! The bugs, and what must come of each at once.

#![expect(unsafe_code, reason = "stray writes, frees that race")]

use super::Stop;
use super::marks::Mark;
use super::places::{Place, pages};
use super::program::Program;
use crate::bodies::bed::{Said, address, exact};
use crate::bodies::input::Input;
use crate::bodies::reach::{page, reach};
use crate::bodies::second::Who;
use casemate::heap::{Claim, Request};
use casemate::{Kind, Policy, Violation};
use std::alloc::Layout;
use std::cell::Cell;
use std::ptr::with_exposed_provenance_mut;
use std::sync::atomic::{AtomicBool, Ordering};

/// Longest stray write.
const LONGEST: usize = 70_000;

impl<P: Policy> Program<P> {
    /// Injects a bug of one of ten kinds, if there is an object for it.
    pub fn bug(&mut self, kind: u8, who: Who, input: &mut Input<'_>) -> Result<(), Stop> {
        let [which, how] = input.take();
        let done = match kind {
            0 => self.again(who, which, how),
            1 => self.wrongly(who, which, how),
            2 => self.inside(who, which, input),
            3 => self.never_given(who, which, how),
            4 => self.race(which, how),
            5 | 6 => self.stray(which, how, input, false),
            7 => self.stray(which, how | 3, input, false),
            _ => self.stray(which, how, input, true),
        }?;
        self.bugs += usize::from(done);
        Ok(())
    }

    /// A call that must be refused, by one of these kinds.
    fn refused<T>(&mut self, what: &str, said: Said<T>, kinds: &[Kind]) -> Result<bool, Stop> {
        self.bugs += 1;
        match said {
            Err(violation) if kinds.contains(&violation.kind) => Err(Stop::AtOnce(violation)),
            // The slot below may be looked at first, or a target for a copy be found damaged.
            Err(violation) => self.later(violation),
            Ok(_) => Err(format!("{what} was not found").into()),
        }
    }

    /// A second free, or a resize of what was freed.
    fn again(&mut self, who: Who, which: u8, how: u8) -> Result<bool, Stop> {
        let small = usize::from(which).checked_rem(self.dead.len());
        let dead = small.and_then(|n| self.dead.iter().nth(n)).map(|(&at, &layout)| (at, layout));
        let large = usize::from(which).checked_rem(self.dead_large.len());
        let large = large.map(|n| self.dead_large[n]);
        let Some((at, layout)) = (if how & 2 != 0 { dead.or(large) } else { large.or(dead) })
        else {
            return Ok(false);
        };
        let claim = Self::claim(layout, how & 4 != 0);
        let what = format!("a second free of {layout:?} at {at:#x} by {who:?}");
        let said = if how & 1 == 0 {
            self.bed.free(who, at, claim)
        } else {
            self.bed.resize(who, at, claim, Request::layout(layout)).map(|_| ())
        };
        self.refused(&what, said, &[Kind::DoubleFree])
    }

    /// A free or resize with a layout that is not the object's.
    fn wrongly(&mut self, who: Who, which: u8, how: u8) -> Result<bool, Stop> {
        let Some(at) = self.pick(which) else { return Ok(false) };
        let layout = self.live[&at].layout;
        let (size, align) = (layout.size(), layout.align());
        let more = size + 1 + (usize::from(how) << (how % 8));
        let wrong = match how % 4 {
            0 => Layout::from_size_align(more, align),
            1 if size > 1 => {
                Layout::from_size_align(size - 1 - usize::from(how) % (size - 1), align)
            }
            2 if align > 1 => Layout::from_size_align(size, align / 2),
            _ => Layout::from_size_align(size, align * 2),
        };
        let Ok(wrong) = wrong else { return Ok(false) };
        let what = format!("{layout:?} at {at:#x}, freed as {wrong:?} by {who:?},");
        let said = if how & 4 == 0 {
            self.bed.free(who, at, exact(wrong))
        } else {
            self.bed.resize(who, at, exact(wrong), Request::layout(layout)).map(|_| ())
        };
        self.refused(&what, said, &[Kind::WrongSize, Kind::WrongAlignment])
    }

    /// A free of an address inside an object.
    fn inside(&mut self, who: Who, which: u8, input: &mut Input<'_>) -> Result<bool, Stop> {
        let Some(at) = self.pick(which) else { return Ok(false) };
        let layout = self.live[&at].layout;
        if layout.size() < 2 {
            return Ok(false);
        }
        let by = 1 + input.below(layout.size() - 1);
        let by = if layout.size() > 16 && which & 1 == 0 { (by & !7).max(8) } else { by };
        let said = self.bed.free(who, at + by, Claim::ANY);
        let what = format!("a free of {by} bytes into {layout:?} at {at:#x}");
        self.refused(&what, said, &[Kind::InteriorPointer, Kind::MisalignedPointer])
    }

    /// A free of a slot that was never handed out, near an object.
    fn never_given(&mut self, who: Who, which: u8, how: u8) -> Result<bool, Stop> {
        let slot = self.pick(which).and_then(|at| self.slot(at));
        let Some(slot) = slot else { return Ok(false) };
        let at =
            slot.start.wrapping_add((slot.end - slot.start).wrapping_mul(usize::from(how) + 1));
        if self.used.contains(&at) || !self.bed.has_slots_at(at) {
            return Ok(false);
        }
        let said = self.bed.free(who, at, Claim::ANY);
        let kinds = [Kind::ForeignPointer, Kind::InteriorPointer, Kind::MisalignedPointer];
        self.refused(&format!("a free of {at:#x}, never handed out,"), said, &kinds)
    }

    /// Two threads free the same object, or one resizes it meanwhile.
    fn race(&mut self, which: u8, how: u8) -> Result<bool, Stop> {
        let Some(at) = self.pick(which) else { return Ok(false) };
        let object = self.live[&at];
        let claim = exact(object.layout);
        let new = Request::layout(object.layout);
        let go: &'static AtomicBool = Box::leak(Box::new(AtomicBool::new(false)));
        let theirs = move |heap: casemate::heap::Heap<'static, casemate::inside::Linux, P>| {
            while !go.load(Ordering::Acquire) {
                std::hint::spin_loop();
            }
            // SAFETY: none, deliberately: the other thread may be freeing it as well.
            unsafe { heap.free_claiming(at, claim) }
        };
        let moved_to = Cell::new(0);
        let (theirs, ours) = self.bed.race(theirs, |heap| {
            go.store(true, Ordering::Release);
            for _ in 0..u32::from(how >> 1) * 2 {
                std::hint::spin_loop();
            }
            if how & 1 == 0 {
                // SAFETY: none, deliberately, as above.
                unsafe { heap.free_claiming(at, claim) }
            } else {
                // SAFETY: as above; a layout's alignment.
                let moved = unsafe { heap.reallocate_claiming(at, claim, &new)? };
                moved_to.set(address(moved));
                Ok(())
            }
        });
        // SAFETY: made above; both threads are done with it.
        drop(unsafe { Box::from_raw(std::ptr::from_ref(go).cast_mut()) });
        let (theirs, ours) = (self.bed.heard(theirs), self.bed.heard(ours));
        self.bugs += 1;
        // Where the resize moved it, the model knows of neither.
        self.live.remove(&at);
        self.used.insert(at);
        match (theirs, ours) {
            // The owner was in the middle of it when the other came: the fold tells, which comes
            // before the slot is handed out again.
            (Ok(()), Ok(())) => match self.bed.verify() {
                Err(violation) if violation.kind == Kind::RacingFree => {
                    Err(Stop::AtOnce(violation))
                }
                // Resized in its place while the other freed it: its new canary is a stale write.
                Err(violation) if moved_to.get() == at && violation.address == at => {
                    Err(Stop::AtOnce(Violation { kind: Kind::RacingFree, ..violation }))
                }
                Err(violation) => self.later(violation),
                // Resized in its place, then freed: no race at all.
                Ok(_) if moved_to.get() == at => {
                    self.leave(at, &object);
                    Ok(false)
                }
                Ok(_) => Err(format!("both ends of {object:x?} at {at:#x} went well").into()),
            },
            // Whichever check notices first what the other thread does: that one is stopped.
            (Err(violation), _) | (_, Err(violation)) if violation.address == at => {
                Err(Stop::AtOnce(Violation { kind: Kind::RacingFree, ..violation }))
            }
            (Err(violation), _) | (_, Err(violation)) => self.later(violation),
        }
    }

    /// A write of any length at any distance from an object, live or freed.
    fn stray(
        &mut self,
        which: u8,
        how: u8,
        input: &mut Input<'_>,
        stale: bool,
    ) -> Result<bool, Stop> {
        let dead = usize::from(which).checked_rem(self.dead.len());
        let large = usize::from(which).checked_rem(self.dead_large.len());
        let base = match (stale, dead, large) {
            (true, Some(n), _) if how & 128 == 0 || large.is_none() => {
                self.dead.iter().nth(n).map(|(&at, &layout)| (at, layout))
            }
            (true, _, Some(n)) => Some(self.dead_large[n]),
            _ => self.pick(which).map(|at| (at, self.live[&at].layout)),
        };
        let Some((at, layout)) = base else { return Ok(false) };
        let [long, low, high] = input.take();
        let len = usize::from(u16::from_le_bytes([low, high]));
        let len = match long % 8 {
            0..=3 => 1 + len % 8,
            4 | 5 => 1 + len % 300,
            6 => 1 + len % 5000,
            _ => 1 + len % LONGEST,
        };
        let (from, _) = self.extent(at, layout.size());
        let start = match how & 7 {
            // A linear overflow, an underflow, a stale field, anywhere.
            0..=2 => at + layout.size(),
            3 => at + layout.size() + input.below(64),
            4 => at - (len % 64).max(1),
            5 => from + input.below(layout.size()),
            _ => at.wrapping_add_signed(input.distance()),
        };
        let pattern = input.byte();
        self.write(at, layout, start, len, pattern)
    }

    fn write(
        &mut self,
        at: usize,
        layout: Layout,
        start: usize,
        len: usize,
        pattern: u8,
    ) -> Result<bool, Stop> {
        // Nothing but this heap's own address space is written to.
        let is_small = self.bed.has_slots_at(at);
        let near = if is_small {
            self.bed.has_slots_at(start) && self.bed.has_slots_at(start + len)
        } else {
            // The guard on either side is a page at least.
            let (from, to) = pages(at, layout.size(), page());
            from - page() <= start && start < to + page()
        };
        if !near {
            return Ok(false);
        }
        // A large object's neighbours are not known to be ours.
        let len = if is_small {
            len
        } else {
            len.min(pages(at, layout.size(), page()).1 + page() - start)
        };
        let reached = reach(start, len);
        let must = self.first_guard(start, len);
        if reached > must {
            return Err(format!("a store went through the guard at {:#x}", start + must).into());
        }
        if reached < len {
            let hit = start + reached;
            if let Some((&live, object)) = self.live.range(..=hit).next_back()
                && hit < self.extent(live, object.layout.size()).1
            {
                return Err(
                    format!("{object:x?} at {live:#x} is not accessible at {hit:#x}").into()
                );
            }
        }
        self.mark(start, reached, pattern);
        if reached < len {
            self.bugs += 1;
            return Err(Stop::Fault);
        }
        Ok(true)
    }

    /// How far a store may come before it must fault: to a guard, or to freed large memory.
    fn first_guard(&self, start: usize, len: usize) -> usize {
        let bare = self.bed.heap().protections().unguarded_slabs != 0;
        let mut at = start;
        while at < start + len && !bare {
            at = match self.place(at) {
                _ if !self.bed.has_slots_at(at) => {
                    let within = |&(from, to): &(usize, usize)| from <= at && at < to;
                    let objects =
                        self.live.iter().map(|(&at, o)| pages(at, o.layout.size(), page()));
                    match { objects }.find(within) {
                        Some((_, to)) => to,
                        None => return at - start,
                    }
                }
                Place::Slot(slot) => slot.end,
                Place::Rest(to) => to,
                Place::Guard(_) | Place::Nowhere => return at - start,
            };
        }
        len
    }

    /// Writes, and marks what changed by what must find it.
    fn mark(&mut self, start: usize, len: usize, pattern: u8) {
        if len == 0 {
            return;
        }
        // SAFETY: these bytes were found accessible, and lie in slots or pages of this heap.
        let bytes = unsafe {
            std::slice::from_raw_parts_mut(with_exposed_provenance_mut::<u8>(start), len)
        };
        let purged = self.bed.heap().stats().class.map(|class| class.purged != 0);
        let mut changed = false;
        let mut at = start;
        while at < start + len {
            // A stretch of bytes with one meaning.
            let (to, owner, mark) = self.meaning(at, &purged);
            let to = to.min(start + len);
            for i in at..to {
                let byte = &mut bytes[i - start];
                let new = pattern.wrapping_add((i as u8).wrapping_mul(pattern & 1));
                if *byte == new {
                    continue;
                }
                let old = std::mem::replace(byte, new);
                changed = true;
                match owner.and_then(|owner| self.live.get_mut(&owner)) {
                    Some(object) => object.dirty = true,
                    None => self.marks.set(i, mark, old, new),
                }
            }
            at = to;
        }
        self.writes += usize::from(changed);
    }

    /// What a byte is: how far that goes, whose it is, and what finds a change of it.
    fn meaning(&self, at: usize, purged: &[bool]) -> (usize, Option<usize>, Mark) {
        let live = self.live.range(..=at).next_back();
        if let Some((&start, object)) = live {
            let end = start + object.layout.size();
            if at < end {
                return (end, Some(start), Mark::Loose);
            }
            let (_, to) = self.extent(start, object.layout.size());
            if at < to {
                let watched = self.slot(start).is_none_or(|slot| slot.has_canary);
                return (to, None, if watched { Mark::Watched(start) } else { Mark::Loose });
            }
        }
        match self.place(at) {
            _ if !self.bed.has_slots_at(at) => {
                // Before a large object, in its first page.
                let next = self.live.range(at..).next();
                match next.filter(|(start, _)| *start & !(page() - 1) <= at) {
                    Some((&start, _)) => (start, None, Mark::Watched(start)),
                    None => (at + 1, None, Mark::Loose),
                }
            }
            // A slab that was given back and taken again is as never used.
            Place::Slot(slot) if self.dead.contains_key(&slot.start) && !purged[slot.class] => {
                (slot.end, None, Mark::Freed(slot.start))
            }
            Place::Slot(slot) => (slot.end, None, Mark::Loose),
            Place::Rest(to) | Place::Guard(to) => (to, None, Mark::Loose),
            Place::Nowhere => (at + 1, None, Mark::Loose),
        }
    }
}
