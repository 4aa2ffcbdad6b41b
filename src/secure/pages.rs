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
#![expect(unsafe_code, reason = "the table lives in a mapping; margins are raw memory")]

use super::backing::{self, Have, Made, Supply, Wanted};
use super::error::{ErrorKind, SecureError};
use super::index::Index;
use super::margin::{Damage, Margins};
use super::policy::{Access, Policy, Requirements};
use super::protections::{Backing, ForkView, Protections};
use super::root::Fixed;
use crate::canary::Words;
use crate::os::{Linux, Os, Secrets, pointer};
use crate::rng::Stream;
use crate::units::{MIB, align_up, round_up};
use crate::violation::{Kind, Place, Violation};
use core::alloc::Layout;
use core::ptr::NonNull;

/// Most buffers with pages of their own, freed ones that wait included. Three mappings each, so
/// the usual `vm.max_map_count` of 65,530 allows about 21,000.
pub const ENTRIES: usize = 1 << 16;
/// Younger frees after which a freed range may be mapped again.
pub const WAIT: u32 = 16;
/// Largest alignment.
pub const MOST_ALIGN: usize = MIB;
/// Least bytes of pattern in front.
const FRONT: usize = 16;
/// Entries that are opened at a time.
const STEP: usize = 256;
/// Cells of the index at first.
const CELLS: usize = 1024;

/// What an entry stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Phase {
    /// Nothing.
    Empty = 0,
    /// A buffer.
    Live,
    /// A freed buffer's range, inaccessible.
    Freed,
    /// A buffer of the process that this one was forked from.
    Inherited,
}

/// One buffer.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct Entry {
    pub start: usize,
    pub size: usize,
    pub made: Made,
    /// Next in the list that it is in: number plus one.
    next: u32,
    /// Open for reading and for writing by so many guards.
    pub readers: u32,
    pub writers: u32,
    pub align_shift: u8,
    pub generation: u8,
    pub phase: Phase,
    /// Access without guards, and now.
    pub rest: Access,
    pub now: Access,
    pub policy: Policy,
}

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

impl<'s> Table<'s> {
    /// An entry that was ever used.
    pub fn entry(&self, number: u32) -> Option<&Entry> {
        // SAFETY: entries below `used` are open and initialised; the state's lock, which whoever
        // has `self` holds, keeps others out, and the borrow is of `self`.
        (number < self.pages.used)
            .then(|| unsafe { &*pointer::<Entry>(self.fixed.entries).add(number as usize) })
    }

    fn entry_mut(&mut self, number: u32) -> Option<&mut Entry> {
        // SAFETY: as for `entry`, and the borrow is exclusive.
        (number < self.pages.used)
            .then(|| unsafe { &mut *pointer::<Entry>(self.fixed.entries).add(number as usize) })
    }

