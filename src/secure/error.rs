//! Layer: faces. Why secure memory could not do what was asked: a value that allocates nothing.

use super::policy::Requirements;
use crate::violation::Violation;
use core::fmt;

/// What went wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The policy wants locked memory and `RLIMIT_MEMLOCK` does not allow more.
    LockedMemoryLimit {
        /// Bytes that were to be locked.
        needed: usize,
        /// The limit in bytes (the soft one, which is in force).
        limit: usize,
    },
    /// The kernel has no memory, no address space or no mapping left.
    OutOfMemory {
        /// Bytes that were to be mapped.
        needed: usize,
    },
    /// This kernel, or a filter, does not give what the policy requires.
    Unsupported(Requirements),
    /// The policy contradicts itself: a copy for children and none for them, or `memfd_secret` that
    /// is required and not allowed.
    Contradiction,
    /// A size or alignment that secure memory does not have: beyond 1 MiB of alignment, or beyond
    /// the address space.
    Layout,
    /// All 65,536 buffers that may have pages of their own are in use, or wait for reuse.
    TooMany,
    /// The buffer lies in the pool, which is always readable and writable. Ask for
    /// [`Policy::protectable`](super::Policy::protectable).
    Pooled,
    /// The pointer is no live secure buffer's.
    NotABuffer,
    /// The buffer was made before a `fork`, by the parent: its memory is not in this process.
    Inherited,
    /// A guard holds the buffer open.
    Borrowed,
    /// The kernel refused to change what may be done with the buffer's pages.
    Protect,
    /// Misuse that a `safe_` function would end the process for.
    Misuse(Violation),
    /// A signal handler interrupted a function of secure memory and called another one.
    Reentered,
    /// The kernel gave no randomness or no memory to start with.
    StartUp,
}

/// Why secure memory could not do what was asked.
///
/// Small, `Copy`, and printed without allocating. [`Display`](fmt::Display) names what ran out,
/// its value, and how to raise it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SecureError {
    kind: ErrorKind,
    errno: i32,
}

impl SecureError {
    pub(super) const fn new(kind: ErrorKind) -> SecureError {
        SecureError { kind, errno: 0 }
    }

    pub(super) const fn with_errno(kind: ErrorKind, errno: i32) -> SecureError {
        SecureError { kind, errno }
    }

    /// What went wrong.
    #[must_use]
    pub const fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// The operating system's error number, if it was the system that refused.
    #[must_use]
    pub const fn os_error(&self) -> Option<i32> {
        if self.errno == 0 { None } else { Some(self.errno) }
    }

    /// The limit that was hit, in bytes.
    #[must_use]
    pub const fn limit(&self) -> Option<usize> {
        match self.kind {
            ErrorKind::LockedMemoryLimit { limit, .. } => Some(limit),
            _ => None,
        }
    }
}

impl fmt::Display for SecureError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.kind {
            ErrorKind::LockedMemoryLimit { needed, limit } => write!(
                f,
                "RLIMIT_MEMLOCK is {limit} bytes, and {needed} bytes more were to be locked; raise \
                 it with setrlimit, `ulimit -l`, memlock in /etc/security/limits.conf or \
                 LimitMEMLOCK= of a systemd unit, or grant CAP_IPC_LOCK"
            ),
            ErrorKind::OutOfMemory { needed } => {
                write!(f, "no memory, address space or mapping left for {needed} bytes")
            }
            ErrorKind::Unsupported(missing) => {
                write!(f, "this system does not give what the policy requires: {missing}")
            }
            ErrorKind::Contradiction => f.write_str(
                "the policy contradicts itself: copies for forked children, or memfd_secret, are \
                 asked for and forbidden",
            ),
            ErrorKind::Layout => {
                f.write_str("an alignment above 1 MiB or a size beyond the address space")
            }
            ErrorKind::TooMany => f.write_str("65536 secure buffers have pages of their own"),
            ErrorKind::Pooled => f.write_str(
                "a pooled secure buffer is always readable and writable; \
                 ask for Policy::protectable",
            ),
            ErrorKind::NotABuffer => f.write_str("the pointer is no live secure buffer's"),
            ErrorKind::Inherited => {
                f.write_str("the secure buffer belongs to the parent process and is not here")
            }
            ErrorKind::Borrowed => f.write_str("the secure buffer is held open by a guard"),
            ErrorKind::Protect => {
                f.write_str("the access to the secure buffer's pages cannot be changed")
            }
            ErrorKind::Misuse(violation) => write!(f, "{violation}"),
            ErrorKind::Reentered => {
                f.write_str("a signal handler interrupted secure memory and called it")
            }
            ErrorKind::StartUp => {
                f.write_str("the kernel gave no randomness or no memory to start with")
            }
        }?;
        match self.os_error() {
            Some(errno) => write!(f, " (errno {errno})"),
            None => Ok(()),
        }
    }
}

impl core::error::Error for SecureError {}

#[cfg(test)]
mod tests {
    use super::*;
    use std::format;

    #[test]
    fn the_limit_is_named_with_its_value_and_remedies() {
        let kind = ErrorKind::LockedMemoryLimit { needed: 16384, limit: 65536 };
        let error = SecureError::with_errno(kind, 11);
        let text = format!("{error}");
        for part in [
            "RLIMIT_MEMLOCK is 65536 bytes",
            "16384 bytes more",
            "setrlimit",
            "ulimit -l",
            "limits.conf",
            "LimitMEMLOCK=",
            "CAP_IPC_LOCK",
            "errno 11",
        ] {
            assert!(text.contains(part), "{text}");
        }
        assert_eq!((error.limit(), error.os_error()), (Some(65536), Some(11)));
    }

    #[test]
    fn what_is_missing_is_named() {
        let missing = Requirements::HIDDEN | Requirements::SEALED;
        let error = SecureError::new(ErrorKind::Unsupported(missing));
        assert!(format!("{error}").ends_with("requires: memfd_secret, sealed metadata"));
        assert_eq!((error.limit(), error.os_error()), (None, None));
    }

    #[test]
    fn it_is_an_error_of_few_words() {
        fn is_error<E: core::error::Error + Copy + Send + Sync + 'static>() {}
        is_error::<SecureError>();
        assert!(size_of::<SecureError>() <= 64);
    }
}
