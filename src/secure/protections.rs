//! Layer: faces. What a buffer really has: the answer of `safe_query`.

use super::backing::Have;
use super::policy::{Access, Requirements};
use super::root::Fixed;
use core::fmt;

/// Where the pages of a buffer come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Backing {
    /// `memfd_secret`: locked, and hidden from the rest of the kernel.
    Secret,
    /// Anonymous memory that is locked.
    Locked,
    /// Anonymous memory that may be written to swap. Guarded, checked and wiped all the same.
    Unlocked,
}

/// What a forked child finds where the buffer was.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum ForkView {
    /// Nothing: the pages are not in the child (MADV_DONTFORK).
    Excluded,
    /// Zeros (MADV_WIPEONFORK).
    Wiped,
    /// A copy of the contents.
    Copied,
}

/// The protections that a buffer has: not those asked for, those obtained.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Protections {
    /// Where its pages come from.
    pub backing: Backing,
    /// The pages stay in memory.
    pub locked: bool,
    /// The pages are left out of core dumps.
    pub no_dump: bool,
    /// What a forked child finds.
    pub fork: ForkView,
    /// Inaccessible pages before and behind: of the buffer itself if it has pages of its own, of
    /// its pool chunk else.
    pub guards: bool,
    /// The guards cannot be written to through `/proc/self/mem` either (MADV_GUARD_INSTALL, Linux
    /// 6.13). Guards that are only inaccessible can.
    pub guard_markers: bool,
    /// Secret words before and behind it, checked when it is freed.
    pub canary: bool,
    /// The secrets and addresses of secure memory itself are read-only.
    pub read_only_metadata: bool,
    /// And cannot be made writable again (`mseal`).
    pub sealed_metadata: bool,
    /// It shares its pages with other secrets.
    pub pooled: bool,
    /// What may be done with its bytes now. Always [`Access::ReadWrite`] if pooled.
    pub access: Access,
    /// Bytes asked for.
    pub size: usize,
}

impl Protections {
    /// Whether these are out of reach of the rest of the kernel and of `/proc/PID/mem`.
    #[must_use]
    pub const fn is_hidden(&self) -> bool {
        matches!(self.backing, Backing::Secret)
    }

    /// What a policy could have required and got.
    #[must_use]
    pub fn satisfied(&self) -> Requirements {
        let each = [
            (self.locked, Requirements::LOCKED),
            (self.no_dump, Requirements::NO_DUMP),
            (!matches!(self.fork, ForkView::Copied), Requirements::NO_FORK),
            (self.guards, Requirements::GUARDS),
            (self.canary, Requirements::CANARY),
            (self.is_hidden(), Requirements::HIDDEN),
            (self.sealed_metadata, Requirements::SEALED),
        ];
        each.into_iter().fold(
            Requirements::NONE,
            |all, (has, one)| {
                if has { all.and(one) } else { all }
            },
        )
    }
}

/// `memfd_secret, locked, not dumped, not in children, guards, canary, read-write`.
impl fmt::Display for Protections {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.backing {
            Backing::Secret => "memfd_secret",
            Backing::Locked => "anonymous",
            Backing::Unlocked => "anonymous",
        })?;
        f.write_str(if self.pooled { " pool" } else { " pages" })?;
        f.write_str(if self.locked { ", locked" } else { ", NOT locked" })?;
        f.write_str(if self.no_dump { ", not dumped" } else { ", DUMPED" })?;
        f.write_str(match self.fork {
            ForkView::Excluded => ", not in children",
            ForkView::Wiped => ", zeros in children",
            ForkView::Copied => ", copied to children",
        })?;
        f.write_str(if self.guards { ", guards" } else { ", NO guards" })?;
        f.write_str(if self.canary { ", canaries" } else { ", NO canaries" })?;
        f.write_str(match self.access {
            Access::NoAccess => ", no access",
            Access::ReadOnly => ", read-only",
            Access::ReadWrite => ", read-write",
        })
    }
}

/// The report on a buffer.
pub(super) fn report(
    fixed: &Fixed,
    have: Have,
    access: Access,
    size: usize,
    pooled: bool,
) -> Protections {
    Protections {
        backing: have.backing,
        locked: have.is_locked(),
        no_dump: have.no_dump,
        fork: have.fork,
        guards: true,
        guard_markers: have.markers,
        canary: true,
        read_only_metadata: fixed.is_read_only(),
        sealed_metadata: fixed.is_sealed(),
        pooled,
        access,
        size,
    }
}
