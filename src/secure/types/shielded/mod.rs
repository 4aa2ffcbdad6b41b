//! Layer: faces. Values that are encrypted while nobody uses them.
//!
//! | file | subject |
//! |---|---|
//! | `mod` | the type and its guards |
//! | `cipher` | one encrypted value |
//! | `key` | the process's keys, in pieces |
#![expect(unsafe_code, reason = "gives references to a value that a count keeps in place")]

extern crate std;

mod cipher;
mod key;

use super::into_error::IntoSecretBoxError;
use super::place::expect;
use super::plain::{Plain, PlainBytes, bytes_mut};
use super::secret_box::SecretBox;
use super::secret_string::SecretString;
use crate::secure::fork::epoch;
use crate::secure::{ErrorKind, Policy, SecureError};
use cipher::{Refusal, Sealed};
use core::fmt;
use core::marker::PhantomData;
use core::ops::{Deref, DerefMut};
use core::ptr::NonNull;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// A value that is encrypted at rest: decrypted into secret memory while a guard exists, and
/// encrypted again, with a fresh nonce, when the last one is dropped. With the feature `shielded`.
///
/// What is at rest is in ordinary memory and takes none of the locked: so it suits secrets that are
/// many, or large, and used rarely. Who reads the process's memory through a side channel, a
/// hardware fault or a core dump needs the ciphertext and the key. The key is the process's,
/// random, and kept as 16 KiB of shares of which all are needed, on pages that are inaccessible
/// while no key is put together. What the value's policy requires holds for the key and its shares,
/// too, which stay until the process ends; values with other requirements have another key. OpenSSH and memguard do the same. The cipher is
/// XChaCha20-Poly1305: a ciphertext that was changed, or copied from another value's place, is an
/// error, not another secret. An older ciphertext of the same value, put back in its place with
/// nonce and tag, decrypts.
///
/// `T` is a [`Plain`] type, a slice of one, or `str`.
///
/// ```
/// use casemate::secure::{SecretString, Shielded};
///
/// let mut token = Shielded::new(SecretString::from("t0k3n").into_boxed_str())?;
/// assert_eq!(&*token.try_borrow()?, "t0k3n"); // decrypted here, and encrypted again
///
/// token.try_borrow_mut()?.make_ascii_uppercase();
/// let (one, two) = (token.try_borrow()?, token.try_borrow()?); // decrypted once
/// assert_eq!((&*one, &*two), ("T0K3N", "T0K3N"));
/// # Ok::<(), casemate::secure::ShieldError>(())
/// ```
///
/// A forked child has another key, and not its parent's values: borrowing one there is an error.
///
/// Each decryption and encryption takes some microseconds and two changes of page protection.
/// If encrypting fails in the end, for want of memory, the value stays decrypted, in secret memory
/// as in a [`SecretBox`], until a later guard is dropped: nothing is lost;
/// [`is_open`](Shielded::is_open) tells.
pub struct Shielded<T: ?Sized + Shieldable> {
    /// The process that it belongs to.
    process: u32,
    policy: Policy,
    state: Mutex<State<T>>,
}

/// Behind the lock of each value.
struct State<T: ?Sized> {
    sealed: Sealed,
    /// How many elements the value has: where they have no bytes, the length does not tell.
    count: usize,
    /// The value, decrypted; while there are guards, or if it could not be encrypted.
    open: Option<SecretBox<T>>,
    guards: usize,
    /// Whether `sealed` holds the value, or an older one.
    current: bool,
}

/// Why a shielded value could not be had.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ShieldError {
    /// Secret memory could not be had, or the value is a parent process's.
    Secure(SecureError),
    /// The encrypted value, or the key, was changed by somebody.
    Tampered,
}

impl fmt::Display for ShieldError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ShieldError::Secure(error) => error.fmt(f),
            ShieldError::Tampered => f.write_str("a shielded value was tampered with"),
        }
    }
}

impl core::error::Error for ShieldError {}

impl From<SecureError> for ShieldError {
    fn from(error: SecureError) -> ShieldError {
        ShieldError::Secure(error)
    }
}

impl From<Refusal> for ShieldError {
    fn from(refusal: Refusal) -> ShieldError {
        match refusal {
            Refusal::Secure(error) => ShieldError::Secure(error),
            Refusal::Tampered => ShieldError::Tampered,
        }
    }
}

/// What can be shielded: values that are their bytes.
pub trait Shieldable: PlainBytes {
    /// A value of `count` elements made by `fill`, which gets their bytes.
    #[doc(hidden)]
    fn made(
        count: usize,
        policy: &Policy,
        fill: &mut dyn FnMut(&mut [u8]) -> Result<(), ShieldError>,
    ) -> Result<SecretBox<Self>, ShieldError>;
}

