//! Layer: faces. Memory for secrets between two guards: hidden, else locked, else ordinary.
//!
//! ```text
//! map                data                       data + data_len        map + map_len
//! | guard, random ...| secret, locked or not ...| guard, random .......|
//! | address space    | charged to RLIMIT_MEMLOCK| address space        |
//! ```
//!
//! All is reserved inaccessible first and the data mapped into the middle, so the guards are not
//! charged and nothing else can come to lie between.
#![expect(unsafe_code, reason = "touches the pages of a new mapping")]

use super::error::{ErrorKind, SecureError};
use super::policy::{Policy, Requirements};
use super::protections::{Backing, ForkView};
use super::root::{Fixed, reserve};
use crate::os::{Linux, MapError, Os, Secrets, pointer};
use crate::rng::Stream;
use crate::units::align_up;

/// What the kernel gave a mapping.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Have {
    pub backing: Backing,
    pub no_dump: bool,
    pub fork: ForkView,
    pub markers: bool,
}

impl Have {
    pub fn is_locked(self) -> bool {
        !matches!(self.backing, Backing::Unlocked)
    }

    /// The requirements that it meets; guards and canaries are always there.
    pub fn satisfied(self, fixed: &Fixed) -> Requirements {
        let each = [
            (self.is_locked(), Requirements::LOCKED),
            (self.no_dump, Requirements::NO_DUMP),
            (!matches!(self.fork, ForkView::Copied), Requirements::NO_FORK),
            (matches!(self.backing, Backing::Secret), Requirements::HIDDEN),
            (fixed.sealed, Requirements::SEALED),
        ];
        let always = Requirements::GUARDS.and(Requirements::CANARY);
        each.into_iter().fold(always, |all, (has, one)| if has { all.and(one) } else { all })
    }
}

/// A mapping.
#[derive(Clone, Copy, Debug)]
pub struct Made {
    pub map: usize,
    pub map_len: usize,
    pub data: usize,
    pub data_len: usize,
    pub have: Have,
}

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
    absent: bool,
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

    fn is_hopeless(&mut self, backing: Backing, len: usize) -> bool {
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

    fn note_refusal(&mut self, backing: Backing, len: usize) {
        let at = backing as usize;
        if let (Some(patience), Some(refused)) =
            (self.patience.get_mut(at), self.refused.get_mut(at))
        {
            (*patience, *refused) = (PATIENCE, len);
        }
    }
}

/// A request for a mapping.
#[derive(Clone, Copy)]
pub struct Wanted {
    /// Bytes of data, whole pages.
    pub data_len: usize,
    /// Where in the data the alignment holds, whole pages.
    pub offset: usize,
    /// The alignment there, at least a page.
    pub align: usize,
    /// What is required and allowed.
    pub policy: Policy,
    /// This backing or none.
    pub only: Option<Backing>,
}

