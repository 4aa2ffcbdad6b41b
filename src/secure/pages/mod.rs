//! Layer: faces. Buffers with pages of their own: their table, and their life.
//!
//! ```text
//!  map     data                   start              start + size   data + data_len
//!  | guard | pattern (16 or more) | the secret ......| pattern      | guard |
//!                                                     (less than the alignment; for
//!                                                      alignments above a page: less than a page)
//! ```
//!
//! A freed buffer's range stays inaccessible until [`WAIT`] younger ones are behind it, so that a
//! second free, or an access, meets nobody else's memory.

mod access;
mod all;
mod entry;
mod shape;
mod table;

use super::backing::{self, Supply, Wanted};
use super::error::{ErrorKind, SecureError};
use super::policy::{Access, Policy, Requirements};
use super::protection::{Protection, on};
use super::protections::{Protections, report};
use super::root::Fixed;
use crate::os::{Linux, Os, Secrets, pointer};
use crate::rng::Stream;
use crate::units::{MIB, round_up};
use crate::violation::{Kind, Place, Violation};
pub use all::each_live;
use core::alloc::Layout;
use core::ptr::NonNull;
use entry::{EMPTY, margins, words};
pub use entry::{Entry, Phase};
use shape::Shape;

/// Most buffers with pages of their own, freed ones that wait included. Three mappings each, so
/// the usual `vm.max_map_count` of 65,530 allows about 21,000.
pub const ENTRIES: usize = 1 << 16;
/// Younger frees after which a freed range may be mapped again.
pub const WAIT: u32 = 16;
/// Largest alignment.
pub const MOST_ALIGN: usize = MIB;

/// The table's state; see [`State`](super::state::State).
pub struct Pages {
    /// Entries that were ever used, and those that are open.
    pub used: u32,
    open: u32,
    cells: usize,
    free: u32,
    oldest: u32,
    newest: u32,
    waiting: u32,
    generation: u8,
    pub live: usize,
    pub live_bytes: usize,
    /// Live buffers in ordinary memory, and all there ever were.
    pub degraded: usize,
    pub degraded_ever: u64,
    /// Guards that could not take the access away again.
    pub unclosed: u64,
    /// Buffers that were taken away without a look at them.
    pub unchecked: u64,
}

impl Pages {
    /// Bytes of metadata that are open.
    pub fn metadata(&self, page: usize) -> usize {
        round_up(self.open as usize * size_of::<Entry>(), page)
            + round_up(self.cells * size_of::<u32>(), page)
    }
}

/// The table, with what its work needs.
pub struct Table<'s> {
    pub fixed: &'static Fixed,
    pub pages: &'s mut Pages,
    pub stream: &'s mut Stream,
    pub supply: &'s mut Supply,
}

fn fail<T>(kind: ErrorKind) -> Result<T, SecureError> {
    Err(SecureError::new(kind))
}

fn misuse(kind: Kind, at: usize) -> SecureError {
    SecureError::new(ErrorKind::Misuse(Violation::new(kind).at(Place::SecretPages, at)))
}

/// Replaces a buffer's pages by inaccessible address space.
fn take_away(entry: &Entry) -> bool {
    Linux::take_away(entry.made.data, entry.made.data_len).is_ok()
}

