//! Layer: faces. What a caller asks of secure memory: requirements, and how a buffer may be kept.

use core::fmt;
use core::ops::BitOr;

/// What may be done with the bytes of a buffer that has pages of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Access {
    /// Every access faults.
    NoAccess,
    /// Reads; a write faults.
    ReadOnly,
    /// Reads and writes.
    ReadWrite,
}

/// A set of protections that a policy insists on.
///
/// ```
/// use casemate::secure::Requirements;
/// const KEYS: Requirements = Requirements::LOCKED.and(Requirements::NO_DUMP);
/// assert!(KEYS.has(Requirements::LOCKED) && !KEYS.has(Requirements::HIDDEN));
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Requirements(u8);

impl Requirements {
    /// Nothing beyond what every secure buffer has.
    pub const NONE: Requirements = Requirements(0);
    /// The pages stay in memory: never written to swap. Needs room below `RLIMIT_MEMLOCK`.
    pub const LOCKED: Requirements = Requirements(1);
    /// The pages are left out of core dumps.
    pub const NO_DUMP: Requirements = Requirements(2);
    /// A forked child does not see the contents.
    pub const NO_FORK: Requirements = Requirements(4);
    /// Inaccessible pages on both sides.
    pub const GUARDS: Requirements = Requirements(8);
    /// Secret words before and behind the buffer, checked when it is freed.
    pub const CANARY: Requirements = Requirements(16);
    /// Not in the kernel's own map of memory, and out of reach of `/proc/PID/mem` and
    /// `process_vm_readv` (`memfd_secret`, Linux 5.14, on by default since 6.5).
    pub const HIDDEN: Requirements = Requirements(32);
    /// The keys and addresses that secure memory rests on are read-only, and cannot be made
    /// writable again (`mseal`, Linux 6.10).
    pub const SEALED: Requirements = Requirements(64);

    const NAMES: [(Requirements, &'static str); 7] = [
        (Requirements::LOCKED, "locked memory"),
        (Requirements::NO_DUMP, "exclusion from core dumps"),
        (Requirements::NO_FORK, "exclusion from forked children"),
        (Requirements::GUARDS, "guards"),
        (Requirements::CANARY, "canaries"),
        (Requirements::HIDDEN, "memfd_secret"),
        (Requirements::SEALED, "sealed metadata"),
    ];

    /// These and `other`.
    #[must_use]
    pub const fn and(self, other: Requirements) -> Requirements {
        Requirements(self.0 | other.0)
    }

    /// These without `other`.
    #[must_use]
    pub const fn without(self, other: Requirements) -> Requirements {
        Requirements(self.0 & !other.0)
    }

    /// Whether all of `other` is among these.
    #[must_use]
    pub const fn has(self, other: Requirements) -> bool {
        self.0 & other.0 == other.0
    }

    /// Whether this is nothing.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// The names of the members.
    pub fn names(self) -> impl Iterator<Item = &'static str> {
        Self::NAMES.into_iter().filter(move |&(one, _)| self.has(one)).map(|(_, name)| name)
    }
}

impl BitOr for Requirements {
    type Output = Requirements;
    fn bitor(self, other: Requirements) -> Requirements {
        self.and(other)
    }
}

impl fmt::Display for Requirements {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, name) in self.names().enumerate() {
            f.write_str(if i == 0 { "" } else { ", " })?;
            f.write_str(name)?;
        }
        Ok(())
    }
}

impl fmt::Debug for Requirements {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Requirements({self})")
    }
}

/// How a buffer is to be kept.
///
/// ```
/// use casemate::secure::{Policy, Requirements};
/// const KEYS: Policy = Policy::best_effort().protectable();
/// const LOCKED: Policy = Policy::require(Requirements::LOCKED);
/// assert!(KEYS.is_protectable() && LOCKED.requirements().has(Requirements::LOCKED));
/// ```
///
/// # Choosing
///
/// [`best_effort`](Policy::best_effort) (the default) takes the best that this machine gives at
/// this moment and never fails for want of a protection; [`safe_query`](crate::secure::safe_query)
/// and [`secure_stats`](crate::secure::secure_stats) tell what it was. A server that must not run
/// with less should say so with [`strict`](Policy::strict) or [`require`](Policy::require): then
/// the allocation fails with an error that names what is missing.
///
/// # Hibernation
///
/// While a process has `memfd_secret` memory, the kernel refuses to hibernate the machine. Programs
/// on people's laptops use [`hibernation_friendly`](Policy::hibernation_friendly); their secrets
/// are then in locked memory, which a hibernating kernel writes to disk with all other memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Policy {
    require: Requirements,
    protectable: bool,
    memfd_secret: bool,
    share: bool,
}

