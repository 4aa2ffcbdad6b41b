//! Layer: faces. What the kernel gave and refused so far, so that it is not asked in vain.

use super::Have;
use crate::secure::protections::Backing;

/// How often a backing that was refused is not even asked for, by those who can do without.
const PATIENCE: u32 = 64;

/// What the kernel gave and refused so far.
pub struct Supply {
    /// Bytes charged to RLIMIT_MEMLOCK by secure memory, and the most there ever were.
    pub locked: usize,
    pub most_locked: usize,
    /// Bytes of data mapped, by backing.
    pub mapped: [usize; 3],
    /// Requests that may still be answered without asking again, and the length that was refused.
    patience: [u32; 2],
    refused: [usize; 2],
    /// There is no `memfd_secret`: the kernel does not grow one.
    pub(super) absent: bool,
    /// Mappings that were refused for the limit.
    pub limit_hits: u64,
}

impl Supply {
    /// Notes a new mapping, or one that is gone.
    pub fn count(&mut self, have: Have, len: usize) {
        if let Some(bytes) = self.mapped.get_mut(have.backing as usize) {
            *bytes += len;
        }
        if have.is_locked() {
            self.locked += len;
            self.most_locked = self.most_locked.max(self.locked);
        }
    }

    /// See [`count`](Supply::count).
    pub fn uncount(&mut self, have: Have, len: usize) {
        if let Some(bytes) = self.mapped.get_mut(have.backing as usize) {
            *bytes = bytes.saturating_sub(len);
        }
        if have.is_locked() {
            self.locked = self.locked.saturating_sub(len);
            self.patience = [0; 2];
        }
    }

    pub(super) fn is_hopeless(&mut self, backing: Backing, len: usize) -> bool {
        let at = backing as usize;
        let (Some(patience), Some(&refused)) = (self.patience.get_mut(at), self.refused.get(at))
        else {
            return false;
        };
        if *patience == 0 || len < refused {
            return false;
        }
        *patience -= 1;
        true
    }

    /// In a forked child, which has none of it.
    pub fn start_over(&mut self) {
        *self = Supply::NONE;
    }

    const NONE: Supply = Supply {
        locked: 0,
        most_locked: 0,
        mapped: [0; 3],
        patience: [0; 2],
        refused: [0; 2],
        absent: false,
        limit_hits: 0,
    };

    pub(super) fn note_refusal(&mut self, backing: Backing, len: usize) {
        let at = backing as usize;
        if let (Some(patience), Some(refused)) =
            (self.patience.get_mut(at), self.refused.get_mut(at))
        {
            (*patience, *refused) = (PATIENCE, len);
        }
    }
}
