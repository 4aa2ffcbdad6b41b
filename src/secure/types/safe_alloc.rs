//! Layer: faces. Secure memory as an allocator that collections take.
#![expect(unsafe_code, reason = "implements an unsafe trait over raw memory")]

use crate::secure::{Policy, safe_alloc_with, safe_free, safe_realloc};
use allocator_api2::alloc::{AllocError, Allocator};
use core::alloc::Layout;
use core::ptr::NonNull;

/// Secure memory for collections: `allocator-api2`'s `Allocator`, which `hashbrown`'s maps and
/// `allocator-api2`'s own `Vec` and `Box` take. With the feature `allocator-api2`.
///
/// Whatever the collection keeps, keys, values and its own tables, lies in secret memory. When it
/// grows, its old table is wiped; when it is dropped, all of it is.
///
/// ```
/// use casemate::secure::{Policy, SafeAlloc};
/// use hashbrown::{DefaultHashBuilder, HashMap};
///
/// let hasher = DefaultHashBuilder::default();
/// let mut tokens = HashMap::with_hasher_in(hasher, SafeAlloc::new());
/// tokens.insert(*b"session1", [7u8; 32]);
///
/// // One that would rather fail than keep a secret in memory that may be swapped.
/// let strict = SafeAlloc::with_policy(Policy::strict());
/// # assert_eq!(tokens[b"session1"], [7; 32]);
/// # let _ = strict;
/// ```
///
/// The collection's `Debug` shows its contents, it can be cloned, and what is removed from it is
/// moved out: the types of this module are more careful. A value in it that itself allocates (a
/// `String`) keeps that in ordinary memory: use [`SecretString`](super::SecretString).
///
/// In a forked child the collection's memory is not there. Using it there, which dropping it may
/// be, faults: leave it alone, or [`Policy::share_with_children`].
///
/// Any two are interchangeable: memory of one may be freed by another.
#[derive(Clone, Copy, Debug, Default)]
pub struct SafeAlloc {
    policy: Policy,
}

impl SafeAlloc {
    /// Under [`Policy::best_effort`].
    #[must_use]
    pub const fn new() -> SafeAlloc {
        SafeAlloc { policy: Policy::best_effort() }
    }

    /// Under `policy`. A buffer that grows keeps the policy that it was made under.
    #[must_use]
    pub const fn with_policy(policy: Policy) -> SafeAlloc {
        SafeAlloc { policy }
    }

    /// The policy of new buffers.
    #[must_use]
    pub const fn policy(&self) -> Policy {
        self.policy
    }
}

/// A buffer of no bytes.
fn nothing(layout: Layout) -> NonNull<[u8]> {
    NonNull::slice_from_raw_parts(super::place::nothing(layout), 0)
}

impl SafeAlloc {
    /// Another place for a buffer; the old one is wiped. Contents and zeros as
    /// [`safe_realloc`].
    ///
    /// # Safety
    /// As [`Allocator::grow`].
    unsafe fn moved(
        &self,
        at: NonNull<u8>,
        old: Layout,
        new: Layout,
    ) -> Result<NonNull<[u8]>, AllocError> {
        match (old.size(), new.size()) {
            (0, _) => self.allocate(new),
            (_, 0) => {
                // SAFETY: the caller's: a live buffer, which is given up.
                unsafe { safe_free(at) };
                Ok(nothing(new))
            }
            // SAFETY: the caller's: a live buffer of `old`'s size, not used after this succeeds.
            _ => unsafe { safe_realloc(at, new) }.map_err(|_| AllocError),
        }
    }
}

// SAFETY: the memory stays valid until it is freed, whoever holds this value, which is no more
// than a policy, and any clone can free it. Buffers have at least the layout asked for: exactly its
// size, zeroed. Buffers of zero bytes are never given to the functions below.
unsafe impl Allocator for SafeAlloc {
    fn allocate(&self, layout: Layout) -> Result<NonNull<[u8]>, AllocError> {
        if layout.size() == 0 {
            return Ok(nothing(layout));
        }
        safe_alloc_with(layout, &self.policy).map_err(|_| AllocError)
    }

    fn allocate_zeroed(&self, layout: Layout) -> Result<NonNull<[u8]>, AllocError> {
        self.allocate(layout)
    }

    unsafe fn deallocate(&self, at: NonNull<u8>, layout: Layout) {
        if layout.size() != 0 {
            // SAFETY: the caller's: a live buffer of this allocator's.
            unsafe { safe_free(at) }
        }
    }

    unsafe fn grow(
        &self,
        at: NonNull<u8>,
        old: Layout,
        new: Layout,
    ) -> Result<NonNull<[u8]>, AllocError> {
        // SAFETY: the caller's.
        unsafe { self.moved(at, old, new) }
    }

    unsafe fn grow_zeroed(
        &self,
        at: NonNull<u8>,
        old: Layout,
        new: Layout,
    ) -> Result<NonNull<[u8]>, AllocError> {
        // SAFETY: the caller's. What is new is zero.
        unsafe { self.moved(at, old, new) }
    }

    unsafe fn shrink(
        &self,
        at: NonNull<u8>,
        old: Layout,
        new: Layout,
    ) -> Result<NonNull<[u8]>, AllocError> {
        // SAFETY: the caller's.
        unsafe { self.moved(at, old, new) }
    }
}
