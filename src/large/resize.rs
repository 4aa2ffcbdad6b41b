//! Layer: mechanisms. Large objects that get another size: in place, by moving their pages, or,
//! where the kernel does not move them, by copying.

#![expect(unsafe_code, reason = "wipes what an object gives up, copies on resize")]

use super::mapping;
use super::table::{EntryState, Table};
use super::{Fit, Grounds, ONE, TAKEN_OVER, add, drop_object, find_live, mapping_of, seal, shape};
use crate::copy::copy;
use crate::os::{MapError, Os, pointer};
use crate::policy::{Policy, Set};
use crate::request::{Claim, Outcome, Request};
use crate::units::{align_up, round_up};
use core::ptr::NonNull;
use core::sync::atomic::Ordering::Relaxed;

/// Gives a large object another size. `None`: no memory for it, the object stays as it is.
pub fn resize<O: Os, P: Policy>(
    grounds: &Grounds<'_>,
    at: usize,
    claim: Claim,
    request: &Request,
) -> Outcome<Option<NonNull<u8>>> {
    let Some(mut table) = grounds.table::<O>() else { return Ok(None) };
    let number = find_live::<O, P>(grounds, &table, at, claim)?;
    let entry = table.entry(number);
    let made = mapping_of(entry);
    let start = entry.start.load(Relaxed);
    let Some(end) = start.checked_add(request.size) else { return Ok(None) };
    let page = grounds.ground.page;
    if end <= made.data + made.data_len && (start & (request.align - 1)) == 0 {
        let old_size = entry.size.load(Relaxed);
        let keep = round_up((end - made.data).max(1), page);
        clear(start + request.size.min(old_size), made.data + keep);
        entry.size.store(request.size, Relaxed);
        entry.set(EntryState::Live, shape(request));
        if keep < made.data_len {
            // What the kernel takes back need not be wiped, which would make every page present.
            if mapping::cut::<O, P>(grounds, &made, keep) {
                entry.data_len.store(keep, Relaxed);
                let cut = (made.data_len - keep) as u64;
                grounds.state.live_bytes.fetch_sub(cut, Relaxed);
                grounds.state.guard_bytes.fetch_add(cut, Relaxed);
            } else {
                clear(made.data + keep, made.data + made.data_len);
            }
        }
        if P::SET.has(Set::CANARY) {
            seal(grounds, entry);
        }
        return Ok(NonNull::new(pointer(start)));
    }
    if grow::<O, P>(grounds, &table, number, request) {
        return Ok(NonNull::new(pointer(start)));
    }
    move_to_larger::<O, P>(grounds, &mut table, number, request)
}

/// An object grows where it is, by up to half or to what it had: what grows in small steps would be
/// moved again and again, and be one more mapping each time. False: it is as it was.
fn grow<O: Os, P: Policy>(
    grounds: &Grounds<'_>,
    table: &Table<'_, O>,
    number: u32,
    request: &Request,
) -> bool {
    let (entry, state) = (table.entry(number), grounds.state);
    let made = mapping_of(entry);
    let (start, size) = (entry.start.load(Relaxed), entry.size.load(Relaxed));
    let end = align_up(start + request.size, grounds.ground.page);
    let Some(more) = end.and_then(|end| end.checked_sub(made.data + made.data_len)) else {
        return false;
    };
    let was_there = made.behind().saturating_sub(mapping::most_guard(grounds)) >= more;
    if more > made.data_len / 2 && !was_there || start & (request.align - 1) != 0 {
        return false;
    }
    let Some(taken) = mapping::extend::<O, P>(grounds, table, &made, more) else { return false };
    // The pattern behind its old end.
    clear(start + size, made.data + made.data_len);
    entry.data_len.store(made.data_len + more, Relaxed);
    entry.map_len.store(made.map_len + taken, Relaxed);
    entry.size.store(request.size, Relaxed);
    entry.set(EntryState::Live, shape(request));
    state.live_bytes.fetch_add(more as u64, Relaxed);
    state.guard_bytes.fetch_add(taken as u64, Relaxed);
    state.guard_bytes.fetch_sub(more as u64, Relaxed);
    if P::SET.has(Set::CANARY) {
        seal(grounds, entry);
    }
    true
}