    fn cells(&mut self) -> Index<'_> {
        let cells = self.pages.cells;
        let first = pointer::<u32>(self.fixed.index);
        // SAFETY: so many cells are open; the borrow of `self` is exclusive. Without cells the
        // slice is empty and the pointer aligned and not null.
        Index::new(unsafe { core::slice::from_raw_parts_mut(first, cells) })
    }

    fn start_of(entries: usize, number: u32) -> usize {
        // SAFETY: the index holds numbers of used entries alone, which are open.
        unsafe { (*pointer::<Entry>(entries).add(number as usize)).start }
    }

    /// The entry whose buffer starts, or started, at `at`.
    #[inline]
    pub fn find(&mut self, at: usize) -> Option<u32> {
        if self.pages.cells == 0 {
            return None;
        }
        let entries = self.fixed.entries;
        self.cells().find(at, |number| Self::start_of(entries, number))
    }

    /// The entry in whose range `at` lies; looks at all of them.
    pub fn surrounding(&self, at: usize) -> Option<u32> {
        (0..self.pages.used).find(|&number| {
            self.entry(number).is_some_and(|entry| {
                let Made { map, map_len, .. } = entry.made;
                entry.phase != Phase::Empty && at.wrapping_sub(map) < map_len
            })
        })
    }

    /// A number for a new entry.
    fn take(&mut self) -> Result<u32, SecureError> {
        if let Some(number) = self.pages.free.checked_sub(1) {
            self.pages.free = self.entry(number).map_or(0, |entry| entry.next);
            return Ok(number);
        }
        let number = self.pages.used;
        if number as usize >= ENTRIES {
            return fail(ErrorKind::TooMany);
        }
        if number >= self.pages.open {
            let size = size_of::<Entry>();
            let page = self.fixed.page;
            let from = (self.fixed.entries + self.pages.open as usize * size) & !(page - 1);
            let open = (self.pages.open as usize + STEP).min(ENTRIES);
            let to = round_up(self.fixed.entries + open * size, page);
            if Linux::open(from, to - from).is_err() {
                return fail(ErrorKind::OutOfMemory { needed: to - from });
            }
            self.pages.open = open as u32;
        }
        if 2 * (number as usize + 1) > self.pages.cells {
            self.widen()?;
        }
        self.pages.used += 1;
        // SAFETY: the entry is open, and no reference to it exists.
        unsafe { pointer::<Entry>(self.fixed.entries).add(number as usize).write(EMPTY) };
        Ok(number)
    }

    /// Doubles the index.
    fn widen(&mut self) -> Result<(), SecureError> {
        let cells = (2 * self.pages.cells).max(CELLS);
        let len = round_up(cells * size_of::<u32>(), self.fixed.page);
        if Linux::open(self.fixed.index, len).is_err() {
            return fail(ErrorKind::OutOfMemory { needed: len });
        }
        self.pages.cells = cells;
        self.reindex();
        Ok(())
    }

    /// Builds the index anew.
    pub fn reindex(&mut self) {
        if self.pages.cells == 0 {
            return;
        }
        self.cells().clear();
        for number in 0..self.pages.used {
            let start = self.entry(number).filter(|e| e.phase != Phase::Empty).map(|e| e.start);
            if let Some(start) = start {
                self.cells().insert(start, number);
            }
        }
    }

    fn give_back(&mut self, number: u32) {
        let free = self.pages.free;
        if let Some(entry) = self.entry_mut(number) {
            *entry = EMPTY;
            entry.next = free;
            self.pages.free = number + 1;
        }
    }

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
        self.pages.live -= 1;
        self.pages.live_bytes -= entry.size;
        self.pages.degraded -= usize::from(!entry.made.have.is_locked());
        self.supply.uncount(entry.made.have, entry.made.data_len);
        let closed = Linux::take_away(entry.made.data, entry.made.data_len).is_ok();
        if let Some(entry) = self.entry_mut(number) {
            entry.phase = Phase::Freed;
            entry.now = Access::NoAccess;
        }
        if !closed {
            // No memory for a mapping is no reason to keep one.
            self.drop_range(number);
            return Ok(());
        }
        self.enqueue(number);
        Ok(())
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
                if entry.now != Access::ReadWrite {
                    let _ = self.set_now(number, entry.now);
                }
                Err(misuse(damage.kind(), entry.start))
            }
        }
    }

    fn enqueue(&mut self, number: u32) {
        let newest = self.pages.newest;
        if let Some(last) = newest.checked_sub(1).and_then(|last| self.entry_mut(last)) {
            last.next = number + 1;
        } else {
            self.pages.oldest = number + 1;
        }
        self.pages.newest = number + 1;
        self.pages.waiting += 1;
        while self.pages.waiting > WAIT {
            let Some(oldest) = self.pages.oldest.checked_sub(1) else { break };
            self.pages.oldest = self.entry(oldest).map_or(0, |entry| entry.next);
            if self.pages.oldest == 0 {
                self.pages.newest = 0;
            }
            self.pages.waiting -= 1;
            self.drop_range(oldest);
        }
    }

    fn drop_range(&mut self, number: u32) {
        let Some(&entry) = self.entry(number) else { return };
        let _ = Linux::unmap(entry.made.map, entry.made.map_len);
        let entries = self.fixed.entries;
        self.cells().remove(entry.start, |number| Self::start_of(entries, number));
        self.give_back(number);
    }

    /// Changes what may be done with a buffer's bytes now.
    fn set_now(&mut self, number: u32, access: Access) -> Result<(), SecureError> {
        let Some(entry) = self.entry_mut(number) else { return fail(ErrorKind::NotABuffer) };
        if entry.now == access {
            return Ok(());
        }
        let (at, len) = (entry.made.data, entry.made.data_len);
        let done = match access {
            Access::NoAccess => Linux::close(at, len),
            Access::ReadOnly => Linux::read_only(at, len),
            Access::ReadWrite => Linux::open(at, len),
        };
        match done {
            Ok(()) => {
                entry.now = access;
                Ok(())
            }
            Err(_) => fail(ErrorKind::Protect),
        }
    }

    /// Sets the access without guards.
    pub fn protect(&mut self, at: usize, access: Access) -> Result<(), SecureError> {
        let number = self.live(at)?;
        if self.entry(number).is_some_and(|entry| entry.readers + entry.writers != 0) {
            return fail(ErrorKind::Borrowed);
        }
        self.set_now(number, access)?;
        if let Some(entry) = self.entry_mut(number) {
            entry.rest = access;
        }
        Ok(())
    }

    /// Opens the buffer for one more guard.
    pub fn open(&mut self, at: usize, writes: bool) -> Result<usize, SecureError> {
        let number = self.live(at)?;
        let Some(&entry) = self.entry(number) else { return fail(ErrorKind::NotABuffer) };
        let count = if writes { entry.writers } else { entry.readers };
        if count == u32::MAX / 2 {
            return fail(ErrorKind::Borrowed);
        }
        let (readers, writers) =
            (entry.readers + u32::from(!writes), entry.writers + u32::from(writes));
        self.set_now(number, needed(entry.rest, readers, writers))?;
        if let Some(entry) = self.entry_mut(number) {
            (entry.readers, entry.writers) = (readers, writers);
        }
        Ok(entry.size)
    }

    /// A guard is gone: the last one takes the access away.
    pub fn close(&mut self, at: usize, writes: bool) -> Result<(), SecureError> {
        let number = self.live(at)?;
        let Some(entry) = self.entry_mut(number) else { return fail(ErrorKind::NotABuffer) };
        let count = if writes { &mut entry.writers } else { &mut entry.readers };
        *count = count.saturating_sub(1);
        let now = needed(entry.rest, entry.readers, entry.writers);
        self.set_now(number, now).inspect_err(|_| self.pages.unclosed += 1)
    }

    /// What the buffer has.
    pub fn query(&self, number: u32) -> Option<Protections> {
        let entry = self.entry(number).filter(|entry| entry.phase == Phase::Live)?;
        Some(super::protections::report(self.fixed, entry.made.have, entry.now, entry.size, false))
    }

    /// Looks at every entry; how many are live.
    pub fn verify(&mut self) -> Result<usize, Violation> {
        let (mut live, mut bytes, mut degraded, mut waiting) = (0, 0, 0, 0);
        for number in 0..self.pages.used {
            let Some(&entry) = self.entry(number) else { break };
            let found = |kind| Violation::new(kind).at(Place::SecretPages, entry.start);
            match entry.phase {
                Phase::Empty => continue,
                Phase::Inherited => {}
                Phase::Freed => waiting += 1,
                Phase::Live => {
                    live += 1;
                    bytes += entry.size;
                    degraded += usize::from(!entry.made.have.is_locked());
                    if entry.now != Access::NoAccess {
                        let whole = margins(&entry).check(words(self.fixed, &entry));
                        whole.map_err(|damage| found(damage.kind()))?;
                    }
                }
            }
            if self.find(entry.start) != Some(number) {
                return Err(found(Kind::Metadata));
            }
        }
        let pages = &*self.pages;
        let counted = (pages.live, pages.live_bytes, pages.degraded, pages.waiting);
        if counted != (live, bytes, degraded, waiting) {
            return Err(Violation::new(Kind::Metadata));
        }
        Ok(live)
    }

    /// In a forked child: what was the parent's stays the parent's, copies are this process's.
    pub fn start_over(&mut self) {
        let pages = &mut *self.pages;
        (pages.live, pages.live_bytes, pages.degraded) = (0, 0, 0);
        (pages.free, pages.oldest, pages.newest, pages.waiting) = (0, 0, 0, 0);
        for number in 0..self.pages.used {
            let Some(entry) = self.entry_mut(number) else { continue };
            entry.next = 0;
            let Made { data_len, have, .. } = entry.made;
            match entry.phase {
                Phase::Live if have.fork == ForkView::Copied => {
                    // Locks are not inherited.
                    entry.made.have.backing = Backing::Unlocked;
                    let (size, have) = (entry.size, entry.made.have);
                    self.supply.count(have, data_len);
                    self.pages.live += 1;
                    self.pages.live_bytes += size;
                    self.pages.degraded += 1;
                }
                Phase::Live => {
                    entry.phase = Phase::Inherited;
                    let made = entry.made;
                    backing::occupy(&made, self.fixed.page);
                }
                Phase::Inherited => {}
                Phase::Freed => self.enqueue(number),
                Phase::Empty => self.give_back(number),
            }
        }
        self.reindex();
    }

    /// Takes every buffer's contents away, on the way to an abort. Changes no table.
    pub fn take_all_away(&self) {
        for number in 0..self.pages.used {
            if let Some(entry) = self.entry(number)
                && entry.phase == Phase::Live
            {
                let _ = Linux::take_away(entry.made.data, entry.made.data_len);
            }
        }
    }
}

