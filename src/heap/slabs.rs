//! Layer: heap. A bin's lists of slabs: all of them, and those with groups that can be taken up.

use super::Heap;
use super::bin::Bin;
use super::refill::View;
use crate::geometry::SlabId;
use crate::os::Os;
use crate::policy::Policy;
use crate::slab::meta::{Link, header};
use core::sync::atomic::{AtomicU32, Ordering::Relaxed};

impl<'f, O: Os, P: Policy> Heap<'f, O, P> {
    pub(super) fn link_slab(&self, view: &View<'f>, slab: SlabId) {
        let head = header(view.region, slab);
        let first = Link(view.bin.slabs.load(Relaxed));
        head.previous.store(0, Relaxed);
        head.next.store(first.0, Relaxed);
        if let Some(second) = first.slab() {
            header(view.region, second).previous.store(Link::to(slab).0, Relaxed);
        }
        view.bin.slabs.store(Link::to(slab).0, Relaxed);
        view.bin.slab_count.store(view.bin.slab_count.load(Relaxed) + 1, Relaxed);
    }

    pub(super) fn unlink_slab(&self, view: &View<'f>, slab: SlabId) {
        let head = header(view.region, slab);
        let (before, after) = (head.previous.load(Relaxed), head.next.load(Relaxed));
        match Link(before).slab() {
            Some(before) => header(view.region, before).next.store(after, Relaxed),
            None => view.bin.slabs.store(after, Relaxed),
        }
        if let Some(after) = Link(after).slab() {
            header(view.region, after).previous.store(before, Relaxed);
        }
        view.bin.slab_count.store(view.bin.slab_count.load(Relaxed).saturating_sub(1), Relaxed);
    }

    /// A slab of which every group has become spare.
    pub(super) fn add_empty(&self, view: &View<'f>, slab: SlabId) {
        self.link_spare(view, Spares::All, slab);
        view.bin.empty.store(view.bin.empty.load(Relaxed) + 1, Relaxed);
    }

    /// It is taken up, or given back.
    pub(super) fn remove_empty(&self, view: &View<'f>, slab: SlabId) {
        self.unlink_spare(view, Spares::All, slab);
        let empty = view.bin.empty.load(Relaxed).saturating_sub(1);
        view.bin.empty.store(empty, Relaxed);
        view.bin.fewest.store(view.bin.fewest.load(Relaxed).min(empty), Relaxed);
    }

    pub(super) fn link_spare(&self, view: &View<'f>, list: Spares, slab: SlabId) {
        let head = header(view.region, slab);
        let first = Link(list.of(view.bin).load(Relaxed));
        head.previous_spare.store(0, Relaxed);
        head.next_spare.store(first.0, Relaxed);
        if let Some(second) = first.slab() {
            header(view.region, second).previous_spare.store(Link::to(slab).0, Relaxed);
        }
        list.of(view.bin).store(Link::to(slab).0, Relaxed);
    }

    pub(super) fn unlink_spare(&self, view: &View<'f>, list: Spares, slab: SlabId) {
        let head = header(view.region, slab);
        let (before, after) = (head.previous_spare.load(Relaxed), head.next_spare.load(Relaxed));
        match Link(before).slab() {
            Some(before) => header(view.region, before).next_spare.store(after, Relaxed),
            None => list.of(view.bin).store(after, Relaxed),
        }
        if let Some(after) = Link(after).slab() {
            header(view.region, after).previous_spare.store(before, Relaxed);
        }
    }
}

/// A bin's lists of slabs with groups that can be taken up. A slab is in one of them or in none.
#[derive(Clone, Copy)]
pub(super) enum Spares {
    /// Others of its groups are in use, or wait.
    Some,
    /// Every group.
    All,
}

impl Spares {
    pub(super) fn of(self, bin: &Bin) -> &AtomicU32 {
        match self {
            Spares::Some => &bin.spare,
            Spares::All => &bin.empties,
        }
    }
}
