//! Layer: faces. Why a value could not be had for good, together with the value.

use crate::secure::SecureError;
use core::fmt;

/// Why [`GuardedBox::try_into_secret_box`](super::GuardedBox::try_into_secret_box), or the same of
/// `Shielded`, failed; it has what was to be converted, so that the secret is not lost.
///
/// `?` turns it into the error alone, which drops and wipes the secret.
///
/// ```
/// use casemate::secure::{GuardedBox, SecretBox, SecureError};
///
/// fn opened(key: GuardedBox<[u8; 32]>) -> Result<SecretBox<[u8; 32]>, SecureError> {
///     key.try_into_secret_box().or_else(|failed| {
///         // Give some memory back, and try again.
///         Ok(failed.into_inner().try_into_secret_box()?)
///     })
/// }
/// # assert!(opened(GuardedBox::random()).is_ok());
/// ```
pub struct IntoSecretBoxError<S, E = SecureError> {
    value: S,
    error: E,
}

impl<S, E> IntoSecretBoxError<S, E> {
    pub(super) fn new(value: S, error: E) -> IntoSecretBoxError<S, E> {
        IntoSecretBoxError { value, error }
    }

    /// What went wrong.
    #[must_use]
    pub fn error(&self) -> &E {
        &self.error
    }

    /// What was to be converted, as it was.
    #[must_use]
    pub fn into_inner(self) -> S {
        self.value
    }

    /// What was to be converted, and what went wrong.
    #[must_use]
    pub fn into_parts(self) -> (S, E) {
        (self.value, self.error)
    }
}

/// The error, without the value.
impl<S, E: fmt::Debug> fmt::Debug for IntoSecretBoxError<S, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("IntoSecretBoxError").field(&self.error).finish()
    }
}

impl<S, E: fmt::Display> fmt::Display for IntoSecretBoxError<S, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.error.fmt(f)
    }
}

impl<S, E: core::error::Error> core::error::Error for IntoSecretBoxError<S, E> {}

/// Drops the value, which is wiped.
impl<S> From<IntoSecretBoxError<S>> for SecureError {
    fn from(failed: IntoSecretBoxError<S>) -> SecureError {
        failed.error
    }
}

/// Drops the value, which is wiped.
#[cfg(feature = "shielded")]
impl<S> From<IntoSecretBoxError<S, super::ShieldError>> for super::ShieldError {
    fn from(failed: IntoSecretBoxError<S, super::ShieldError>) -> super::ShieldError {
        failed.error
    }
}