/// Moves an object's pages to a larger mapping; copies only where the kernel cannot move them.
fn move_to_larger<O: Os, P: Policy>(
    grounds: &Grounds<'_>,
    table: &mut Table<'_, O>,
    number: u32,
    request: &Request,
) -> Outcome<Option<NonNull<u8>>> {
    let from = table.entry(number);
    let old = mapping_of(from);
    let (start, size) = (from.start.load(Relaxed), from.size.load(Relaxed));
    let Some(mut new) = add::<O, P>(grounds, table, request, Fit::Start, old.data_len)? else {
        return Ok(None);
    };
    // The pattern must not reach the program with the moved page.
    clear(start + size, old.data + old.data_len);
    // Of several mappings Linux 5.7 to 6.16 move none, and say so late; later ones move one after
    // the other, and may fail in between. More than are counted may be there: the program may have
    // split them, and a forked child's growth is not joined to what it has from its parent.
    let several = from.freed_at.load(Relaxed) != ONE;
    let made = mapping_of(table.entry(new));
    let tries = (!several || grounds.state.moves_one.load(Relaxed) == 0)
        && start == old.data
        && old.data_len <= made.data_len;
    let moved = if tries {
        O::move_pages(old.data, made.data, old.data_len)
    } else {
        Err(MapError::Unsupported)
    };
    let mut lost = None;
    if moved == Err(MapError::Occupied) {
        // It failed late: nothing may be put at that place any more.
        if several {
            grounds.state.moves_one.store(1, Relaxed);
        }
        let Some(other) = add::<O, P>(grounds, table, request, Fit::Start, 0)? else {
            merge::<O>(grounds, made.data, old.data, old.data_len);
            drop_object::<O, P>(grounds, table, new);
            if P::SET.has(Set::CANARY) {
                seal(grounds, table.entry(number));
            }
            return Ok(None);
        };
        lost = Some(new);
        new = other;
    }
    let to = table.entry(new);
    let target = to.start.load(Relaxed);
    if moved.is_ok() {
        // What was several mappings is so at its new place.
        let pieces = table.entry(number).freed_at.load(Relaxed).saturating_sub(1);
        to.freed_at.fetch_add(pieces, Relaxed);
        grounds.ground.mappings.fetch_add(pieces as usize, Relaxed);
    } else if tries && lost.is_none() {
        // Some may have been moved.
        merge::<O>(grounds, old.data, target, old.data_len);
    } else {
        // SAFETY: as many bytes as both objects have are accessible in each; they are different
        // mappings, and the table's lock keeps them.
        unsafe {
            copy(pointer(start), pointer(target), size.min(request.size));
        }
        if lost.is_some() {
            merge::<O>(grounds, made.data, target, old.data_len);
        }
    }
    if P::SET.has(Set::CANARY) {
        // A moved last page took the new pattern's place.
        seal(grounds, table.entry(new));
    }
    if moved.is_err() {
        grounds.ground.keep::<O>(old.data, old.data_len, false);
    }
    if let Some(lost) = lost {
        drop_object::<O, P>(grounds, table, lost);
    }
    drop_object::<O, P>(grounds, table, number);
    Ok(NonNull::new(pointer(target)))
}

/// Adds what a range holds to another, page by page: of a page and the one to which it was to be
/// moved one is all zero, or not mapped any more.
fn merge<O: Os>(grounds: &Grounds<'_>, from: usize, to: usize, len: usize) {
    let page = grounds.ground.page;
    let whole = O::open(from, len).is_ok();
    let mut at = 0;
    while at < len {
        let end = if whole { len } else { at + page };
        if !whole && O::open(from + at, page).is_err() {
            at = end;
            continue;
        }
        while at < end {
            // SAFETY: both pages are open: the one was opened just now, the other is an object's;
            // they are aligned, and the table's lock keeps both from anybody else.
            unsafe {
                let (from, to) = (pointer::<u64>(from + at), pointer::<u64>(to + at));
                to.write(to.read() | from.read());
            }
            at += size_of::<u64>();
        }
    }
}

pub(super) fn clear(from: usize, to: usize) {
    if from < to {
        // SAFETY: the caller passes a part of an object's accessible pages that it may write.
        unsafe { crate::wipe::wipe_long(pointer(from), to - from) }
    }
}

/// The program takes over the whole of the pages of the object at `at`: how many bytes from there
/// it may use from now on. `None` as for [`size_of_object`].
pub fn take_over<O: Os, P: Policy>(grounds: &Grounds<'_>, at: usize) -> Outcome<Option<usize>> {
    let Some(table) = grounds.table::<O>() else { return Ok(None) };
    let number = find_live::<O, P>(grounds, &table, at, Claim::ANY)?;
    let entry = table.entry(number);
    let made = mapping_of(entry);
    let (start, size) = (entry.start.load(Relaxed), entry.size.load(Relaxed));
    let usable = made.data + made.data_len - start;
    if usable != size {
        clear(start + size, start + usable);
        entry.size.store(usable, Relaxed);
    }
    entry.set(EntryState::Live, entry.shape() | TAKEN_OVER);
    Ok(Some(usable))
}