impl<T: Plain> Shieldable for T {
    fn made(
        _: usize,
        policy: &Policy,
        fill: &mut dyn FnMut(&mut [u8]) -> Result<(), ShieldError>,
    ) -> Result<SecretBox<T>, ShieldError> {
        SecretBox::try_init_with_policy(policy, |value| {
            fill(bytes_mut(core::slice::from_mut(value)))
        })
    }
}

impl<T: Plain> Shieldable for [T] {
    fn made(
        count: usize,
        policy: &Policy,
        fill: &mut dyn FnMut(&mut [u8]) -> Result<(), ShieldError>,
    ) -> Result<SecretBox<[T]>, ShieldError> {
        SecretBox::try_init_slice_with_policy(count, policy, |values| fill(bytes_mut(values)))
    }
}

impl Shieldable for str {
    fn made(
        count: usize,
        policy: &Policy,
        fill: &mut dyn FnMut(&mut [u8]) -> Result<(), ShieldError>,
    ) -> Result<SecretBox<str>, ShieldError> {
        let bytes = <[u8]>::made(count, policy, fill)?;
        let text = SecretString::from_utf8(bytes.into_vec()).map_err(|_| ShieldError::Tampered)?;
        Ok(text.into_boxed_str())
    }
}

impl<T: ?Sized + Shieldable> Shielded<T> {
    /// Encrypts a value; its secret memory is wiped.
    ///
    /// # Errors
    /// If there is no secret memory; in a forked child, if the value is the parent's.
    pub fn new(value: SecretBox<T>) -> Result<Shielded<T>, ShieldError> {
        Shielded::with_policy(value, &Policy::best_effort())
    }

    /// Encrypts a value; when it is decrypted, it has the protections of `policy`, as has the key.
    ///
    /// # Errors
    /// If there is no secret memory, or not that protection for the key; in a forked child, if the
    /// value is the parent's.
    pub fn with_policy(value: SecretBox<T>, policy: &Policy) -> Result<Shielded<T>, ShieldError> {
        let process = epoch()?;
        let exposed = value.try_expose_secret()?;
        let (bytes, count) = (exposed.plain_bytes(), exposed.plain_count());
        let mut sealed = Sealed::room(bytes.len());
        sealed.seal(process, policy, bytes)?;
        let state = Mutex::new(State { sealed, count, open: None, guards: 0, current: true });
        Ok(Shielded { process, policy: *policy, state })
    }

    /// An error in a forked child. Before the lock, which some thread of the parent may have held.
    fn check(&self) -> Result<(), SecureError> {
        if epoch()? == self.process {
            return Ok(());
        }
        Err(SecureError::new(ErrorKind::Inherited))
    }

    /// A panic elsewhere does not leave the state half changed: each step is one assignment.
    fn lock(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Decrypts the value for reading, unless it is decrypted already.
    ///
    /// # Errors
    /// [`ShieldError::Tampered`]; if there is no secret memory; in a forked child.
    pub fn try_borrow(&self) -> Result<ShieldedRef<'_, T>, ShieldError> {
        self.check()?;
        let value = self.lock().enter(self.process, &self.policy)?;
        Ok(ShieldedRef { owner: self, value, borrow: PhantomData })
    }

    /// Decrypts the value for reading and writing.
    ///
    /// # Errors
    /// [`ShieldError::Tampered`]; if there is no secret memory; in a forked child.
    pub fn try_borrow_mut(&mut self) -> Result<ShieldedRefMut<'_, T>, ShieldError> {
        self.check()?;
        let mut state = self.lock();
        // Guards that were leaked: `self` is borrowed exclusively, there are no others.
        state.guards = 0;
        let value = state.enter(self.process, &self.policy)?;
        state.current = false;
        drop(state);
        Ok(ShieldedRefMut { owner: self, value, borrow: PhantomData })
    }

    /// The value, decrypted for good. Guards that were leaked are forgotten.
    ///
    /// # Errors
    /// [`ShieldError::Tampered`]; if there is no secret memory; in a forked child. The error has
    /// the shielded value, which can still be opened when there is memory.
    #[expect(clippy::result_large_err, reason = "the error is no larger than what it gives back")]
    pub fn try_into_secret_box(
        mut self,
    ) -> Result<SecretBox<T>, IntoSecretBoxError<Shielded<T>, ShieldError>> {
        match self.take_out() {
            Ok(value) => Ok(value),
            Err(error) => Err(IntoSecretBoxError::new(self, error)),
        }
    }

    /// Decrypts the value and takes it out; on an error it stays in.
    fn take_out(&mut self) -> Result<SecretBox<T>, ShieldError> {
        self.check()?;
        let mut state = self.lock();
        state.enter(self.process, &self.policy)?;
        state.open.take().ok_or(ShieldError::Tampered)
    }

    /// Length of the value in bytes.
    #[must_use]
    pub fn len(&self) -> usize {
        if self.check().is_err() { 0 } else { self.lock().sealed.len() }
    }

    /// Whether the value has no bytes. Nor has it in a forked child.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether the value is decrypted now: there is a guard, or it could not be encrypted.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.check().is_ok() && self.lock().open.is_some()
    }
}

