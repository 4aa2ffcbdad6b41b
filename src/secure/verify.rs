//! Layer: faces. The walk over every invariant of secure memory.

use super::error::{ErrorKind, SecureError};
use super::root::{started, with};

/// What [`secure_verify`] saw.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct SecureVerified {
    /// Live buffers in the pool, whose canaries are whole.
    pub pooled: usize,
    /// Live buffers with pages of their own; those that may be written now were looked at.
    pub own_pages: usize,
    /// Free slots of the pool, all of them zero.
    pub free_slots: usize,
}

/// Walks every invariant of secure memory: canaries of live buffers, free memory still zero,
/// records and counters in agreement.
///
/// # Errors
/// [`ErrorKind::Misuse`] with the first thing found, [`ErrorKind::Reentered`] in a signal handler
/// that interrupted secure memory, [`ErrorKind::StartUp`].
pub fn secure_verify() -> Result<SecureVerified, SecureError> {
    if started().is_none() {
        return Ok(SecureVerified::default());
    }
    with(|fixed, state| {
        let own_pages = state.table(fixed).verify().map_err(misuse)?;
        let (pooled, free_slots) = state.pool_table(fixed).verify().map_err(misuse)?;
        Ok(SecureVerified { pooled, own_pages, free_slots })
    })
}

fn misuse(violation: crate::violation::Violation) -> SecureError {
    SecureError::new(ErrorKind::Misuse(violation))
}
