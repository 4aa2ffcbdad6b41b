//! Layer: faces. A [`SecretBox`] whose value is made where it stays, or moved there from a buffer
//! that is left empty.
#![expect(unsafe_code, reason = "zero bytes are a value of some types")]

use super::place::expect;
use super::plain::{Plain, Zeroable, bytes_mut};
use super::secret_box::SecretBox;
use crate::os::{Linux, Os};
use crate::secure::{Policy, SecureError};

impl<T: Zeroable> SecretBox<T> {
    /// A value of zero bytes.
    ///
    /// # Panics
    /// If there is no memory.
    #[track_caller]
    #[must_use]
    pub fn zeroed() -> SecretBox<T> {
        expect(SecretBox::try_zeroed_with(&Policy::best_effort()))
    }

    /// A value of zero bytes, with the protections of `policy`.
    ///
    /// # Errors
    /// If there is no memory, or not that protection.
    pub fn try_zeroed_with(policy: &Policy) -> Result<SecretBox<T>, SecureError> {
        let made = SecretBox::<T>::try_new_uninit_with(policy)?;
        // SAFETY: fresh secret memory is all zero, which is a value of a `Zeroable` type.
        Ok(unsafe { made.assume_init() })
    }

    /// Makes a value where it stays: `f` gets it as zero bytes and fills it in.
    ///
    /// If `f` panics, what it had written is wiped.
    ///
    /// ```
    /// use casemate::secure::SecretBox;
    ///
    /// let key = SecretBox::<[u8; 32]>::init_with(|bytes| bytes[0] = 1);
    /// assert_eq!(key.expose_secret()[..2], [1, 0]);
    /// ```
    ///
    /// # Panics
    /// If there is no memory.
    #[track_caller]
    pub fn init_with(f: impl FnOnce(&mut T)) -> SecretBox<T> {
        let mut made = SecretBox::zeroed();
        f(made.expose_secret_mut());
        made
    }

    /// Makes a value where it stays, by something that may fail.
    ///
    /// ```
    /// use casemate::secure::SecretBox;
    /// use std::io::{Error, Read};
    ///
    /// let mut file: &[u8] = b"0123456789abcdef";
    /// let key = SecretBox::<[u8; 16]>::try_init_with(|key| {
    ///     file.read_exact(key)?;
    ///     Ok::<(), Box<dyn std::error::Error>>(())
    /// })?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// Those of `f`, whose work is then wiped, and that there is no memory.
    pub fn try_init_with<E: From<SecureError>>(
        f: impl FnOnce(&mut T) -> Result<(), E>,
    ) -> Result<SecretBox<T>, E> {
        SecretBox::try_init_with_policy(&Policy::best_effort(), f)
    }

    /// [`try_init_with`](SecretBox::try_init_with) with the protections of `policy`.
    ///
    /// # Errors
    /// Those of `f`, whose work is then wiped, and that there is no memory or not that protection.
    pub fn try_init_with_policy<E: From<SecureError>>(
        policy: &Policy,
        f: impl FnOnce(&mut T) -> Result<(), E>,
    ) -> Result<SecretBox<T>, E> {
        let mut made = SecretBox::try_zeroed_with(policy)?;
        f(made.try_expose_secret_mut()?)?;
        Ok(made)
    }
}

impl<T: Plain> SecretBox<T> {
    /// A value of random bytes from the kernel: a new key.
    ///
    /// # Panics
    /// If there is no memory, or the kernel gives no random bytes.
    #[track_caller]
    #[must_use]
    pub fn random() -> SecretBox<T> {
        SecretBox::init_with(|value| random_bytes(core::slice::from_mut(value)))
    }

    /// Moves a value into secret memory and leaves zero bytes where it was.
    ///
    /// For a key that had to be made somewhere else, in a buffer of the caller's.
    ///
    /// # Panics
    /// If there is no memory; the source is then wiped all the same.
    #[track_caller]
    pub fn take_from(source: &mut T) -> SecretBox<T> {
        expect(SecretBox::try_take_from(source))
    }

    /// Moves a value into secret memory and leaves zero bytes where it was.
    ///
    /// # Errors
    /// If there is no memory; the source is then wiped all the same.
    pub fn try_take_from(source: &mut T) -> Result<SecretBox<T>, SecureError> {
        let source = super::Emptied(core::slice::from_mut(source));
        let mut made = SecretBox::try_zeroed_with(&Policy::best_effort())?;
        bytes_mut(core::slice::from_mut(made.try_expose_secret_mut()?))
            .copy_from_slice(super::PlainBytes::plain_bytes(&*source.0));
        Ok(made)
    }
}

/// Fills plain values with bytes of the kernel's.
#[track_caller]
pub(super) fn random_bytes<T: Plain>(values: &mut [T]) {
    assert!(Linux::entropy(bytes_mut(values)), "casemate: the kernel gives no random bytes");
}