impl Default for Policy {
    fn default() -> Self {
        Policy::best_effort()
    }
}

impl Policy {
    /// The best that can be had, whatever that is: `memfd_secret` memory, else locked memory, else
    /// (counted as degraded) ordinary memory, always guarded, checked and wiped.
    #[must_use]
    pub const fn best_effort() -> Policy {
        Policy::require(Requirements::NONE)
    }

    /// Locked, out of core dumps and forked children, guarded, with canaries; or an error.
    ///
    /// `memfd_secret` is used where there is one and not insisted on: not every kernel has it.
    #[must_use]
    pub const fn strict() -> Policy {
        Policy::require(
            Requirements::LOCKED
                .and(Requirements::NO_DUMP)
                .and(Requirements::NO_FORK)
                .and(Requirements::GUARDS)
                .and(Requirements::CANARY),
        )
    }

    /// At least these protections; or an error.
    #[must_use]
    pub const fn require(requirements: Requirements) -> Policy {
        Policy { require: requirements, protectable: false, memfd_secret: true, share: false }
    }

    /// Pages of the buffer's own, so that [`safe_protect`](crate::secure::safe_protect) and
    /// [`AccessGuard`](crate::secure::AccessGuard) work on it. It costs locked memory: at least a
    /// page for each buffer, and two guards of address space.
    #[must_use]
    pub const fn protectable(self) -> Policy {
        Policy { protectable: true, ..self }
    }

    /// No `memfd_secret`, so that the machine can hibernate.
    ///
    /// Together with [`Requirements::HIDDEN`] this contradicts itself: every allocation fails.
    #[must_use]
    pub const fn hibernation_friendly(self) -> Policy {
        Policy { memfd_secret: false, ..self }
    }

    /// Forked children get a copy of the contents, in pages of the buffer's own.
    ///
    /// The copy is the child's: neither sees what the other writes, and each frees its own. Locks
    /// are not inherited, so the child's copy is not locked (`safe_query` says so there). Such a
    /// buffer is never `memfd_secret` memory, which parent and child would share for writing.
    ///
    /// Together with [`Requirements::NO_FORK`] or [`Requirements::HIDDEN`] this contradicts itself:
    /// every allocation fails.
    #[must_use]
    pub const fn share_with_children(self) -> Policy {
        Policy { share: true, memfd_secret: false, ..self }
    }

    /// Whether it requires what it excludes.
    pub(super) const fn contradicts_itself(&self) -> bool {
        let copies = self.share && self.require.has(Requirements::NO_FORK);
        let hidden = !self.memfd_secret && self.require.has(Requirements::HIDDEN);
        copies || hidden
    }

    /// This policy, insisting on more.
    #[must_use]
    pub const fn and_require(self, more: Requirements) -> Policy {
        Policy { require: self.require.and(more), ..self }
    }

    /// What it insists on.
    #[must_use]
    pub const fn requirements(&self) -> Requirements {
        self.require
    }

    /// Whether buffers have pages of their own at any size.
    #[must_use]
    pub const fn is_protectable(&self) -> bool {
        self.protectable
    }

    /// Whether `memfd_secret` may be used.
    #[must_use]
    pub const fn allows_memfd_secret(&self) -> bool {
        self.memfd_secret
    }

    /// Whether forked children get a copy.
    #[must_use]
    pub const fn is_shared_with_children(&self) -> bool {
        self.share
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::format;

    #[test]
    fn names_are_listed() {
        let both = Requirements::LOCKED | Requirements::HIDDEN;
        assert_eq!(format!("{both}"), "locked memory, memfd_secret");
        assert_eq!(format!("{}", Requirements::NONE), "");
        assert!(both.has(Requirements::NONE) && !Requirements::NONE.has(both));
        assert_eq!(both.without(Requirements::HIDDEN), Requirements::LOCKED);
    }

    #[test]
    fn builders_change_one_thing() {
        const POLICY: Policy = Policy::strict().protectable().hibernation_friendly();
        assert_eq!(POLICY.requirements(), Policy::strict().requirements());
        assert!(POLICY.is_protectable() && !POLICY.allows_memfd_secret());
        assert!(!POLICY.is_shared_with_children());
        assert!(!Policy::default().share_with_children().allows_memfd_secret());
        assert_eq!(Policy::default(), Policy::best_effort());
    }
}
