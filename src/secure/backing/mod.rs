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
mod refusal;
mod supply;

use super::error::{ErrorKind, SecureError};
use super::policy::{Policy, Requirements};
use super::protection::{Protection, on};
use super::protections::{Backing, ForkView};
use super::root::{Fixed, reserve};
use crate::os::{Linux, MapError, Os, Secrets};
use crate::rng::Stream;
use crate::units::{GIB, align_up};
use refusal::Refusal;
pub use supply::Supply;

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
            (fixed.is_sealed(), Requirements::SEALED),
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
    if policy.contradicts_itself() {
        return Err(SecureError::new(ErrorKind::Contradiction));
    }
    if require.has(Requirements::SEALED) && !fixed.is_sealed() {
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
        if !matches!(backing, Backing::Unlocked) && is_beyond_memory(len) {
            refusal = refusal.or(Refusal::Memory(libc::ENOMEM));
            continue;
        }
        let filled = match backing {
            Backing::Secret if supply.absent => Err(libc::ENOSYS),
            _ => fill(backing, data, len, policy.is_shared_with_children()),
        };
        match filled {
            Ok(have) if have.satisfied(fixed).has(require) => {
                let markers = if on(Protection::Guards) {
                    fixed.markers && mark_guards(map, map_len, data, len, fixed.page)
                } else {
                    Linux::open(map, map_len).is_err()
                };
                let have = Have { markers, ..have };
                supply.count(have, len);
                return Ok(Made { map, map_len, data, data_len: len, have });
            }
            Ok(have) => {
                let lacks = require.without(have.satisfied(fixed));
                refusal = refusal.or_last(backing, Refusal::Lacks(lacks));
            }
            Err(errno) => {
                supply.absent |= backing == Backing::Secret && errno == libc::ENOSYS;
                let why = Refusal::of(backing, errno, len);
                if !matches!(backing, Backing::Unlocked) {
                    supply.note_refusal(backing, len);
                    supply.limit_hits += u64::from(matches!(why, Refusal::Limit { .. }));
                }
                refusal = refusal.or_last(backing, why);
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

/// Whether so much can never be locked. A process that no limit holds for would otherwise have the
/// kernel fill all memory with it, page by page, until it ends processes.
fn is_beyond_memory(len: usize) -> bool {
    len >= GIB && Linux::physical_bytes().is_some_and(|all| len > all)
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
fn fill(backing: Backing, at: usize, len: usize, share: bool) -> Result<Have, i32> {
    match backing {
        Backing::Secret => {
            Linux::map_secret(at, len)?;
            // Without this a child would share the very pages.
            if on(Protection::NoFork) {
                Linux::no_fork(at, len)?;
            }
            Linux::make_present(at, len)?;
            Ok(Have { backing, no_dump: true, fork: ForkView::Excluded, markers: false })
        }
        Backing::Locked | Backing::Unlocked => {
            Linux::map_over(at, len)?;
            let no_dump = !on(Protection::NoDump) || Linux::no_dump(at, len).is_ok();
            let fork = if share {
                ForkView::Copied
            } else if !on(Protection::NoFork) || Linux::no_fork(at, len).is_ok() {
                ForkView::Excluded
            } else if Linux::wipe_on_fork(at, len).is_ok() {
                ForkView::Wiped
            } else {
                ForkView::Copied
            };
            if matches!(backing, Backing::Locked) && on(Protection::Lock) {
                // Makes the pages present, too.
                Linux::lock(at, len)?;
            }
            Ok(Have { backing, no_dump, fork, markers: false })
        }
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
    if !on(Protection::Occupy) {
        return;
    }
    if Linux::reserve(at, len) == Err(MapError::Occupied) && len <= 4096 * page {
        for offset in (0..len).step_by(page.max(1)) {
            let _ = Linux::reserve(at + offset, page);
        }
    }
}
