//! Layer: faces. Why a mapping could not be had, in the words of an error.

use crate::os::{Linux, Secrets};
use crate::secure::error::{ErrorKind, SecureError};
use crate::secure::policy::Requirements;
use crate::secure::protections::Backing;

/// Why a mapping could not be had; the first reason that a user can do something about counts.
#[derive(Clone, Copy)]
pub(super) enum Refusal {
    None,
    Limit { limit: usize, errno: i32 },
    Memory(i32),
    Missing(Requirements, i32),
    Lacks(Requirements),
}

impl Refusal {
    pub(super) fn of(backing: Backing, errno: i32, len: usize) -> Refusal {
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
            // EFAULT: a page that was mapped is not to be had.
            libc::ENOMEM | libc::EAGAIN | libc::EMFILE | libc::ENFILE | libc::EFAULT => {
                Refusal::Memory(errno)
            }
            _ => Refusal::Missing(lacks, errno),
        }
    }

    pub(super) fn or(self, other: Refusal) -> Refusal {
        let weight = |refusal: &Refusal| match refusal {
            Refusal::None => 0,
            Refusal::Missing(..) => 1,
            Refusal::Lacks(_) => 2,
            Refusal::Memory(_) => 3,
            Refusal::Limit { .. } => 4,
        };
        if weight(&other) >= weight(&self) { other } else { self }
    }

    /// Why the last resort, ordinary memory, was no good: it was asked for after all others, so
    /// this is the cause, whatever kept those away.
    pub(super) fn or_last(self, backing: Backing, other: Refusal) -> Refusal {
        if matches!(backing, Backing::Unlocked) { other } else { self.or(other) }
    }

    pub(super) fn error(self, require: Requirements, needed: usize) -> SecureError {
        let insists = require.has(Requirements::LOCKED) || require.has(Requirements::HIDDEN);
        match self {
            // Who could do without locked memory lacks something else: the last resort, too.
            Refusal::Limit { errno, .. } | Refusal::Missing(_, errno) if !insists => {
                SecureError::with_errno(ErrorKind::OutOfMemory { needed }, errno)
            }
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