/// The access that guards need, on top of that without them.
fn needed(rest: Access, readers: u32, writers: u32) -> Access {
    match rest {
        _ if writes_exist(writers) => Access::ReadWrite,
        Access::NoAccess if readers != 0 => Access::ReadOnly,
        rest => rest,
    }
}

fn writes_exist(writers: u32) -> bool {
    writers != 0
}

/// The memory of a live entry, which is open for writing or about to be.
pub fn margins(entry: &Entry) -> Margins {
    let Made { data, data_len, .. } = entry.made;
    // SAFETY: the data pages are the buffer's own, and it lies in them by `Shape`; callers open
    // them before they use this.
    unsafe { Margins::new(data, entry.start, entry.size, data + data_len) }
}

/// The canaries of an entry.
pub fn words(fixed: &Fixed, entry: &Entry) -> Words {
    fixed.key.words(entry.start, entry.generation)
}

impl Damage {
    /// What to call it.
    pub fn kind(self) -> Kind {
        match self {
            Damage::Front => Kind::SecretUnderflow,
            Damage::Back => Kind::Overflow,
        }
    }
}

const EMPTY: Entry = Entry {
    start: 0,
    size: 0,
    made: Made {
        map: 0,
        map_len: 0,
        data: 0,
        data_len: 0,
        have: Have {
            backing: Backing::Unlocked,
            no_dump: false,
            fork: ForkView::Copied,
            markers: false,
        },
    },
    next: 0,
    readers: 0,
    writers: 0,
    align_shift: 0,
    generation: 0,
    phase: Phase::Empty,
    rest: Access::NoAccess,
    now: Access::NoAccess,
    policy: Policy::best_effort(),
};

