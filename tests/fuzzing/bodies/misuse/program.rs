//! Right use by two threads, and the model of what is live. What the heap does of what it must
//! not, after a bug or without one, is seen here.

#![expect(unsafe_code, reason = "looks into objects")]

use super::Stop;
use super::marks::{Mark, Marks};
use super::places::{Place, Slot, pages, place};
use crate::bodies::Finding;
use crate::bodies::bed::{Bed, exact};
use crate::bodies::content::{difference, fill, nonzero};
use crate::bodies::fault::Fault;
use crate::bodies::input::Input;
use crate::bodies::reach::page;
use crate::bodies::second::Who;
use casemate::heap::{Claim, Request};
use casemate::policy::Set;
use casemate::{Kind, Policy, Violation};
use std::alloc::Layout;
use std::collections::{BTreeMap, BTreeSet};
use std::ptr::with_exposed_provenance_mut;

/// Live objects, at most.
const MOST: usize = 300;
/// Large objects that still wait after their free: fewer than the heap keeps.
const WAITING: usize = 12;

/// A live object.
#[derive(Clone, Copy, Debug)]
pub struct Object {
    /// As asked for.
    pub layout: Layout,
    /// Of its contents.
    pub seed: u64,
    /// A stray write changed some of its bytes.
    pub dirty: bool,
    /// Who allocated it.
    pub by: Who,
}

/// The program between two steps.
pub struct Program<P: Policy> {
    pub bed: Bed<P>,
    pub live: BTreeMap<usize, Object>,
    /// Freed slots that were not handed out again.
    pub dead: BTreeMap<usize, Layout>,
    /// The same for the latest large objects.
    pub dead_large: Vec<(usize, Layout)>,
    /// Slots that were handed out at least once.
    pub used: BTreeSet<usize>,
    pub marks: Marks,
    pub bugs: usize,
    pub writes: usize,
    largest: usize,
    seed: u64,
}

impl<P: Policy> Program<P> {
    /// A program that has allocated nothing.
    pub fn new(input: &mut Input<'_>, fault: Fault) -> Self {
        let [mode, size] = input.take();
        let largest = match size % 16 {
            0 | 1 => 2 << 20,
            2..=4 => 64 << 10,
            5..=8 => 8 << 10,
            _ => 512,
        };
        Program {
            bed: Bed::new(mode, fault),
            live: BTreeMap::new(),
            dead: BTreeMap::new(),
            dead_large: Vec::new(),
            used: BTreeSet::new(),
            marks: Marks::default(),
            bugs: 0,
            writes: 0,
            largest,
            seed: 0,
        }
    }

    /// One step: right use, mostly.
    pub fn step(&mut self, input: &mut Input<'_>) -> Result<(), Stop> {
        let [kind, which] = input.take();
        let who = Who::of(which);
        match kind % 32 {
            0..=9 => {
                let (size, align) = input.request(self.largest);
                // Often enough of one kind that slots have neighbours.
                let times = [1, 1, 4, 20][usize::from(kind >> 5) % 4];
                let layout = Layout::from_size_align(size, align).map_err(|e| e.to_string())?;
                (0..times).try_for_each(|_| self.allocate(who, layout))
            }
            10..=16 => match self.pick(which) {
                Some(at) => self.free(who, at),
                None => Ok(()),
            },
            17..=19 => match self.pick(which) {
                Some(at) => self.resize(who, at, input.request(self.largest).0),
                None => Ok(()),
            },
            20 => (0..usize::from(which)).try_for_each(|i| {
                self.pick(i as u8 ^ which).map_or(Ok(()), |at| self.free(who, at))
            }),
            21 => self.walk(false),
            _ => self.bug(kind % 32 - 22, who, input),
        }
    }

    /// A live object.
    pub fn pick(&self, which: u8) -> Option<usize> {
        let n = usize::from(which).checked_rem(self.live.len())?;
        self.live.keys().nth(n).copied()
    }

    /// What an address of the slot span is.
    pub fn place(&self, at: usize) -> Place {
        place(self.bed.plan(), P::PARTITIONS, at)
    }

    /// The slot that holds an object; none for a large one.
    pub fn slot(&self, at: usize) -> Option<Slot> {
        match self.place(at) {
            Place::Slot(slot) if self.bed.has_slots_at(at) => Some(slot),
            _ => None,
        }
    }

    /// All that the heap keeps for an object: its slot, or its pages.
    pub fn extent(&self, at: usize, size: usize) -> (usize, usize) {
        match self.slot(at) {
            Some(slot) => (slot.start, slot.end),
            None => pages(at, size, page()),
        }
    }

