//! Any `usize` as a pointer, to everything that takes one: a live object, or a rejection of the
//! right kind that changes nothing; never a crash of the decoder.

#![expect(unsafe_code, reason = "looks into objects")]

use super::Finding;
use super::bed::{Bed, Said, address, exact};
use super::content::{difference, fill};
use super::fault::Fault;
use super::input::Input;
use super::second::Who;
use casemate::heap::{Access, Claim, Request};
use casemate::{Kind, Policy, Violation};
use std::alloc::Layout;
use std::collections::BTreeMap;
use std::ptr::with_exposed_provenance_mut;

/// Steps of one input that are carried out.
const STEPS: usize = 300;
/// Live objects, at most.
const MOST: usize = 200;

/// What was done.
#[derive(Clone, Copy, Debug, Default)]
pub struct Summary {
    /// Inputs.
    pub inputs: usize,
    /// Addresses tried that are an object's.
    pub hits: usize,
    /// That are none's.
    pub misses: usize,
    /// Of those, by kind of answer: double free, foreign, interior, misaligned.
    pub answers: [usize; 4],
    /// Of those, inside an object or its slot.
    pub interior: usize,
}

#[derive(Clone, Copy, Debug)]
struct Object {
    size: usize,
    align: usize,
    seed: u64,
    /// The program has taken over the whole slot: its size is not known any more.
    taken: bool,
}

struct Pointers<'s, P: Policy> {
    bed: Bed<P>,
    live: BTreeMap<usize, Object>,
    /// Where objects were, and what was there last. Not large ones: the table forgets them.
    dead: BTreeMap<usize, Layout>,
    seed: u64,
    /// Resizes that were refused: the heap may have made room for a copy before it looked, and
    /// lost it with the process that would end here.
    lost: usize,
    stack: usize,
    summary: &'s mut Summary,
}

/// Runs an input.
pub fn run<P: Policy>(bytes: &[u8], fault: Fault, summary: &mut Summary) -> Result<(), Finding> {
    let mut input = Input::new(bytes);
    let [mode, population] = input.take();
    let on_stack = 0u64;
    let mut pointers = Pointers::<P> {
        bed: Bed::new(mode, fault),
        live: BTreeMap::new(),
        dead: BTreeMap::new(),
        seed: 0,
        lost: 0,
        stack: (&raw const on_stack).expose_provenance(),
        summary,
    };
    pointers.summary.inputs += 1;
    pointers.populate(population, mode)?;
    for _ in 0..STEPS {
        // After a lost copy the model is not all there is.
        if input.is_empty() || pointers.lost != 0 {
            break;
        }
        pointers.step(&mut input)?;
    }
    pointers.end()
}

fn right<T>(said: Said<T>) -> Result<T, Finding> {
    said.map_err(|violation| format!("a right use was refused: {violation:?}"))
}

fn layout(object: &Object) -> Layout {
    Layout::from_size_align(object.size, object.align).expect("it was allocated with this")
}