/// Where a buffer lies in its data pages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    /// Bytes of data pages.
    pub data_len: usize,
    /// Of the buffer's start in them: there the alignment holds, if it is above a page.
    pub offset: usize,
}

impl Shape {
    /// For a size and an alignment; `None` for what secure memory does not have.
    pub fn of(size: usize, align: usize, page: usize) -> Option<Shape> {
        if align > MOST_ALIGN || size > isize::MAX as usize / 2 {
            return None;
        }
        if align <= page {
            // Up to the end, less what the alignment takes.
            let body = align_up(size, align)?;
            let data_len = align_up(body.checked_add(FRONT)?, page)?;
            return Some(Shape { data_len, offset: data_len - body });
        }
        // A page in front; the buffer itself starts on a page.
        let body = align_up(size.max(1), page)?;
        Some(Shape { data_len: page.checked_add(body)?, offset: page })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn shapes_hold_their_buffers(
            size in prop_oneof![0usize..20_000, 0usize..1 << 40],
            align_shift in 0u32..21,
            page_shift in prop::sample::select(&[12u32, 14, 16]),
        ) {
            let (align, page) = (1usize << align_shift, 1usize << page_shift);
            let shape = Shape::of(size, align, page).unwrap();
            let behind = shape.data_len - shape.offset - size;
            prop_assert_eq!(shape.offset % align.min(page), 0);
            prop_assert_eq!(shape.data_len % page, 0);
            prop_assert!(shape.offset >= FRONT);
            prop_assert!(behind < align.min(page).max(1) || (size == 0 && behind <= page));
        }

        #[test]
        fn any_layout_is_an_answer(size: usize, align_shift in 0u32..63) {
            let _ = Shape::of(size, 1 << align_shift, 4096);
        }
    }

    #[test]
    fn beyond_the_limits_there_is_none() {
        assert_eq!(Shape::of(1, 2 * MIB, 4096), None);
        assert_eq!(Shape::of(isize::MAX as usize, 1, 4096), None);
        assert_eq!(Shape::of(1, 1, 4096), Some(Shape { data_len: 4096, offset: 4095 }));
        assert_eq!(Shape::of(4096, 1, 4096), Some(Shape { data_len: 8192, offset: 4096 }));
    }

    #[test]
    fn guards_add_to_the_access_without_them() {
        use Access::{NoAccess, ReadOnly, ReadWrite};
        for (rest, readers, writers, expected) in [
            (NoAccess, 0, 0, NoAccess),
            (NoAccess, 2, 0, ReadOnly),
            (NoAccess, 1, 1, ReadWrite),
            (ReadOnly, 1, 0, ReadOnly),
            (ReadOnly, 0, 1, ReadWrite),
            (ReadWrite, 3, 0, ReadWrite),
        ] {
            assert_eq!(needed(rest, readers, writers), expected);
        }
    }
}