    fn allocate(&mut self, who: Who, layout: Layout) -> Result<(), Stop> {
        if self.live.len() >= MOST {
            return Ok(());
        }
        match self.bed.allocate(who, layout) {
            Ok(0) => Err(format!("no memory for {layout:?}").into()),
            Ok(at) => self.enter(who, at, layout, 0),
            Err(violation) => self.later(violation),
        }
    }

    /// The heap says that an object is here, zero from `kept` bytes on.
    fn enter(&mut self, by: Who, at: usize, layout: Layout, kept: usize) -> Result<(), Stop> {
        let (from, to) = self.extent(at, layout.size());
        if let Some((&other, there)) = self.live.range(..to).next_back()
            && self.extent(other, there.layout.size()).1 > from
        {
            return Err(format!("{layout:?} at {at:#x} overlaps {there:x?} at {other:#x}").into());
        }
        if !at.is_multiple_of(layout.align()) || at + layout.size() > to {
            return Err(format!("{layout:?} at {at:#x} does not lie in {from:#x}..{to:#x}").into());
        }
        if self.marks.within(from, to).any(|(_, mark)| mark == Mark::Freed(from)) {
            let what = "was written to after its free and was handed out";
            return Err(format!("{layout:?} at {at:#x} {what}").into());
        }
        self.seed += 1;
        let object = Object { layout, seed: self.seed << 32, dirty: false, by };
        let clean = !self.marks.any_within(from, to);
        if clean
            && P::SET.has(Set::WIPE)
            && let Some(offset) = nonzero(&bytes(at, &object)[kept..])
        {
            return Err(format!("{object:x?} at {at:#x} is not zero at {kept} + {offset}").into());
        }
        self.marks.clear(from, to);
        fill(bytes(at, &object), object.seed);
        self.dead.remove(&at);
        self.dead_large.retain(|&(dead, _)| dead != at);
        self.used.insert(at);
        self.live.insert(at, object);
        Ok(())
    }

    /// The object holds what the program wrote, unless a stray write hit it.
    pub fn holds(&self, at: usize, object: &Object) -> Result<(), Finding> {
        if object.dirty {
            return Ok(());
        }
        match difference(bytes(at, object), object.layout.size(), object.seed) {
            None => Ok(()),
            Some(offset) => Err(format!("{object:x?} at {at:#x} changed at {offset}")),
        }
    }

    /// Whether the end of this object's life, by this thread, must find a changed byte.
    fn must_find(&self, who: Who, at: usize, object: &Object) -> bool {
        let (from, to) = self.extent(at, object.layout.size());
        self.marks.is_watched(at, from, to) || self.must_find_below(who, at, object)
    }

    /// The same for the canary of the slot below: for the thread that has the slab, and an object
    /// there or a slot that was never used. (One that was freed may be on its way home.)
    fn must_find_below(&self, who: Who, at: usize, object: &Object) -> bool {
        let Some(slot) = self.slot(at).filter(|slot| slot.has_canary && slot.slab != at) else {
            return false;
        };
        let below = slot.start - (slot.end - slot.start);
        let known = match self.live.get(&below) {
            Some(there) => there.by == who,
            None => !self.used.contains(&below),
        };
        object.by == who
            && !self.bed.has_guest(who)
            && known
            && self.marks.any_within(slot.start - 8, slot.start)
    }

    fn free(&mut self, who: Who, at: usize) -> Result<(), Stop> {
        let Some(object) = self.live.get(&at).copied() else { return Ok(()) };
        self.holds(at, &object)?;
        let must = self.must_find(who, at, &object);
        match self.bed.free(who, at, exact(object.layout)) {
            Ok(()) if must => {
                Err(format!("{object:x?} at {at:#x} is damaged and was freed").into())
            }
            Ok(()) => {
                self.leave(at, &object);
                Ok(())
            }
            Err(violation) => self.later(violation),
        }
    }

    /// The object has gone.
    pub fn leave(&mut self, at: usize, object: &Object) {
        self.live.remove(&at);
        let (from, to) = self.extent(at, object.layout.size());
        self.marks.clear(from, to);
        if self.slot(at).is_some() {
            self.dead.insert(at, object.layout);
            return;
        }
        self.dead_large.push((at, object.layout));
        if self.dead_large.len() > WAITING {
            self.dead_large.remove(0);
        }
    }