impl Table<'_> {
    /// Hands out a new buffer of zeros, which gets what the policy requires and `more`.
    pub fn allocate(
        &mut self,
        layout: Layout,
        policy: &Policy,
        more: Requirements,
    ) -> Result<NonNull<[u8]>, SecureError> {
        let (page, size, align) = (self.fixed.page, layout.size(), layout.align());
        let Some(shape) = Shape::of(size, align, page) else { return fail(ErrorKind::Layout) };
        let number = self.take()?;
        let wanted = Wanted {
            data_len: shape.data_len,
            offset: if align > page { shape.offset } else { 0 },
            align: align.max(page),
            policy: policy.and_require(more),
            only: None,
        };
        match self.add(number, &shape, layout, &wanted, policy) {
            Ok(at) => Ok(NonNull::slice_from_raw_parts(at, size)),
            Err(error) => {
                self.give_back(number);
                Err(error)
            }
        }
    }

    fn add(
        &mut self,
        number: u32,
        shape: &Shape,
        layout: Layout,
        wanted: &Wanted,
        policy: &Policy,
    ) -> Result<NonNull<u8>, SecureError> {
        let made = backing::make(self.fixed, self.stream, self.supply, wanted)?;
        let start = made.data + shape.offset;
        let known = self.find(start).is_some();
        let at = NonNull::new(pointer::<u8>(start)).filter(|_| !known);
        let Some(at) = at else {
            // The very address of a buffer that a parent process had.
            self.supply.uncount(made.have, made.data_len);
            let _ = Linux::unmap(made.map, made.map_len);
            return fail(ErrorKind::OutOfMemory { needed: made.data_len });
        };
        self.pages.generation = self.pages.generation.wrapping_add(1);
        let generation = self.pages.generation;
        let Some(entry) = self.entry_mut(number) else { return fail(ErrorKind::TooMany) };
        *entry = Entry {
            start,
            size: layout.size(),
            made,
            align_shift: layout.align().trailing_zeros() as u8,
            generation,
            phase: Phase::Live,
            rest: Access::ReadWrite,
            now: Access::ReadWrite,
            policy: *policy,
            ..EMPTY
        };
        let entry = *entry;
        self.cells().insert(start, number);
        margins(&entry).seal(words(self.fixed, &entry));
        self.pages.live += 1;
        self.pages.live_bytes += entry.size;
        if !made.have.is_locked() {
            self.pages.degraded += 1;
            self.pages.degraded_ever += 1;
        }
        Ok(at)
    }

    /// The live buffer at `at`, for its owner.
    pub fn live(&mut self, at: usize) -> Result<u32, SecureError> {
        match self.find(at) {
            None if self.surrounding(at).is_some() => Err(misuse(Kind::InteriorPointer, at)),
            None => fail(ErrorKind::NotABuffer),
            Some(number) => match self.entry(number).map(|entry| entry.phase) {
                Some(Phase::Live) => Ok(number),
                Some(Phase::Inherited) => fail(ErrorKind::Inherited),
                _ => Err(misuse(Kind::DoubleFree, at)),
            },
        }
    }

    /// Wipes and takes away the buffer at `at`, if nothing is wrong with it.
    pub fn free(&mut self, at: usize) -> Result<(), SecureError> {
        let number = self.live(at)?;
        self.check(number)?;
        let Some(&entry) = self.entry(number) else { return fail(ErrorKind::NotABuffer) };
        margins(&entry).wipe();
        let closed = !on(Protection::TakeAway) || take_away(&entry);
        self.retire(number, closed);
        Ok(())
    }

    /// Takes away the buffer at `at`, which cannot be opened, without a look at it.
    pub fn free_unseen(&mut self, at: usize) -> Result<(), SecureError> {
        let number = self.live(at)?;
        let Some(&entry) = self.entry(number) else { return fail(ErrorKind::NotABuffer) };
        if !take_away(&entry) {
            return fail(ErrorKind::Protect);
        }
        self.pages.unchecked += 1;
        self.retire(number, true);
        Ok(())
    }

    /// The buffer is gone. Its range waits if it is closed.
    fn retire(&mut self, number: u32, closed: bool) {
        let Some(&entry) = self.entry(number) else { return };
        self.pages.live -= 1;
        self.pages.live_bytes -= entry.size;
        self.pages.degraded -= usize::from(!entry.made.have.is_locked());
        self.supply.uncount(entry.made.have, entry.made.data_len);
        if let Some(entry) = self.entry_mut(number) {
            entry.phase = Phase::Freed;
            entry.now = Access::NoAccess;
        }
        if closed {
            self.enqueue(number);
        } else {
            // No memory for a mapping is no reason to keep one.
            self.drop_range(number);
        }
    }

    /// Whether the patterns around the buffer are whole; opens it for writing.
    pub fn check(&mut self, number: u32) -> Result<(), SecureError> {
        let Some(&entry) = self.entry(number) else { return fail(ErrorKind::NotABuffer) };
        if entry.now != Access::ReadWrite {
            self.set_now(number, Access::ReadWrite)?;
        }
        match margins(&entry).check(words(self.fixed, &entry)) {
            Ok(()) => Ok(()),
            Err(damage) => {
                self.close_again(number, entry.now);
                Err(misuse(damage.kind(), entry.start))
            }
        }
    }

    /// What the buffer has.
    pub fn query(&self, number: u32) -> Option<Protections> {
        let entry = self.entry(number).filter(|entry| entry.phase == Phase::Live)?;
        Some(report(self.fixed, entry.made.have, entry.now, entry.size, false))
    }
}