/// Maps data between guards, on the best backing that there is and the policy allows.
pub fn make(
    fixed: &Fixed,
    stream: &mut Stream,
    supply: &mut Supply,
    wanted: &Wanted,
) -> Result<Made, SecureError> {
    let policy = &wanted.policy;
    let require = policy.requirements();
    if policy.is_shared_with_children() && require.has(Requirements::NO_FORK) {
        return Err(SecureError::new(ErrorKind::Contradiction));
    }
    if require.has(Requirements::SEALED) && !fixed.sealed {
        return Err(SecureError::new(ErrorKind::Unsupported(Requirements::SEALED)));
    }
    let (map, map_len, data) = place(fixed, stream, wanted)?;
    let len = wanted.data_len;
    let mut refusal = Refusal::None;
    for backing in candidates(policy, wanted.only) {
        let must = require.has(Requirements::LOCKED) || require.has(Requirements::HIDDEN);
        if !must && supply_is_hopeless(supply, backing, len) {
            continue;
        }
        let filled = match backing {
            Backing::Secret if supply.absent => Err(libc::ENOSYS),
            _ => fill(fixed, backing, data, len, policy.is_shared_with_children()),
        };
        match filled {
            Ok(have) if have.satisfied(fixed).has(require) => {
                let markers = fixed.markers && mark_guards(map, map_len, data, len, fixed.page);
                let have = Have { markers, ..have };
                supply.count(have, len);
                return Ok(Made { map, map_len, data, data_len: len, have });
            }
            Ok(have) => {
                refusal = refusal.or(Refusal::Lacks(require.without(have.satisfied(fixed))))
            }
            Err(errno) => {
                supply.absent |= backing == Backing::Secret && errno == libc::ENOSYS;
                let why = Refusal::of(backing, errno, len);
                if !matches!(backing, Backing::Unlocked) {
                    supply.note_refusal(backing, len);
                    supply.limit_hits += u64::from(matches!(why, Refusal::Limit { .. }));
                }
                refusal = refusal.or(why);
            }
        }
        if Linux::take_away(data, len).is_err() {
            break;
        }
    }
    let _ = Linux::unmap(map, map_len);
    Err(refusal.error(require, len))
}

fn supply_is_hopeless(supply: &mut Supply, backing: Backing, len: usize) -> bool {
    !matches!(backing, Backing::Unlocked) && supply.is_hopeless(backing, len)
}

/// From the best to the least that the policy allows, or `only` one of them.
pub fn candidates(policy: &Policy, only: Option<Backing>) -> impl Iterator<Item = Backing> {
    let require = policy.requirements();
    let each = [
        (Backing::Secret, policy.allows_memfd_secret()),
        (Backing::Locked, !require.has(Requirements::HIDDEN)),
        (
            Backing::Unlocked,
            !require.has(Requirements::HIDDEN) && !require.has(Requirements::LOCKED),
        ),
    ];
    each.into_iter()
        .filter(move |&(backing, allowed)| allowed && only.is_none_or(|only| only == backing))
        .map(|(backing, _)| backing)
}

/// Reserves address space for data and guards of random size: start, length, and the data's place.
fn place(
    fixed: &Fixed,
    stream: &mut Stream,
    wanted: &Wanted,
) -> Result<(usize, usize, usize), SecureError> {
    let page = fixed.page;
    let mut guard = || page * (1 + stream.below::<Linux>(8) as usize);
    let (before, behind) = (guard(), guard());
    let align = wanted.align.max(page);
    let lead = align_up(before.wrapping_add(wanted.offset), align)
        .map(|lead| lead.wrapping_sub(wanted.offset));
    let lengths =
        lead.and_then(|lead| Some((lead, lead.checked_add(wanted.data_len)?.checked_add(behind)?)));
    let Some((lead, len)) = lengths else {
        return Err(SecureError::new(ErrorKind::Layout));
    };
    let at = reserve((page, fixed.bits), stream, len, align)
        .map_err(|_| SecureError::new(ErrorKind::OutOfMemory { needed: wanted.data_len }))?;
    // What the alignment takes beyond the guard goes back.
    let map = at + lead - before;
    if map > at && Linux::unmap(at, map - at).is_err() {
        return Ok((at, len, at + lead));
    }
    Ok((map, len - (map - at), at + lead))
}

/// Puts memory of this backing in the place of the reservation.
fn fill(fixed: &Fixed, backing: Backing, at: usize, len: usize, share: bool) -> Result<Have, i32> {
    match backing {
        Backing::Secret => {
            Linux::map_secret(at, len)?;
            // Without this a child would share the very pages.
            Linux::no_fork(at, len)?;
            touch(at, len, fixed.page);
            Ok(Have { backing, no_dump: true, fork: ForkView::Excluded, markers: false })
        }
        Backing::Locked | Backing::Unlocked => {
            Linux::map_over(at, len)?;
            let no_dump = Linux::no_dump(at, len).is_ok();
            let fork = if share {
                ForkView::Copied
            } else if Linux::no_fork(at, len).is_ok() {
                ForkView::Excluded
            } else if Linux::wipe_on_fork(at, len).is_ok() {
                ForkView::Wiped
            } else {
                ForkView::Copied
            };
            if matches!(backing, Backing::Locked) {
                // Makes the pages present, too.
                Linux::lock(at, len)?;
            }
            Ok(Have { backing, no_dump, fork, markers: false })
        }
    }
}