impl<T: ?Sized + Shieldable> State<T> {
    /// The decrypted value, for one more guard.
    fn enter(&mut self, process: u32, policy: &Policy) -> Result<NonNull<T>, ShieldError> {
        let value = match &mut self.open {
            Some(value) => value,
            closed => {
                let sealed = &self.sealed;
                closed.insert(T::made(self.count, policy, &mut |bytes| {
                    Ok(sealed.open(process, policy, bytes)?)
                })?)
            }
        };
        self.guards += 1;
        // No reference is made on the way: other guards may have theirs.
        Ok(value.pointer())
    }

    /// A guard is gone; with the last one the value is encrypted. If that cannot be done the value
    /// stays open, unless an equal one is still sealed.
    fn leave(&mut self, process: u32, policy: &Policy) {
        self.guards = self.guards.saturating_sub(1);
        if self.guards != 0 {
            return;
        }
        let Some(value) = &self.open else { return };
        let Ok(value) = value.try_expose_secret() else { return };
        if self.sealed.seal(process, policy, value.plain_bytes()).is_ok() {
            self.current = true;
        }
        if self.current {
            self.open = None;
        }
    }
}

impl<T: ?Sized + Shieldable> fmt::Debug for Shielded<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Shielded<{}>(..)", core::any::type_name::<T>())
    }
}

/// A shielded value, decrypted for reading. It panics if it is used in a forked child.
#[must_use = "the value is encrypted again when this is dropped"]
pub struct ShieldedRef<'a, T: ?Sized + Shieldable> {
    owner: &'a Shielded<T>,
    value: NonNull<T>,
    borrow: PhantomData<&'a T>,
}

/// A shielded value, decrypted for reading and writing. It panics if it is used in a forked child.
#[must_use = "the value is encrypted again when this is dropped"]
pub struct ShieldedRefMut<'a, T: ?Sized + Shieldable> {
    owner: &'a Shielded<T>,
    value: NonNull<T>,
    borrow: PhantomData<&'a mut T>,
}

// SAFETY: it is a `&T`, and its owner, of which only the count under a lock is used; that the owner
// may be shared needs `T: Send`, which every `Shieldable` type is: `Plain` ones, slices, `str`.
unsafe impl<T: ?Sized + Shieldable + Sync> Send for ShieldedRef<'_, T> {}
// SAFETY: shared, it gives `&T`.
unsafe impl<T: ?Sized + Shieldable + Sync> Sync for ShieldedRef<'_, T> {}
// SAFETY: it is a `&mut T` and a count under a lock.
unsafe impl<T: ?Sized + Shieldable + Send> Send for ShieldedRefMut<'_, T> {}
// SAFETY: shared, it gives `&T`.
unsafe impl<T: ?Sized + Shieldable + Sync> Sync for ShieldedRefMut<'_, T> {}

impl<T: ?Sized + Shieldable> Deref for ShieldedRef<'_, T> {
    type Target = T;

    #[track_caller]
    fn deref(&self) -> &T {
        expect(self.owner.check());
        // SAFETY: the box with the value stays where it is while guards are counted, and no one
        // writes to it: this borrows its owner.
        unsafe { self.value.as_ref() }
    }
}

impl<T: ?Sized + Shieldable> Deref for ShieldedRefMut<'_, T> {
    type Target = T;

    #[track_caller]
    fn deref(&self) -> &T {
        expect(self.owner.check());
        // SAFETY: as above; this borrows its owner exclusively.
        unsafe { self.value.as_ref() }
    }
}

impl<T: ?Sized + Shieldable> DerefMut for ShieldedRefMut<'_, T> {
    #[track_caller]
    fn deref_mut(&mut self) -> &mut T {
        expect(self.owner.check());
        // SAFETY: as above; this borrows its owner exclusively.
        unsafe { self.value.as_mut() }
    }
}

impl<T: ?Sized + Shieldable> Drop for ShieldedRef<'_, T> {
    fn drop(&mut self) {
        if self.owner.check().is_ok() {
            self.owner.lock().leave(self.owner.process, &self.owner.policy);
        }
    }
}

impl<T: ?Sized + Shieldable> Drop for ShieldedRefMut<'_, T> {
    fn drop(&mut self) {
        if self.owner.check().is_ok() {
            self.owner.lock().leave(self.owner.process, &self.owner.policy);
        }
    }
}

impl<T: ?Sized + Shieldable> fmt::Debug for ShieldedRef<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ShieldedRef<{}>(..)", core::any::type_name::<T>())
    }
}

impl<T: ?Sized + Shieldable> fmt::Debug for ShieldedRefMut<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ShieldedRefMut<{}>(..)", core::any::type_name::<T>())
    }
}

#[cfg(test)]
mod tests;
