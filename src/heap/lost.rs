//! Tests: whether every slab of the heap is somebody's.

use super::{ClassStats, Heap};
use crate::os::Os;
use crate::policy::Policy;
use core::sync::atomic::Ordering::Relaxed;

impl<O: Os, P: Policy> Heap<'_, O, P> {
    /// Slabs below a frontier that are neither free nor a heap's. For a process at rest that has
    /// not forked.
    pub(crate) fn lost_slabs(&self) -> u64 {
        let mut lost = 0;
        for (number, state) in self.shared().region.iter().enumerate().take(self.plan().regions) {
            let mut class = ClassStats::EMPTY;
            self.add_region(number, &mut class);
            let known = u64::from(state.free()) + class.slabs;
            lost += u64::from(state.frontier.load(Relaxed)).abs_diff(known);
        }
        lost
    }
}
