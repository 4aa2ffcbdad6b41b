//! Chains of resizes: contents, alignment, size to the byte, zeroes in what was grown, the same
//! place for two objects never; sizes that cannot be had and claims that are wrong leave an object
//! as it was.

#![expect(unsafe_code, reason = "looks into objects")]

use super::Finding;
use super::bed::{Bed, exact};
use super::content::{difference, fill, nonzero};
use super::fault::Fault;
use super::input::Input;
use super::second::Who;
use casemate::heap::{Claim, Request};
use casemate::policy::Set;
use casemate::{Kind, Policy, Violation};
use std::alloc::Layout;
use std::ptr::with_exposed_provenance_mut;

/// Objects that grow and shrink at the same time.
const CELLS: usize = 12;
/// Steps of one input that are carried out.
const STEPS: usize = 200;

/// What was done.
#[derive(Clone, Copy, Debug, Default)]
pub struct Summary {
    /// Inputs.
    pub inputs: usize,
    /// Resizes that gave an object.
    pub resized: usize,
    /// Of those, in the same place.
    pub stayed: usize,
    /// Of those, by a thread that had not allocated the object.
    pub foreign: usize,
    /// Between a slot and a mapping, either way.
    pub crossed: usize,
    /// Refused as they should be: too large, or claimed wrongly.
    pub refused: usize,
}

#[derive(Clone, Copy, Debug)]
struct Object {
    at: usize,
    layout: Layout,
    seed: u64,
    by: Who,
}

impl Object {
    fn bytes(&self) -> &'static mut [u8] {
        // SAFETY: live with this size, and the body has the only use of it.
        unsafe {
            std::slice::from_raw_parts_mut(with_exposed_provenance_mut(self.at), self.layout.size())
        }
    }

    fn holds(&self) -> Result<(), Finding> {
        match difference(self.bytes(), self.layout.size(), self.seed) {
            None => Ok(()),
            Some(offset) => Err(format!("changed at {offset}: {self:x?}")),
        }
    }
}

struct Chains<'s, P: Policy> {
    bed: Bed<P>,
    cells: [Option<Object>; CELLS],
    seed: u64,
    summary: &'s mut Summary,
}

/// Runs an input.
pub fn run<P: Policy>(bytes: &[u8], fault: Fault, summary: &mut Summary) -> Result<(), Finding> {
    let mut input = Input::new(bytes);
    let [mode, size] = input.take();
    // Most are small: a fuzzer would dwell on page faults.
    let largest = match size % 16 {
        0 => 8 << 20,
        1..=3 => 1 << 20,
        4..=9 => 64 << 10,
        _ => 2 << 10,
    };
    summary.inputs += 1;
    let mut chains =
        Chains::<P> { bed: Bed::new(mode, fault), cells: [None; CELLS], seed: 0, summary };
    for _ in 0..STEPS {
        if input.is_empty() {
            break;
        }
        chains.step(&mut input, largest)?;
    }
    chains.end()
}

fn found<T>(said: Result<T, Violation>) -> Result<T, Finding> {
    said.map_err(|violation| format!("a right use was refused: {violation:?}"))
}

