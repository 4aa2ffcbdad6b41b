//! Layer: faces. What is done to all buffers with pages of their own at once: the self-check, a
//! fork, the end.
#![expect(unsafe_code, reason = "in the end, reads a table that others may be changing")]

use super::{ENTRIES, Entry, Pages, Phase, Table, margins, words};
use crate::os::pointer;
use crate::secure::backing::{self, Made};
use crate::secure::last::Range;
use crate::secure::policy::Access;
use crate::secure::protections::{Backing, ForkView};
use crate::secure::root::Fixed;
use crate::violation::{Kind, Place, Violation};

impl Table<'_> {
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
}

/// The pages of every live buffer, in whatever state the table is.
///
/// # Safety
/// `pages` is the state's, which is mapped.
pub unsafe fn each_live(fixed: &Fixed, pages: *const Pages, act: &mut impl FnMut(Range)) {
    let entries = pointer::<Entry>(fixed.entries).cast_const();
    // SAFETY: the caller's. Entries below `used` are open, for good. Numbers and bytes are read,
    // one by one: all are valid, also in the middle of a change by another thread.
    unsafe {
        let used = (&raw const (*pages).used).read_volatile();
        for number in 0..used.min(ENTRIES as u32) {
            let entry = entries.add(number as usize);
            if (&raw const (*entry).phase).cast::<u8>().read_volatile() == Phase::Live as u8 {
                let now = (&raw const (*entry).now).cast::<u8>().read_volatile();
                act(Range {
                    at: (&raw const (*entry).made.data).read_volatile(),
                    len: (&raw const (*entry).made.data_len).read_volatile(),
                    is_open: now == Access::ReadWrite as u8,
                });
            }
        }
    }
}
