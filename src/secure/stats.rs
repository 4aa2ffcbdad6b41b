//! Layer: faces. What secure memory holds, in numbers.

use super::calls::ABANDONED;
use super::protections::Backing;
use super::root::{started, with};
use crate::os::{Linux, Secrets};
use core::fmt;
use core::sync::atomic::Ordering;

/// What secure memory holds now. All zero before its first use.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct SecureStats {
    /// Bytes of secure memory that count against the limit.
    pub locked_bytes: usize,
    /// The most there ever were.
    pub peak_locked_bytes: usize,
    /// `RLIMIT_MEMLOCK` now, in bytes; `None` if unlimited. It holds for all that the process
    /// locks, and not for a process with CAP_IPC_LOCK.
    pub locked_limit: Option<usize>,
    /// Bytes of data pages in `memfd_secret` memory.
    pub secret_bytes: usize,
    /// Bytes of data pages in locked anonymous memory.
    pub anonymous_bytes: usize,
    /// Bytes of data pages in memory that is not locked.
    pub unlocked_bytes: usize,
    /// Live buffers in the pool, and the bytes asked for.
    pub pooled_buffers: usize,
    /// See [`pooled_buffers`](SecureStats::pooled_buffers).
    pub pooled_bytes: usize,
    /// Chunks of the pool.
    pub chunks: usize,
    /// Live buffers with pages of their own, and the bytes asked for.
    pub own_pages_buffers: usize,
    /// See [`own_pages_buffers`](SecureStats::own_pages_buffers).
    pub own_pages_bytes: usize,
    /// Live buffers that are not locked: swap may see them.
    pub degraded: usize,
    /// All that there ever were.
    pub degraded_ever: u64,
    /// How often the limit on locked memory refused a mapping.
    pub limit_hits: u64,
    /// Guards that the kernel did not let take the access away again.
    pub unclosed: u64,
    /// Buffers that were freed, but could not be opened: taken away with their margins unchecked.
    pub unchecked: u64,
    /// Buffers that should have been freed and are there still: a signal handler wanted to free
    /// them in the middle of one of these functions, or the kernel refused to open them and to take
    /// them away.
    pub abandoned: u64,
    /// Bytes of metadata that are open.
    pub metadata_bytes: usize,
}

/// What secure memory holds now. Takes its lock for a moment; allocates nothing.
#[must_use]
pub fn secure_stats() -> SecureStats {
    let outside = SecureStats {
        locked_limit: Linux::lock_limit(),
        abandoned: ABANDONED.load(Ordering::Relaxed),
        ..SecureStats::default()
    };
    if started().is_none() {
        return outside;
    }
    with(|fixed, state| {
        let mapped = |backing: Backing| state.supply.mapped.get(backing as usize).copied();
        let (pages, pool) = (&state.pages, &state.pool);
        Ok(SecureStats {
            locked_bytes: state.supply.locked,
            peak_locked_bytes: state.supply.most_locked,
            secret_bytes: mapped(Backing::Secret).unwrap_or(0),
            anonymous_bytes: mapped(Backing::Locked).unwrap_or(0),
            unlocked_bytes: mapped(Backing::Unlocked).unwrap_or(0),
            own_pages_buffers: pages.live,
            own_pages_bytes: pages.live_bytes,
            pooled_buffers: pool.live,
            pooled_bytes: pool.live_bytes,
            chunks: pool.chunks,
            degraded: pages.degraded + pool.degraded,
            degraded_ever: pages.degraded_ever + pool.degraded_ever,
            limit_hits: state.supply.limit_hits,
            unclosed: pages.unclosed,
            unchecked: pages.unchecked,
            metadata_bytes: fixed.metadata + pages.metadata(fixed.page) + pool.metadata,
            ..outside
        })
    })
    .unwrap_or(outside)
}

impl fmt::Display for SecureStats {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "locked {} of ", self.locked_bytes)?;
        match self.locked_limit {
            Some(limit) => write!(f, "{limit}")?,
            None => f.write_str("unlimited")?,
        }
        write!(
            f,
            " bytes (peak {}): memfd_secret {}, anonymous {}; not locked {}\n\
             pool: {} buffers, {} bytes, {} chunks; own pages: {} buffers, {} bytes\n\
             degraded {} (ever {}), refusals {}, unclosed {}, unchecked {}, abandoned {}, \
             metadata {} bytes",
            self.peak_locked_bytes,
            self.secret_bytes,
            self.anonymous_bytes,
            self.unlocked_bytes,
            self.pooled_buffers,
            self.pooled_bytes,
            self.chunks,
            self.own_pages_buffers,
            self.own_pages_bytes,
            self.degraded,
            self.degraded_ever,
            self.limit_hits,
            self.unclosed,
            self.unchecked,
            self.abandoned,
            self.metadata_bytes,
        )
    }
}
