//! Layer: mechanisms. Large objects: mappings of their own at random places, guarded on both
//! sides, known only to an out-of-line table.
//!
//! A freed range becomes inaccessible at once and is not used again until at least 16 younger
//! large frees and 16 MiB of younger freed address space are behind it.

mod freed;
mod mapping;
mod margins;
mod resize;
mod table;

pub use freed::give_way;
pub use resize::{resize, take_over};
pub use table::{EntryState, LargeEntry, LargeState, Table, table_bytes};

use crate::canary::Key;
use crate::os::{Os, pointer};
use crate::policy::{Policy, Set};
use crate::record::Origin;
use crate::request::{Claim, Difference, Outcome, Request};
use crate::slab::ground::Ground;
use crate::units::align_up;
use crate::violation::{Kind, Place, Violation};
use core::ptr::NonNull;
use core::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use freed::drop_object;
use mapping::Mapping;
use margins::{is_sealed, seal};

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
    entry.freed_mib.store(u32::from(made.marked), Relaxed);
}

fn mapping_of(entry: &LargeEntry) -> Mapping {
    Mapping {
        data: entry.data.load(Relaxed),
        data_len: entry.data_len.load(Relaxed),
        map: entry.map.load(Relaxed),
        map_len: entry.map_len.load(Relaxed),
        marked: entry.freed_mib.load(Relaxed) != 0,
    }
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

/// What a free of a large object would find wrong with it.
pub fn check<O: Os, P: Policy>(grounds: &Grounds<'_>, at: usize, claim: Claim) -> Outcome<()> {
    let Some(table) = grounds.table::<O>() else { return Ok(()) };
    find_live::<O, P>(grounds, &table, at, claim).map(|_| ())
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
