//! Layer: mechanisms. Large objects: mappings of their own at random places, guarded on both
//! sides, known only to an out-of-line table.
//!
//! A freed range becomes inaccessible at once and is not used again until at least 16 younger
//! large frees and 16 MiB of younger freed address space are behind it.

#![expect(unsafe_code, reason = "writes the pattern behind large objects")]

mod mapping;
mod resize;
mod table;

pub use resize::{resize, take_over};
pub use table::{EntryState, LargeEntry, LargeState, Table, table_bytes};

use crate::canary::Key;
use crate::os::{Os, pointer};
use crate::policy::{Policy, Set};
use crate::record::Origin;
use crate::request::{Claim, Difference, Outcome, Request};
use crate::slab::ground::Ground;
use crate::units::{MIB, align_up};
use crate::violation::{Kind, Place, Violation};
use core::ptr::NonNull;
use core::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use mapping::Mapping;

/// Younger large frees, and MiB of younger freed address space, that lie behind a range before
/// it is used again.
pub const WAIT_FREES: u32 = 16;
/// See [`WAIT_FREES`].
pub const WAIT_MIB: u32 = 16;

/// What large objects need of the heap.
pub struct Grounds<'g> {
    /// Start and length of the window of address space for them.
    pub window: (usize, usize),
    /// Address and entries of their table.
    pub table: (usize, usize),
    /// Key of the pattern around them.
    pub key: &'g Key,
    /// Their state.
    pub state: &'g LargeState,
    /// The machine.
    pub ground: Ground<'g>,
    /// RLIMIT_AS that the heap has made room for; 0 for none.
    pub limit: &'g AtomicUsize,
}

impl<'g> Grounds<'g> {
    pub(crate) fn state_limit(&self) -> usize {
        self.limit.load(Relaxed)
    }

    /// Locks the table.
    pub fn table<O: Os>(&self) -> Option<Table<'g, O>> {
        let (at, entries) = self.table;
        self.state.lock::<O>(at, entries, |at, len| {
            (self.ground.reserved && O::open(at, len).is_ok()) || O::map(at, len).is_ok()
        })
    }
}

/// Where an object lies in its pages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fit {
    /// At their start.
    Start,
    /// At their end, as near as its alignment allows: an overflow meets the guard at once.
    End,
}

/// Set in an entry's shape once the program has taken over the whole of its pages.
const TAKEN_OVER: u32 = 1 << 7;

/// What an object in one piece counts as mappings: with its guards it splits off two.
const ONE: u32 = 2;

/// log2 of the alignment, and the origin, as an entry has them.
fn shape(request: &Request) -> u32 {
    request.align.trailing_zeros() | (request.origin as u32) << 8
}

/// The object is what its caller says, or differs in a way that is only counted.
fn check_claim<P: Policy>(
    grounds: &Grounds<'_>,
    entry: &LargeEntry,
    claim: Claim,
) -> Result<(), Kind> {
    let (shape, size) = (entry.shape(), entry.size.load(Relaxed));
    if let Some(claimed) = claim.size() {
        let right = if shape & TAKEN_OVER != 0 {
            // Any size that needs as many pages.
            claimed <= size && size - claimed < grounds.ground.page
        } else {
            claimed == size
        };
        if !right {
            return Err(Kind::WrongSize);
        }
    }
    let origin = Origin::of(shape >> 8);
    match claim.differs(origin, shape & 0x3f) {
        None => Ok(()),
        Some(Difference::Align) => Err(Kind::WrongAlignment),
        Some(Difference::Interface)
            if P::MATCHED || origin == Origin::Layout || claim.origin() == Some(Origin::Layout) =>
        {
            Err(Kind::WrongInterface)
        }
        Some(Difference::Interface) => {
            grounds.state.mismatches.fetch_add(1, Relaxed);
            Ok(())
        }
    }
}

