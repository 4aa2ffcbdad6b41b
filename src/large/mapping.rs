//! Layer: mechanisms. One large object's mapping: placing it, guarding it, taking it away.
//!
//! ```text
//! map             data                              data + data_len
//! | guard, 1-16 pages | accessible pages .............. | guard, 1-16 pages |
//! ```

use super::Grounds;
use super::table::Table;
use crate::os::{MapError, Os};
use crate::policy::{Policy, Set};
use crate::slab::recycler::Taken;
use crate::units::align_up;
use core::sync::atomic::Ordering::Relaxed;

/// Most pages of a guard.
const GUARD_PAGES: u32 = 16;
/// Tries to find a free place.
const TRIES: usize = 64;

/// Where an object's pages are.
#[derive(Clone, Copy, Debug)]
pub struct Mapping {
    pub data: usize,
    pub data_len: usize,
    pub map: usize,
    pub map_len: usize,
    /// Whether its guards are markers.
    pub marked: bool,
}

impl Mapping {
    /// Bytes from its accessible ones to its end.
    pub fn behind(&self) -> usize {
        self.map + self.map_len - (self.data + self.data_len)
    }

    /// Bytes of its guards.
    pub fn guards(&self) -> usize {
        self.map_len - self.data_len
    }
}

/// Maps `data_len` bytes (whole pages) at an alignment, at a random place, guarded.
pub fn make<O: Os, P: Policy>(
    grounds: &Grounds<'_>,
    table: &mut Table<'_, O>,
    data_len: usize,
    align: usize,
) -> Option<Mapping> {
    let page = grounds.ground.page;
    let align = align.max(page);
    if is_short(grounds) {
        return None;
    }
    for attempt in 0..2 * TRIES {
        let (window, window_len) = match attempt < TRIES {
            true => grounds.window,
            false => elsewhere::<O>(grounds)?,
        };
        let mut guard = || match P::SET.has(Set::RANDOM_OFFSET) {
            true => (1 + table.random().below::<O>(GUARD_PAGES) as usize) * page,
            false => page,
        };
        let (before, after) = (guard(), guard());
        let map_len = before.checked_add(data_len)?.checked_add(after)?;
        let room = window_len.checked_sub(map_len.checked_add(align)?)?;
        let offset = table.random().below_long::<O>(room) & !(page - 1);
        let data = align_up(window + offset + before, align)?;
        let mapping = Mapping { data, data_len, map: data - before, map_len, marked: false };
        if table.meets_freed(mapping.map, mapping.map_len) {
            continue;
        }
        match map::<O, P>(grounds, &mapping) {
            Ok(mapping) => return Some(mapping),
            Err(MapError::Occupied) => {}
            Err(_) => return None,
        }
    }
    None
}

/// Whether large objects have all mappings but an eighth of `vm.max_map_count`, which is left to
/// slots and to the program: with none left the smallest request would fail, and no thread would
/// start.
fn is_short(grounds: &Grounds<'_>) -> bool {
    let ground = &grounds.ground;
    // Where markers are the guards, what counts as `ONE` splits off nothing.
    let each = if ground.markers.load(Relaxed) != 0 { super::ONE as usize } else { 1 };
    // Three quarters of them are `most_mappings`.
    ground.mappings.load(Relaxed) >= ground.most_mappings / 6 * 7 * each
}

/// Where to try when the window is full: all addresses. Somebody else's reservation can cover it,
/// since nothing holds it: another Casemate in the process, or a runtime that reserves terabytes.
/// Only while the heap's own spans are reserved, or an object could be placed in one of them.
fn elsewhere<O: Os>(grounds: &Grounds<'_>) -> Option<(usize, usize)> {
    let whole = grounds.ground.reserved && grounds.state_limit() == 0;
    let len = 1usize << (O::address_bits() - 1);
    // From a quarter up: the lowest addresses belong to programs at fixed ones.
    whole.then_some((len / 2, len))
}

/// Maps it, by guard markers in one writable mapping where they work. What was mapped: without its
/// guards if there are none to be had.
fn map<O: Os, P: Policy>(grounds: &Grounds<'_>, mapping: &Mapping) -> Result<Mapping, MapError> {
    let Mapping { data, data_len, map, map_len, .. } = *mapping;
    let end = data + data_len;
    let ground = &grounds.ground;
    if !P::SET.has(Set::GUARDS) {
        return O::map(map, map_len).map(|()| *mapping);
    }
    if ground.markers.load(Relaxed) != 0 {
        O::map(map, map_len)?;
        if O::guard(map, data - map).is_ok() && O::guard(end, map + map_len - end).is_ok() {
            return Ok(Mapping { marked: true, ..*mapping });
        }
        // Locked memory, or a filter that came later.
        ground.markers.store(0, Relaxed);
        O::unmap(map, map_len)?;
    }
    if ground.mappings.load(Relaxed) < ground.most_mappings {
        O::reserve(map, map_len)?;
        if O::open(data, data_len).is_ok() {
            O::dump(data, data_len);
            return Ok(*mapping);
        }
        let _ = O::unmap(map, map_len);
    }
    // The unmapped space around it is the guard then, which is not its own: another object may
    // come to lie there, so it must not be unmapped with this one.
    O::map(data, data_len).map(|()| Mapping { map: data, map_len: data_len, ..*mapping })
}