/// Has the kernel make hidden pages present: it does so only at the first access.
fn touch(at: usize, len: usize, page: usize) {
    for offset in (0..len).step_by(page.max(1)) {
        // SAFETY: inside the mapping just made, which nobody else knows.
        unsafe { pointer::<u8>(at + offset).write_volatile(0) };
    }
}

/// Makes the guards next to the data ones that `/proc/self/mem` cannot write to.
fn mark_guards(map: usize, map_len: usize, data: usize, len: usize, page: usize) -> bool {
    debug_assert!(map < data && data + len < map + map_len);
    Linux::guard(data - page, page).is_ok() && Linux::guard(data + len, page).is_ok()
}

/// In a forked child: nobody shall have memory where the parent's secret was, or a stale pointer
/// would reach it. What somebody has there already, in a child that was not told of the fork at
/// once, is left alone.
pub fn occupy(made: &Made, page: usize) {
    let (at, len) = (made.data, made.data_len);
    if made.have.fork != ForkView::Excluded {
        // Still there, and ours.
        let _ = Linux::take_away(at, len);
        return;
    }
    if Linux::reserve(at, len) == Err(MapError::Occupied) && len <= 4096 * page {
        for offset in (0..len).step_by(page.max(1)) {
            let _ = Linux::reserve(at + offset, page);
        }
    }
}

/// Why a mapping could not be had; the first reason that a user can do something about counts.
#[derive(Clone, Copy)]
enum Refusal {
    None,
    Limit { limit: usize, errno: i32 },
    Memory(i32),
    Missing(Requirements, i32),
    Lacks(Requirements),
}

impl Refusal {
    fn of(backing: Backing, errno: i32, len: usize) -> Refusal {
        let lacks = match backing {
            Backing::Secret => Requirements::HIDDEN,
            Backing::Locked => Requirements::LOCKED,
            Backing::Unlocked => return Refusal::Memory(errno),
        };
        if errno == libc::ENOSYS {
            return Refusal::Missing(lacks, errno);
        }
        if let Some(limit) = Linux::lock_limit()
            && Linux::locked_bytes().is_none_or(|locked| locked.saturating_add(len) > limit)
        {
            return Refusal::Limit { limit, errno };
        }
        match errno {
            libc::ENOMEM | libc::EAGAIN | libc::EMFILE | libc::ENFILE => Refusal::Memory(errno),
            _ => Refusal::Missing(lacks, errno),
        }
    }

    fn or(self, other: Refusal) -> Refusal {
        let weight = |refusal: &Refusal| match refusal {
            Refusal::None => 0,
            Refusal::Missing(..) => 1,
            Refusal::Lacks(_) => 2,
            Refusal::Memory(_) => 3,
            Refusal::Limit { .. } => 4,
        };
        if weight(&other) >= weight(&self) { other } else { self }
    }

    fn error(self, require: Requirements, needed: usize) -> SecureError {
        match self {
            Refusal::None => SecureError::new(ErrorKind::Unsupported(require)),
            Refusal::Limit { limit, errno } => {
                SecureError::with_errno(ErrorKind::LockedMemoryLimit { needed, limit }, errno)
            }
            Refusal::Memory(errno) => {
                SecureError::with_errno(ErrorKind::OutOfMemory { needed }, errno)
            }
            Refusal::Missing(what, errno) => {
                SecureError::with_errno(ErrorKind::Unsupported(what), errno)
            }
            Refusal::Lacks(what) => SecureError::new(ErrorKind::Unsupported(what)),
        }
    }
}