/// A mapping of its own for a request; `None` if memory, address space or the table is exhausted.
pub fn allocate<O: Os, P: Policy>(
    grounds: &Grounds<'_>,
    request: &Request,
    fit: Fit,
) -> Outcome<Option<NonNull<u8>>> {
    let Some(mut table) = grounds.table::<O>() else { return Ok(None) };
    let number = add::<O, P>(grounds, &mut table, request, fit, 0)?;
    Ok(number.and_then(|number| NonNull::new(pointer(table.entry(number).start.load(Relaxed)))))
}

/// `moved`: bytes from its start that the caller will move pages to.
fn add<O: Os, P: Policy>(
    grounds: &Grounds<'_>,
    table: &mut Table<'_, O>,
    request: &Request,
    fit: Fit,
    moved: usize,
) -> Outcome<Option<u32>> {
    let page = grounds.ground.page;
    let Some(data_len) = align_up(request.size.max(1), page) else { return Ok(None) };
    let Some(number) = table.reserve() else { return Ok(None) };
    let made = mapping::make::<O, P>(grounds, table, data_len, request.align);
    let filled = made.and_then(|made| {
        let taken = mapping::fill::<O>(grounds, &made, moved.min(data_len))?;
        Some((made, taken))
    });
    let Some((made, taken)) = filled else {
        table.unreserve(number);
        return Ok(None);
    };
    if !taken.is_zero {
        return Err(Violation::new(Kind::WriteAfterFree).at(Place::Large, made.data));
    }
    let entry = table.entry(number);
    let start = match fit {
        Fit::Start => made.data,
        Fit::End => (made.data + data_len - request.size) & !(request.align.max(16) - 1),
    };
    entry.start.store(start, Relaxed);
    entry.size.store(request.size, Relaxed);
    store(entry, &made);
    entry.set(EntryState::Live, shape(request));
    table.insert(number);
    let state = grounds.state;
    state.live.fetch_add(1, Relaxed);
    state.allocated.fetch_add(1, Relaxed);
    state.live_bytes.fetch_add(data_len as u64, Relaxed);
    state.guard_bytes.fetch_add(made.guards() as u64, Relaxed);
    let mappings = ONE + taken.pieces as u32;
    entry.freed_at.store(mappings, Relaxed);
    grounds.ground.mappings.fetch_add(mappings as usize, Relaxed);
    if P::SET.has(Set::CANARY) {
        seal(grounds, entry);
    }
    Ok(Some(number))
}

fn store(entry: &LargeEntry, made: &Mapping) {
    entry.data.store(made.data, Relaxed);
    entry.data_len.store(made.data_len, Relaxed);
    entry.map.store(made.map, Relaxed);
    entry.map_len.store(made.map_len, Relaxed);
}

fn mapping_of(entry: &LargeEntry) -> Mapping {
    Mapping {
        data: entry.data.load(Relaxed),
        data_len: entry.data_len.load(Relaxed),
        map: entry.map.load(Relaxed),
        map_len: entry.map_len.load(Relaxed),
    }
}

/// The accessible bytes around the object: before it, and from its end to its last page's end.
fn margins(entry: &LargeEntry) -> [(usize, usize); 2] {
    let Mapping { data, data_len, .. } = mapping_of(entry);
    let start = entry.start.load(Relaxed);
    [(data, start), (start + entry.size.load(Relaxed), data + data_len)]
}

/// Fills the margins with the pattern of this object's address.
fn seal(grounds: &Grounds<'_>, entry: &LargeEntry) {
    let fill = fill(grounds, entry);
    for (from, to) in margins(entry) {
        for at in from..to {
            // SAFETY: inside the object's accessible pages, which the table's lock keeps, and
            // outside the object.
            unsafe { pointer::<u8>(at).write(pattern(fill, at)) };
        }
    }
}

fn is_sealed(grounds: &Grounds<'_>, entry: &LargeEntry) -> bool {
    let fill = fill(grounds, entry);
    let mut wrong = 0;
    for (from, to) in margins(entry) {
        for at in from..to {
            // SAFETY: as for `seal`; volatile, since what it looks for are stray writes.
            wrong |= unsafe { pointer::<u8>(at).read_volatile() } ^ pattern(fill, at);
        }
    }
    wrong == 0
}

