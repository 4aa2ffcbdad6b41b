//! Layer: faces. The table of buffers with pages of their own: entries by number, and an index
//! from the address to the number, both opened in steps; and the list of freed ranges that wait.
#![expect(unsafe_code, reason = "the table lives in a mapping")]

use super::{EMPTY, ENTRIES, Entry, Phase, Table, WAIT, fail};
use crate::os::{Linux, Os, pointer};
use crate::secure::backing::Made;
use crate::secure::error::{ErrorKind, SecureError};
use crate::secure::index::Index;
use crate::secure::protection::{Protection, on};
use crate::units::round_up;

/// Entries that are opened at a time.
const STEP: usize = 256;
/// Cells of the index at first.
const CELLS: usize = 1024;

impl Table<'_> {
    /// An entry that was ever used.
    pub fn entry(&self, number: u32) -> Option<&Entry> {
        // SAFETY: entries below `used` are open and initialised; the state's lock, which whoever
        // has `self` holds, keeps others out, and the borrow is of `self`.
        (number < self.pages.used)
            .then(|| unsafe { &*pointer::<Entry>(self.fixed.entries).add(number as usize) })
    }

    pub(super) fn entry_mut(&mut self, number: u32) -> Option<&mut Entry> {
        // SAFETY: as for `entry`, and the borrow is exclusive.
        (number < self.pages.used)
            .then(|| unsafe { &mut *pointer::<Entry>(self.fixed.entries).add(number as usize) })
    }

    pub(super) fn cells(&mut self) -> Index<'_> {
        let cells = self.pages.cells;
        let first = pointer::<u32>(self.fixed.index);
        // SAFETY: so many cells are open; the borrow of `self` is exclusive. Without cells the
        // slice is empty and the pointer aligned and not null.
        Index::new(unsafe { core::slice::from_raw_parts_mut(first, cells) })
    }

    /// Where the buffers of entries start; 0 for a number that no entry ever had. The index holds
    /// no such numbers, unless it was overwritten.
    fn starts(&self) -> impl Fn(u32) -> usize + Copy + use<> {
        let (entries, used) = (self.fixed.entries, self.pages.used);
        move |number| {
            if number >= used {
                return 0;
            }
            // SAFETY: entries below `used` are open, for good.
            unsafe { (*pointer::<Entry>(entries).add(number as usize)).start }
        }
    }

    /// The entry whose buffer starts, or started, at `at`.
    #[inline]
    pub fn find(&mut self, at: usize) -> Option<u32> {
        if self.pages.cells == 0 {
            return None;
        }
        let starts = self.starts();
        self.cells().find(at, starts)
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
    pub(super) fn take(&mut self) -> Result<u32, SecureError> {
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

    pub(super) fn give_back(&mut self, number: u32) {
        let free = self.pages.free;
        if let Some(entry) = self.entry_mut(number) {
            *entry = EMPTY;
            entry.next = free;
            self.pages.free = number + 1;
        }
    }

    /// Lets a freed range wait, inaccessible, until younger ones are behind it.
    pub(super) fn enqueue(&mut self, number: u32) {
        let newest = self.pages.newest;
        if let Some(last) = newest.checked_sub(1).and_then(|last| self.entry_mut(last)) {
            last.next = number + 1;
        } else {
            self.pages.oldest = number + 1;
        }
        self.pages.newest = number + 1;
        self.pages.waiting += 1;
        let wait = if on(Protection::RangeWait) { WAIT } else { 0 };
        while self.pages.waiting > wait {
            let Some(oldest) = self.pages.oldest.checked_sub(1) else { break };
            self.pages.oldest = self.entry(oldest).map_or(0, |entry| entry.next);
            if self.pages.oldest == 0 {
                self.pages.newest = 0;
            }
            self.pages.waiting -= 1;
            self.drop_range(oldest);
        }
    }

    pub(super) fn drop_range(&mut self, number: u32) {
        let Some(&entry) = self.entry(number) else { return };
        let _ = Linux::unmap(entry.made.map, entry.made.map_len);
        let starts = self.starts();
        self.cells().remove(entry.start, starts);
        self.give_back(number);
    }
}

#[cfg(test)]
mod tests {
    use crate::os::pointer;
    use crate::secure::controls::raw::{OWN, free, query, take, try_free};
    use crate::secure::root::with;
    use crate::secure::{ErrorKind, controls};

    const TEST: &str = "secure::pages::table::tests::numbers_beyond_the_table_lead_nowhere";

    /// The index is overwritten with numbers that no entry has.
    #[test]
    fn numbers_beyond_the_table_lead_nowhere() {
        controls::alone(TEST, || {
            let all = [take(32, &OWN), take(5000, &OWN)];
            for value in [u32::MAX, 60_000, 300, 3] {
                let kept = with(|fixed, state| {
                    let cells = state.pages.cells;
                    let first = pointer::<u32>(fixed.index);
                    // SAFETY: open cells, alone under the lock.
                    let cells = unsafe { core::slice::from_raw_parts_mut(first, cells) };
                    let kept = cells.to_vec();
                    cells.fill(value);
                    Ok(kept)
                });
                for at in all {
                    // Found by the search of all.
                    assert!(query(at).is_some());
                    let kind = try_free(at).unwrap_err().kind();
                    assert!(matches!(kind, ErrorKind::NotABuffer | ErrorKind::Misuse(_)));
                }
                assert_eq!(query(0), None);
                with(|fixed, state| {
                    let first = pointer::<u32>(fixed.index);
                    // SAFETY: as above.
                    let cells =
                        unsafe { core::slice::from_raw_parts_mut(first, state.pages.cells) };
                    cells.copy_from_slice(&kept.expect("the index"));
                    Ok(())
                })
                .expect("the index");
            }
            all.into_iter().for_each(free);
        });
    }
}
