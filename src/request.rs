//! Layer: pure. A request for memory, and what an operation gives.

use crate::record::Origin;
use crate::violation::Violation;

/// A request: how many bytes, how aligned, through which interface.
#[derive(Clone, Copy, Debug)]
pub struct Request {
    /// Bytes.
    pub size: usize,
    /// Alignment, a power of two.
    pub align: usize,
    /// Interface.
    pub origin: Origin,
}

impl Request {
    /// A request through `GlobalAlloc`.
    #[inline(always)]
    pub const fn layout(layout: core::alloc::Layout) -> Self {
        Request { size: layout.size(), align: layout.align(), origin: Origin::Layout }
    }
}

/// What an operation gives, or the misuse that it found.
pub type Outcome<T> = Result<T, Violation>;