    fn resize(&mut self, who: Who, at: usize, size: usize) -> Result<(), Stop> {
        let Some(object) = self.live.get(&at).copied() else { return Ok(()) };
        self.holds(at, &object)?;
        let layout =
            Layout::from_size_align(size, object.layout.align()).map_err(|e| e.to_string())?;
        let (from, to) = self.extent(at, object.layout.size());
        // A resize in place looks at no neighbour.
        let must = self.marks.is_watched(at, from, to);
        match self.bed.resize(who, at, exact(object.layout), Request::layout(layout)) {
            Ok(0) => Err(format!("no memory for {layout:?}").into()),
            Ok(_) if must => Err(format!("{object:x?} at {at:#x} is damaged, was resized").into()),
            Ok(now) => {
                self.leave(at, &object);
                let kept = size.min(object.layout.size());
                let by = if now == at { object.by } else { who };
                let moved = Object { layout, ..object };
                if !object.dirty
                    && let Some(offset) =
                        difference(&bytes(now, &moved)[..kept], object.layout.size(), object.seed)
                {
                    return Err(format!("{object:x?} lost {offset} at {now:#x}").into());
                }
                self.enter(by, now, layout, kept)
            }
            Err(violation) => self.later(violation),
        }
    }

    /// Right use was refused: because of a byte that a stray write changed, where the heap says.
    pub fn later<T>(&self, violation: Violation) -> Result<T, Stop> {
        if self.explains(&violation) {
            return Err(Stop::Later(violation));
        }
        let near: Vec<_> = self.marks.all().take(8).collect();
        Err(format!("right use was refused: {violation:x?}; changed bytes: {near:x?}").into())
    }

    fn explains(&self, violation: &Violation) -> bool {
        let at = violation.address;
        let size = self.live.get(&at).map_or(0, |object| object.layout.size());
        // A whole group is looked at before its slab is given back.
        if let (Kind::WriteAfterFreePurge, Some(slot)) = (violation.kind, self.slot(at)) {
            return self.marks.any_within(slot.slab, slot.next_slab);
        }
        let (from, to) = self.extent(at, size);
        self.marks.explain(violation, from, to, from.saturating_sub(to - from))
    }

    /// Walks over the invariants; whatever must be seen there is. `over`: the program has ended,
    /// and a violation with it.
    pub fn walk(&mut self, over: bool) -> Result<(), Stop> {
        let must = self.marks.all().find(|&(at, mark)| match mark {
            Mark::Watched(start) => match self.slot(start) {
                Some(slot) => at >= slot.end - 8,
                None => true,
            },
            Mark::Freed(_) => true,
            Mark::Loose => false,
        });
        match (self.bed.verify(), must) {
            (Err(violation), _) => self.later(violation),
            (Ok(seen), Some(mark)) if !over => {
                Err(format!("{seen:?} is whole with {mark:x?}").into())
            }
            (Ok(seen), _) => {
                let found = seen.objects + seen.large;
                if !over && found != self.live.len() {
                    let live = self.live.len();
                    return Err(format!("the heap has {seen:?}, the model {live} objects").into());
                }
                Ok(())
            }
        }
    }

    /// After a violation or a fault, where the process would end: what is live holds what it
    /// held, and the records agree.
    pub fn after(mut self, violation: Option<Violation>) -> Result<(), Finding> {
        for (&at, object) in &self.live {
            self.holds(at, object)?;
        }
        // A race that was lost leaves a slot claimed and free: that is how it is told.
        if violation.is_some_and(|violation| violation.kind == Kind::RacingFree) {
            return Ok(());
        }
        match self.walk(violation.is_some()) {
            Err(Stop::Finding(what)) => Err(format!("after {violation:x?}: {what}")),
            _ => Ok(()),
        }
    }

    /// The program's end: everything is freed, by the thread that allocated it.
    pub fn end(mut self) -> Result<(), Stop> {
        self.walk(false)?;
        while let Some((&at, object)) = self.live.first_key_value() {
            self.free(object.by, at)?;
        }
        self.walk(false)
    }

    /// What the program says when it frees this.
    pub fn claim(layout: Layout, honest: bool) -> Claim {
        if honest { exact(layout) } else { Claim::ANY }
    }
}

fn bytes(at: usize, object: &Object) -> &'static mut [u8] {
    // SAFETY: live with this size, and the program has the only use of it.
    unsafe { std::slice::from_raw_parts_mut(with_exposed_provenance_mut(at), object.layout.size()) }
}
