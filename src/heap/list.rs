//! Layer: heap. The lists of groups that wait, and of those that have.

use super::refill::View;
use crate::geometry::GroupId;
use crate::slab::group::Group;
use core::sync::atomic::{AtomicU32, Ordering::Relaxed};

/// The lists of queued groups, linked through their metadata.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum List {
    /// In the order in which they were queued.
    Waiting,
    /// Those of which some slots have served, which count as free. The others are snapshotted from
    /// time to time, and have served when their snapshot has waited as long as a queued group.
    Waited,
}

/// The one that follows in its list.
pub(super) fn after(group: &Group<'_>) -> Option<GroupId> {
    group.own.next.load(Relaxed).checked_sub(1).map(GroupId)
}

impl<'f> View<'f> {
    fn ends(&self, list: List) -> (&AtomicU32, &AtomicU32) {
        match list {
            List::Waiting => (&self.bin.oldest, &self.bin.youngest),
            List::Waited => (&self.bin.waited, &self.bin.waited_last),
        }
    }

    /// The first of a list.
    pub(super) fn first(&self, list: List) -> Option<GroupId> {
        self.ends(list).0.load(Relaxed).checked_sub(1).map(GroupId)
    }

    /// The last of a list.
    pub(super) fn last(&self, list: List) -> Option<GroupId> {
        self.ends(list).1.load(Relaxed).checked_sub(1).map(GroupId)
    }

    /// Puts a group at the end of a list.
    pub(super) fn append(&self, list: List, id: GroupId) {
        let (first, last) = self.ends(list);
        self.group(id).2.own.next.store(0, Relaxed);
        match self.last(list) {
            Some(last) => self.group(last).2.own.next.store(id.0 + 1, Relaxed),
            None => first.store(id.0 + 1, Relaxed),
        }
        last.store(id.0 + 1, Relaxed);
    }

    /// Takes the element after `before` (the first if `None`) out of a list.
    pub(super) fn unlink(&self, list: List, before: Option<GroupId>, id: GroupId) {
        let (first, last) = self.ends(list);
        let next = self.group(id).2.own.next.load(Relaxed);
        match before {
            Some(before) => self.group(before).2.own.next.store(next, Relaxed),
            None => first.store(next, Relaxed),
        }
        if next == 0 {
            last.store(before.map_or(0, |id| id.0 + 1), Relaxed);
        }
    }
}