fn fill(grounds: &Grounds<'_>, entry: &LargeEntry) -> [u8; 8] {
    grounds.key.words(entry.start.load(Relaxed), 0).fill().to_ne_bytes()
}

fn pattern(fill: [u8; 8], at: usize) -> u8 {
    fill.get(at & 7).copied().unwrap_or(1)
}

/// Finds a live object, checks it against the request, and its margins.
fn find_live<O: Os, P: Policy>(
    grounds: &Grounds<'_>,
    table: &Table<'_, O>,
    at: usize,
    claim: Claim,
) -> Outcome<u32> {
    let fail = |kind| Err(Violation::new(kind).at(Place::Large, at));
    let Some(number) = table.find(at) else {
        if table.surrounding(at).is_some() {
            return fail(if at & 7 == 0 { Kind::InteriorPointer } else { Kind::MisalignedPointer });
        }
        let kind = if at & 7 == 0 { Kind::ForeignPointer } else { Kind::MisalignedPointer };
        return Err(Violation::new(kind).at(Place::Unknown, at));
    };
    let entry = table.entry(number);
    if entry.state() != EntryState::Live {
        return fail(Kind::DoubleFree);
    }
    if let Err(kind) = check_claim::<P>(grounds, entry, claim) {
        return fail(kind);
    }
    if P::SET.has(Set::CANARY) && !is_sealed(grounds, entry) {
        return fail(Kind::Overflow);
    }
    Ok(number)
}

/// Frees a large object.
pub fn free<O: Os, P: Policy>(grounds: &Grounds<'_>, at: usize, claim: Claim) -> Outcome<()> {
    let Some(mut table) = grounds.table::<O>() else {
        // A signal handler that interrupted the table's own lock: the object stays, unused and
        // inaccessible to nobody but its former owner.
        return Ok(());
    };
    let number = find_live::<O, P>(grounds, &table, at, claim)?;
    let made = mapping_of(table.entry(number));
    grounds.ground.keep::<O>(made.data, made.data_len, false);
    drop_object::<O, P>(grounds, &mut table, number);
    Ok(())
}

fn drop_object<O: Os, P: Policy>(grounds: &Grounds<'_>, table: &mut Table<'_, O>, number: u32) {
    let entry = table.entry(number);
    let made = mapping_of(entry);
    let state = grounds.state;
    if !mapping::retire::<O, P>(grounds, &made) {
        entry.data_len.store(0, Relaxed);
    }
    entry.set(EntryState::Freed, entry.shape());
    entry.size.store(entry.freed_at.load(Relaxed) as usize, Relaxed);
    let freed = state.freed.fetch_add(1, Relaxed) + 1;
    let bytes = state.freed_bytes.fetch_add(made.map_len as u64, Relaxed) + made.map_len as u64;
    entry.freed_at.store(freed as u32, Relaxed);
    entry.freed_mib.store((bytes / MIB as u64) as u32, Relaxed);
    state.live.fetch_sub(1, Relaxed);
    state.live_bytes.fetch_sub(made.data_len as u64, Relaxed);
    state.guard_bytes.fetch_sub(made.guards() as u64, Relaxed);
    state.waiting.fetch_add(made.map_len as u64, Relaxed);
    table.enqueue(number);
    release_served::<O, P>(grounds, table);
}