impl<P: Policy> Chains<'_, P> {
    fn step(&mut self, input: &mut Input<'_>, largest: usize) -> Result<(), Finding> {
        let [kind, which] = input.take();
        let cell = usize::from(which >> 1) % CELLS;
        let who = Who::of(which);
        let Some(object) = self.cells[cell] else {
            let (size, align) = input.request(largest);
            return self.allocate(cell, who, layout(size, align)?);
        };
        match kind % 16 {
            0..=8 => {
                let (size, align) = input.request(largest);
                // Rust's interface keeps the alignment, C's has its own.
                let align = if kind & 16 == 0 { object.layout.align() } else { align };
                self.resize(cell, who, layout(size, align)?, kind & 32 != 0)
            }
            9 | 10 => {
                // By a little, where objects stay.
                let size = object.layout.size().saturating_add_signed(input.distance() % 64);
                self.resize(cell, who, layout(size.clamp(1, largest), object.layout.align())?, true)
            }
            11 | 12 => self.free(cell, who),
            13 => self.outgrow(object, who, input.byte()),
            14 => self.claim_wrongly(object, who, input.byte()),
            _ => {
                let seen = found(self.bed.verify())?;
                let live = self.cells.iter().flatten().count();
                if seen.objects + seen.large != live {
                    return Err(format!("the heap has {seen:?}, the model {live} objects"));
                }
                Ok(())
            }
        }
    }

    /// A new object, or one in its new place: where nothing else is, aligned, `kept` bytes of
    /// what the old one held, zeros behind them.
    fn enter(
        &mut self,
        cell: usize,
        at: usize,
        layout: Layout,
        by: Who,
        kept: Option<Object>,
    ) -> Result<(), Finding> {
        self.seed += 1;
        let object = Object { at, layout, seed: self.seed << 32, by };
        if !at.is_multiple_of(layout.align()) {
            return Err(format!("not aligned: {object:x?}"));
        }
        let end = at + layout.size();
        for (other, there) in self.cells.iter().enumerate() {
            if let Some(there) = there
                && other != cell
                && there.at < end
                && at < there.at + there.layout.size()
            {
                return Err(format!("{object:x?} overlaps the live {there:x?}"));
            }
        }
        let mut whole = 0;
        if let Some(old) = kept {
            whole = old.layout.size().min(layout.size());
            if let Some(offset) = difference(&object.bytes()[..whole], old.layout.size(), old.seed)
            {
                return Err(format!("lost at {offset}: {old:x?} became {object:x?}"));
            }
        }
        if P::SET.has(Set::WIPE)
            && let Some(offset) = nonzero(&object.bytes()[whole..])
        {
            return Err(format!("not zero at {whole} + {offset}: {object:x?}, was {kept:x?}"));
        }
        // To the byte, for objects in slots.
        let behind = self.bed.heap().bytes_behind(at);
        if self.bed.has_slots_at(at) && behind != layout.size() {
            return Err(format!("{behind} bytes are said to be in {object:x?}"));
        }
        fill(object.bytes(), object.seed);
        self.cells[cell] = Some(object);
        Ok(())
    }

    fn allocate(&mut self, cell: usize, who: Who, layout: Layout) -> Result<(), Finding> {
        match found(self.bed.allocate(who, layout))? {
            0 => Err(format!("no memory for {layout:?}")),
            at => self.enter(cell, at, layout, who, None),
        }
    }

    fn resize(&mut self, cell: usize, who: Who, new: Layout, silent: bool) -> Result<(), Finding> {
        let Some(old) = self.cells[cell] else { return Ok(()) };
        old.holds()?;
        let claim = if silent { Claim::ANY } else { exact(old.layout) };
        let at = found(self.bed.resize(who, old.at, claim, Request::layout(new)))?;
        if at == 0 {
            return Err(format!("no memory for {new:?}"));
        }
        self.summary.resized += 1;
        self.summary.stayed += usize::from(at == old.at);
        self.summary.foreign += usize::from(who != old.by);
        let crossed = self.bed.has_slots_at(at) != self.bed.has_slots_at(old.at);
        self.summary.crossed += usize::from(crossed);
        let by = if at == old.at { old.by } else { who };
        self.enter(cell, at, new, by, Some(old))?;
        if at != old.at {
            self.is_gone(old)?;
        }
        Ok(())
    }

    fn free(&mut self, cell: usize, who: Who) -> Result<(), Finding> {
        let Some(old) = self.cells[cell].take() else { return Ok(()) };
        old.holds()?;
        found(self.bed.free(who, old.at, exact(old.layout)))?;
        self.is_gone(old)
    }

    /// An old pointer is one to nothing.
    fn is_gone(&mut self, old: Object) -> Result<(), Finding> {
        match self.bed.free(Who::First, old.at, Claim::ANY) {
            Err(Violation { kind: Kind::DoubleFree | Kind::ForeignPointer, .. }) => Ok(()),
            other => Err(format!("a second free of {old:x?} gave {other:?}")),
        }
    }

    /// A size that no machine has: null, and nothing has changed.
    fn outgrow(&mut self, object: Object, who: Who, byte: u8) -> Result<(), Finding> {
        let align = object.layout.align();
        let size = (isize::MAX as usize - (align - 1)) >> (byte % 14);
        let new = Request::layout(layout(size, align)?);
        self.summary.refused += 1;
        match self.bed.resize(who, object.at, exact(object.layout), new) {
            Ok(0) => object.holds(),
            other => Err(format!("{object:x?} resized to {size} gave {other:x?}")),
        }
    }

    /// What was never allocated like this: a violation, and nothing has changed. By the owner: a
    /// thread that does not own the object takes it out of use before it looks.
    fn claim_wrongly(&mut self, object: Object, who: Who, byte: u8) -> Result<(), Finding> {
        let (size, align) = (object.layout.size(), object.layout.align());
        let claimed = match byte % 4 {
            0 => layout(size + 1 + usize::from(byte), align)?,
            1 if size > 1 => layout(size - 1, align)?,
            2 if align > 1 => layout(size, align / 2)?,
            _ => layout(size, align * 2)?,
        };
        if who != object.by || self.bed.has_guest(who) && self.bed.has_slots_at(object.at) {
            return Ok(());
        }
        self.summary.refused += 1;
        match self.bed.resize(who, object.at, exact(claimed), Request::layout(object.layout)) {
            Err(Violation { kind: Kind::WrongSize | Kind::WrongAlignment, .. }) => object.holds(),
            other => Err(format!("{object:x?} claimed as {claimed:?} gave {other:x?}")),
        }
    }

    fn end(mut self) -> Result<(), Finding> {
        let live = self.cells.iter().flatten().count();
        let seen = found(self.bed.verify())?;
        if seen.objects + seen.large != live {
            return Err(format!("the heap has {seen:?}, the model {live} objects"));
        }
        for cell in 0..CELLS {
            self.free(cell, Who::of(cell as u8))?;
        }
        let seen = found(self.bed.verify())?;
        match seen.objects + seen.large {
            0 => Ok(()),
            _ => Err(format!("everything was freed, and the heap has {seen:?}")),
        }
    }
}

fn layout(size: usize, align: usize) -> Result<Layout, Finding> {
    Layout::from_size_align(size, align).map_err(|e| e.to_string())
}
