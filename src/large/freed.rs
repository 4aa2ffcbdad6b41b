//! Layer: mechanisms. Freed large ranges: inaccessible at once, and not used again before what
//! must lie behind them does.

use super::{EntryState, Grounds, Table, mapping, mapping_of};
use crate::os::Os;
use crate::policy::{Policy, Set};
use crate::units::MIB;
use core::sync::atomic::Ordering::Relaxed;

/// Younger large frees, and MiB of younger freed address space, that lie behind a range before
/// it is used again.
const WAIT_FREES: u32 = 16;
/// See [`WAIT_FREES`].
const WAIT_MIB: u32 = 16;

/// Makes a live object's range a freed one.
pub(super) fn drop_object<O: Os, P: Policy>(
    grounds: &Grounds<'_>,
    table: &mut Table<'_, O>,
    number: u32,
) {
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