/// Lets ranges go that have waited long enough.
fn release_served<O: Os, P: Policy>(grounds: &Grounds<'_>, table: &mut Table<'_, O>) {
    let state = grounds.state;
    let wait = P::SET.has(Set::QUARANTINE);
    while let Some(number) = state.oldest.load(Relaxed).checked_sub(1) {
        let entry = table.entry(number);
        let frees = (state.freed.load(Relaxed) as u32).wrapping_sub(entry.freed_at.load(Relaxed));
        let mib = ((state.freed_bytes.load(Relaxed) / MIB as u64) as u32)
            .wrapping_sub(entry.freed_mib.load(Relaxed));
        // Both are cut to whole MiB.
        if wait && (frees < WAIT_FREES || mib <= WAIT_MIB) {
            return;
        }
        table.dequeue();
        table.remove(number);
        let made = mapping_of(entry);
        // What is unmapped already may be another's by now.
        if made.data_len != 0 {
            let _ = O::unmap(made.map, made.map_len);
        }
        state.waiting.fetch_sub(made.map_len as u64, Relaxed);
        grounds.ground.mappings.fetch_sub(entry.size.load(Relaxed), Relaxed);
        table.unreserve(number);
    }
}

/// Memory or address space ran out: freed ranges that wait are unmapped. They are not used again
/// any sooner. False if that was nothing.
pub fn give_way<O: Os, P: Policy>(grounds: &Grounds<'_>) -> bool {
    let Some(table) = grounds.table::<O>() else { return false };
    let mut given = false;
    let mut next = grounds.state.oldest.load(Relaxed);
    while let Some(number) = next.checked_sub(1) {
        let entry = table.entry(number);
        next = entry.next.load(Relaxed);
        let made = mapping_of(entry);
        let waits = made.data_len != 0 && P::SET.has(Set::PURGE_CLOSE);
        if waits && O::unmap(made.map, made.map_len).is_ok() {
            entry.data_len.store(0, Relaxed);
            given = true;
        }
    }
    given
}

/// The size of the live large object at `at`, 0 if there is none; `None` for a signal handler
/// that interrupted the table's own lock and cannot know.
pub fn size_of_object<O: Os>(grounds: &Grounds<'_>, at: usize) -> Option<usize> {
    let table = grounds.table::<O>()?;
    let entry = table.find(at).map(|number| table.entry(number));
    let live = entry.filter(|entry| entry.state() == EntryState::Live);
    Some(live.map_or(0, |entry| entry.size.load(Relaxed)))
}

/// Tells the ranges of large objects, alive or waiting, that are mapped.
pub fn ranges<O: Os>(grounds: &Grounds<'_>, tell: &mut dyn FnMut(usize, usize)) {
    let Some(table) = grounds.table::<O>() else { return };
    for number in 0..grounds.state.used.load(Relaxed) {
        let entry = table.entry(number);
        let made = mapping_of(entry);
        if entry.state() != EntryState::Empty && made.data_len != 0 {
            tell(made.map, made.map_len);
        }
    }
}

/// Checks the table: every entry is found by its start, live objects' margins are intact, and the
/// counters agree. Returns the number of live objects.
pub fn verify<O: Os, P: Policy>(grounds: &Grounds<'_>) -> Outcome<usize> {
    let Some(table) = grounds.table::<O>() else { return Ok(0) };
    let state = grounds.state;
    let (mut live, mut bytes, mut waiting) = (0, 0, 0);
    for number in 0..state.used.load(Relaxed) {
        let entry = table.entry(number);
        let start = entry.start.load(Relaxed);
        let fail = |kind| Violation::new(kind).at(Place::Large, start);
        match entry.state() {
            EntryState::Empty => continue,
            EntryState::Live => {
                live += 1;
                bytes += entry.data_len.load(Relaxed) as u64;
                if P::SET.has(Set::CANARY) && !is_sealed(grounds, entry) {
                    return Err(fail(Kind::Overflow));
                }
            }
            EntryState::Freed => waiting += entry.map_len.load(Relaxed) as u64,
        }
        if table.find(start) != Some(number) {
            return Err(fail(Kind::Metadata));
        }
    }
    if live as u64 != state.live.load(Relaxed)
        || bytes != state.live_bytes.load(Relaxed)
        || waiting != state.waiting.load(Relaxed)
    {
        return Err(Violation::new(Kind::Metadata).at(Place::Large, 0));
    }
    Ok(live)
}