/// Fills a mapping from `from` bytes on with pages that were kept. `None`: a part of it was lost,
/// and it is not mapped any more.
pub fn fill<O: Os>(grounds: &Grounds<'_>, mapping: &Mapping, from: usize) -> Option<Taken> {
    let filled = grounds.ground.fill::<O>(mapping.data + from, mapping.data_len - from);
    if filled.is_err() {
        let _ = O::unmap(mapping.map, mapping.map_len);
    }
    filled.ok()
}

/// Makes a freed object's range inaccessible and gives its memory back; the range stays taken,
/// by a mapping where address space is plenty. Whether that mapping is left.
pub fn retire<O: Os, P: Policy>(grounds: &Grounds<'_>, mapping: &Mapping) -> bool {
    if !P::SET.has(Set::PURGE_CLOSE) {
        // The control: the range stays readable and writable until it leaves the queue.
        let _ = O::discard(mapping.data, mapping.data_len);
        return true;
    }
    let keep = grounds.ground.reserved && grounds.state_limit() == 0;
    let closed = keep && O::close(mapping.map, mapping.map_len).is_ok();
    if closed && O::discard(mapping.map, mapping.map_len).is_ok() {
        return true;
    }
    if O::unmap(mapping.map, mapping.map_len).is_ok() {
        return false;
    }
    if !closed && O::close(mapping.data, mapping.data_len).is_err() {
        // The kernel refuses everything: it stays accessible, but holds nothing.
        super::resize::clear(mapping.data, mapping.data + mapping.data_len);
    }
    true
}

/// Bytes of the longest guard.
pub fn most_guard(grounds: &Grounds<'_>) -> usize {
    GUARD_PAGES as usize * grounds.ground.page
}

/// Makes `more` bytes behind an object's accessible ones accessible, where they are guards or nobody
/// has them, with a guard behind. How many bytes of address space that took; `None`: there is no
/// more than before.
pub fn extend<O: Os, P: Policy>(
    grounds: &Grounds<'_>,
    table: &Table<'_, O>,
    mapping: &Mapping,
    more: usize,
) -> Option<usize> {
    let (end, map_end) = (mapping.data + mapping.data_len, mapping.map + mapping.map_len);
    let guard = mapping.behind().min(most_guard(grounds));
    if guard == 0 && P::SET.has(Set::GUARDS) {
        // The free space around it is all the guard it has.
        return None;
    }
    let taken = (more + guard).saturating_sub(mapping.behind());
    if taken != 0 {
        let window = grounds.window.0 + grounds.window.1;
        // Where nothing is reserved, the rest is other slots' to come.
        let is_inside = elsewhere::<O>(grounds).is_some() || map_end + taken <= window;
        if !is_inside || table.meets_freed(map_end, taken) {
            return None;
        }
        let own = mapping.marked || !P::SET.has(Set::GUARDS);
        if own { O::map(map_end, taken) } else { O::reserve(map_end, taken) }.ok()?;
    }
    let open = || {
        if !P::SET.has(Set::GUARDS) {
            return Ok(());
        }
        if mapping.marked {
            if taken != 0 {
                // Only what is new: a refusal takes away what there is.
                let from = map_end.max(end + more);
                O::guard(from, map_end + taken - from)?;
            }
            // What was cut off while markers were refused is closed otherwise.
            O::open(end, more)?;
            O::dump(end, more);
            return O::unguard(end, more);
        }
        O::open(end, more)?;
        O::dump(end, more);
        Ok(())
    };
    if open().is_err() {
        if P::SET.has(Set::GUARDS) && !mapping.marked {
            // It may have opened a part of what was guarded.
            let _ = O::close(end, more.min(mapping.behind()));
        }
        if taken != 0 {
            let _ = O::unmap(map_end, taken);
        }
        return None;
    }
    Some(taken)
}

/// Takes the pages from `keep` bytes on away from an object that shrinks.
pub fn cut<O: Os, P: Policy>(grounds: &Grounds<'_>, mapping: &Mapping, keep: usize) -> bool {
    let (at, len) = (mapping.data + keep, mapping.data_len - keep);
    if !P::SET.has(Set::GUARDS) {
        return O::discard(at, len).is_ok();
    }
    if grounds.ground.markers.load(Relaxed) != 0 && O::guard(at, len).is_ok() {
        return true;
    }
    O::discard(at, len).is_ok() && O::close(at, len).is_ok()
}