impl<P: Policy> Pointers<'_, P> {
    /// Objects of several classes, of pages, large ones and some of no bytes; some are freed.
    fn populate(&mut self, byte: u8, mode: u8) -> Result<(), Finding> {
        let sizes = [1, 24, 100, 500, 1000, 4000, 4096, 9000, 40_000, 70_000, 2 << 20];
        for i in 0..usize::from(byte % 32) {
            let size = sizes[(i * 5 + usize::from(byte >> 5)) % sizes.len()];
            let align = if size == 4096 { 4096 } else { 16 };
            self.allocate(Who::of((i as u8) & (mode >> 2)), size, align)?;
        }
        for i in 0..self.live.len() / 3 {
            if let Some((&at, _)) = self.live.iter().nth(i * 2) {
                self.free(Who::of(i as u8), at, true)?;
            }
        }
        Ok(())
    }

    fn step(&mut self, input: &mut Input<'_>) -> Result<(), Finding> {
        let [kind, who] = input.take();
        let who = Who::of(who);
        match kind % 16 {
            0 => {
                let (size, align) = input.request(64 << 10);
                self.allocate(who, size, align)
            }
            1 => self.nothing(who),
            2..=5 => {
                let at = self.address(input);
                let claim = match kind >> 4 {
                    0..=7 => None,
                    n => Some(1usize << n),
                };
                self.free_any(who, at, claim)
            }
            6..=8 => {
                let at = self.address(input);
                self.take_over(who, at)
            }
            9..=11 => {
                let at = self.address(input);
                // A refused one ends the input, so there are few.
                if kind >> 4 != 0 && !self.live.contains_key(&at) {
                    return self.look(at, 1);
                }
                self.resize(who, at, 1 << (kind >> 4), kind & 16 != 0)
            }
            _ => {
                let at = self.address(input);
                self.look(at, input.below(5000))
            }
        }
    }

    /// An address: anything at all, or next to something.
    fn address(&self, input: &mut Input<'_>) -> usize {
        let [how, which] = input.take();
        let plan = *self.bed.plan();
        let pick = |n: usize| usize::from(which) % n.max(1);
        let base = match how % 12 {
            0 => return input.word() as usize,
            1..=3 => self.live.keys().nth(pick(self.live.len())).copied(),
            4 | 5 => self.dead.keys().nth(pick(self.dead.len())).copied(),
            6 => {
                // A slot of some slab of some region, handed out or not.
                let region = &plan.region[usize::from(which) % plan.regions];
                let slab = input.below(8) << region.shape.stride_shift;
                let slot =
                    input.below(usize::from(region.shape.slots)) * region.shape.slot as usize;
                Some(region.base + slab + slot)
            }
            7 => {
                let number = usize::from(which) % (plan.regions + 1);
                Some(plan.slots + (number << plan.region_shift))
            }
            8 => Some(plan.meta.0 + pick(2) * plan.meta.1),
            9 => Some([plan.large.0, plan.large.0 + plan.large.1, plan.nothing.start][pick(3)]),
            10 => {
                let statics = &raw const STATIC;
                let code = Self::right_here as *const ();
                Some(
                    [0, statics.expose_provenance(), code.expose_provenance(), self.stack][pick(4)],
                )
            }
            _ => {
                let at = self.live.keys().nth(pick(self.live.len())).copied();
                return at.unwrap_or(0) ^ 1 << (input.byte() % 64);
            }
        };
        let distance = if how >= 100 { 0 } else { input.distance() };
        base.unwrap_or(plan.shared).wrapping_add_signed(distance)
    }

    fn right_here() {}

    /// The object whose bytes or slot an address lies in.
    fn around(&self, at: usize) -> Option<(usize, Object)> {
        let (&start, object) = self.live.range(..=at).next_back()?;
        (at - start < object.size.max(1)).then_some((start, *object))
    }

    fn allocate(&mut self, who: Who, size: usize, align: usize) -> Result<(), Finding> {
        if self.live.len() >= MOST {
            return Ok(());
        }
        self.seed += 1;
        let object = Object { size, align, seed: self.seed << 32, taken: false };
        match right(self.bed.allocate(who, layout(&object)))? {
            0 => Err(format!("no memory for {object:?}")),
            at => self.enter(at, object),
        }
    }

    fn nothing(&mut self, who: Who) -> Result<(), Finding> {
        let (heap, request) = (self.bed.heap(), Request::layout(Layout::new::<()>()));
        let at = right(who.does(move || heap.allocate_nothing(request).map(address)))?;
        self.enter(at, Object { size: 0, align: 1, seed: 0, taken: false })
    }

    fn enter(&mut self, at: usize, object: Object) -> Result<(), Finding> {
        let end = at + object.size.max(1);
        if let Some((start, other)) = self.live.range(..end).next_back()
            && start + other.size.max(1) > at
        {
            return Err(format!("{object:x?} at {at:#x} overlaps {other:x?} at {start:#x}"));
        }
        fill(bytes(at, &object), object.seed);
        self.dead.remove(&at);
        self.live.insert(at, object);
        Ok(())
    }

    /// Takes an object out: it is about to be freed or moved.
    fn leave(&mut self, at: usize) -> Result<Object, Finding> {
        let object = self.live.remove(&at).ok_or("not live")?;
        self.holds(at, &object)?;
        if self.bed.has_slots_at(at) {
            self.dead.insert(at, layout(&object));
        }
        Ok(object)
    }

    fn holds(&self, at: usize, object: &Object) -> Result<(), Finding> {
        match difference(bytes(at, object), object.size, object.seed) {
            None => Ok(()),
            Some(offset) => Err(format!("{object:x?} at {at:#x} changed at {offset}")),
        }
    }

    fn free(&mut self, who: Who, at: usize, claimed: bool) -> Result<(), Finding> {
        let object = self.leave(at)?;
        let claim = if claimed && !object.taken { exact(layout(&object)) } else { Claim::ANY };
        right(self.bed.free(who, at, claim))
    }

    fn free_any(&mut self, who: Who, at: usize, size: Option<usize>) -> Result<(), Finding> {
        if self.live.contains_key(&at) {
            self.summary.hits += 1;
            return self.free(who, at, size.is_some());
        }
        let claim = size.map_or(Claim::ANY, |size| {
            exact(Layout::from_size_align(size, 8).expect("a power of two below 2^16"))
        });
        let said = self.bed.free(who, at, claim);
        self.refused(at, "free", said.map(|()| 0))
    }

    fn take_over(&mut self, who: Who, at: usize) -> Result<(), Finding> {
        let heap = self.bed.heap();
        // SAFETY: the heap's objects are the body's alone, and the other thread waits.
        let said = who.does(move || unsafe { heap.take_over(at) });
        let said = self.bed.heard(said);
        let Some(object) = self.live.get(&at).copied() else {
            return self.refused(at, "take_over", said);
        };
        self.summary.hits += 1;
        let room = right(said)?;
        if room < object.size || object.taken && room != object.size {
            return Err(format!("{room} bytes are said to be in {object:x?} at {at:#x}"));
        }
        // What was taken over must be the program's: another object may not be there.
        self.live.remove(&at);
        self.holds(at, &object)?;
        let taken = object.size != 0;
        self.enter(at, Object { size: room, taken: taken || object.taken, ..object })
    }

    fn resize(&mut self, who: Who, at: usize, size: usize, silent: bool) -> Result<(), Finding> {
        let align = 1 << (size.trailing_zeros() % 5);
        let new = Object { size, align, seed: 0, taken: false };
        let Some(object) = self.live.get(&at).copied() else {
            let said = self.bed.resize(who, at, Claim::ANY, Request::layout(layout(&new)));
            self.lost += 1;
            return self.refused(at, "resize", said);
        };
        self.summary.hits += 1;
        self.leave(at)?;
        let claim = if silent || object.taken { Claim::ANY } else { exact(layout(&object)) };
        match right(self.bed.resize(who, at, claim, Request::layout(layout(&new))))? {
            0 => Err(format!("no memory for {new:?}")),
            now => {
                let kept = object.size.min(size);
                if let Some(offset) =
                    difference(&bytes(now, &new)[..kept], object.size, object.seed)
                {
                    return Err(format!("{object:x?} at {at:#x} lost {offset} at {now:#x}"));
                }
                self.seed += 1;
                self.enter(now, Object { seed: self.seed << 32, ..new })
            }
        }
    }

    /// What an operation says of an address that is no object's.
    fn refused(&mut self, at: usize, what: &str, said: Said<usize>) -> Result<(), Finding> {
        self.summary.misses += 1;
        let kind = match said {
            Err(Violation { kind, .. }) => kind,
            Ok(value) => {
                return Err(format!("{what} of {at:#x}, which is nothing, gave {value:#x}"));
            }
        };
        let around = self.around(at);
        self.summary.interior += usize::from(around.is_some());
        let fits = match kind {
            // Where an object was.
            Kind::DoubleFree => {
                self.summary.answers[0] += 1;
                self.dead.contains_key(&at)
                    || !self.bed.has_slots_at(at) && at & 7 == 0 && around.is_none()
            }
            Kind::ForeignPointer => {
                self.summary.answers[1] += 1;
                around.is_none() && !self.dead.contains_key(&at)
            }
            Kind::InteriorPointer => {
                self.summary.answers[2] += 1;
                at & 7 == 0
            }
            Kind::MisalignedPointer => {
                self.summary.answers[3] += 1;
                at & 7 != 0
            }
            // Of an object of no bytes that has gone.
            Kind::WrongSize => self.bed.plan().nothing.contains(at),
            _ => false,
        };
        if fits { Ok(()) } else { Err(format!("{what} of {at:#x} is {kind:?}, near {around:x?}")) }
    }

    /// What is said of bytes from an address on, without touching them.
    fn look(&mut self, at: usize, len: usize) -> Result<(), Finding> {
        let heap = self.bed.heap();
        let (behind, size) = (heap.bytes_behind(at), heap.object_size(at));
        let may = heap.may_access(at, len);
        let says = [Access::Read, Access::Write].map(|access| heap.check_access(at, len, access));
        if !self.bed.has_slots_at(at) {
            let known = if self.bed.plan().nothing.contains(at) { 0 } else { usize::MAX };
            let right = behind == known && says.iter().all(Result::is_ok);
            return expect(right, || format!("{at:#x} is no slot's: {behind:#x}, {says:?}"));
        }
        let left = match self.around(at) {
            Some((start, object)) => start + object.size - at,
            None => 0,
        };
        let right = behind == left && size == left && (len == 0 || may == (len <= left));
        expect(right, || format!("{at:#x}: {left} bytes are left, not {behind:#x} or {size:#x}"))?;
        // A violation only where an access would be wrong; none where it would fault anyway.
        let right = len == 0 || len > left || says.iter().all(Result::is_ok);
        expect(right, || format!("{len} of {left} bytes at {at:#x}: {says:?}"))
    }

    /// Everything is as the model has it.
    fn end(mut self) -> Result<(), Finding> {
        let real = self.live.values().filter(|object| object.size != 0).count();
        let seen = right(self.bed.verify())?;
        let count = seen.objects + seen.large;
        expect((real..=real + self.lost).contains(&count), || {
            format!("the heap has {seen:?}, the model {real} objects")
        })?;
        let all: Vec<usize> = self.live.keys().copied().collect();
        for (i, at) in all.into_iter().enumerate() {
            self.free(Who::of(i as u8), at, i % 2 == 0)?;
        }
        let seen = right(self.bed.verify())?;
        expect(seen.objects + seen.large <= self.lost, || {
            format!("all was freed, and {seen:?} is left")
        })
    }
}

static STATIC: u64 = 0;

fn bytes(at: usize, object: &Object) -> &'static mut [u8] {
    if object.size == 0 {
        return &mut [];
    }
    // SAFETY: live with this size, and the body has the only use of it.
    unsafe { std::slice::from_raw_parts_mut(with_exposed_provenance_mut(at), object.size) }
}

fn expect(holds: bool, what: impl Fn() -> Finding) -> Result<(), Finding> {
    if holds { Ok(()) } else { Err(what()) }
}
