//! Layer: faces. One value in secret memory that is inaccessible while nobody uses it.
#![expect(unsafe_code, reason = "closes memory that it owns, and opens it for guards")]

use super::into_error::IntoSecretBoxError;
use super::moved::take_over;
use super::opened::{Opened, OpenedMut};
use super::place::{Place, expect};
use super::plain::{Plain, PlainBytes, Zeroable};
use super::secret_box::SecretBox;
use crate::secure::{Access, Policy, Protections, SecureError};
use core::fmt;
use core::marker::PhantomData;
use core::ptr::NonNull;

/// A value in secret memory that no instruction can read or write, but while a guard from
/// [`borrow`](GuardedBox::borrow) or [`borrow_mut`](GuardedBox::borrow_mut) exists.
///
/// For the few secrets that matter most and are used rarely: a master key, a certificate
/// authority's. An overread, a stray pointer or another thread's bug finds nothing meanwhile. The
/// price is pages of its own and two system calls (some 3 microseconds) for the first and the last
/// guard together. It is what `secrets::SecretBox` and libsodium's
/// `sodium_mprotect_noaccess` are used for.
///
/// ```
/// use casemate::secure::{Access, GuardedBox};
///
/// let mut key = GuardedBox::<[u8; 32]>::random();
/// assert_eq!(key.protections().map(|has| has.access), Some(Access::NoAccess));
/// {
///     let (one, two) = (key.borrow(), key.borrow()); // counted
///     drop(one);
///     assert_eq!(two.len(), 32); // still open
/// }
/// key.borrow_mut()[0] = 7;
/// assert_eq!(key.protections().map(|has| has.access), Some(Access::NoAccess));
/// # Ok::<(), casemate::secure::SecureError>(())
/// ```
///
/// While a guard exists the pages are open for reading and writing, also that of
/// [`borrow`](GuardedBox::borrow): `T` may be an atomic or a `Mutex`, which change through a shared
/// reference. A key is better lent by [`borrow_read_only`](GuardedBox::borrow_read_only), which
/// opens them for reading alone: a stray write then faults also in the meantime.
///
/// A reference cannot outlive its guard, nor a guard the box:
///
/// ```compile_fail,E0716
/// let key = casemate::secure::GuardedBox::<[u8; 32]>::random();
/// let bytes: &[u8] = key.borrow().as_slice(); // the guard is dropped here
/// assert_eq!(bytes.len(), 32);
/// ```
///
/// Otherwise it is as [`SecretBox`]: wiped when dropped, no `Display`, no `Clone`, `Debug` without
/// contents, errors by the `try_` forms, `Send` and `Sync` where `T` is.
pub struct GuardedBox<T: ?Sized> {
    value: NonNull<T>,
    place: Place,
    owns: PhantomData<T>,
}

// SAFETY: as for `SecretBox`: the box owns its value.
unsafe impl<T: ?Sized + Send> Send for GuardedBox<T> {}
// SAFETY: a shared box gives out `&T` only; who opens and closes is counted under a lock.
unsafe impl<T: ?Sized + Sync> Sync for GuardedBox<T> {}

impl<T> GuardedBox<T> {
    /// Moves a value into secret memory, wipes the argument's bytes, and closes the memory.
    ///
    /// # Errors
    /// If there is no memory, or its pages cannot be closed.
    pub fn try_new(mut value: T) -> Result<GuardedBox<T>, SecureError> {
        take_over!(value as moved);
        close(SecretBox::adopt(&mut moved, &Policy::best_effort().protectable())?)
    }

    /// [`try_new`](GuardedBox::try_new) with the protections of `policy`.
    ///
    /// # Errors
    /// If there is no memory or not that protection, or its pages cannot be closed.
    pub fn try_new_with(mut value: T, policy: &Policy) -> Result<GuardedBox<T>, SecureError> {
        take_over!(value as moved);
        close(SecretBox::adopt(&mut moved, &policy.protectable())?)
    }
}

impl<T: Zeroable> GuardedBox<T> {
    /// Makes a value where it stays: `f` gets it as zero bytes and fills it in. Then it is closed.
    ///
    /// # Panics
    /// If there is no memory, or its pages cannot be closed.
    #[track_caller]
    pub fn init_with(f: impl FnOnce(&mut T)) -> GuardedBox<T> {
        expect(GuardedBox::try_init_with(|value| {
            f(value);
            Ok(())
        }))
    }

    /// Makes a value where it stays, by something that may fail.
    ///
    /// # Errors
    /// Those of `f`, whose work is then wiped; that there is no memory, or that its pages cannot be
    /// closed.
    pub fn try_init_with<E: From<SecureError>>(
        f: impl FnOnce(&mut T) -> Result<(), E>,
    ) -> Result<GuardedBox<T>, E> {
        GuardedBox::try_init_with_policy(&Policy::best_effort(), f)
    }

    /// [`try_init_with`](GuardedBox::try_init_with) with the protections of `policy`.
    ///
    /// # Errors
    /// Those of `f`, whose work is then wiped; that there is no memory or not that protection, or
    /// that its pages cannot be closed.
    pub fn try_init_with_policy<E: From<SecureError>>(
        policy: &Policy,
        f: impl FnOnce(&mut T) -> Result<(), E>,
    ) -> Result<GuardedBox<T>, E> {
        Ok(close(SecretBox::try_init_with_policy(&policy.protectable(), f)?)?)
    }
}

impl<T: Zeroable> GuardedBox<[T]> {
    /// Makes `len` elements where they stay, by something that may fail, with the protections of
    /// `policy`.
    ///
    /// # Errors
    /// Those of `f`, whose work is then wiped; that there is no memory or not that protection, or
    /// that its pages cannot be closed.
    pub fn try_init_slice_with_policy<E: From<SecureError>>(
        len: usize,
        policy: &Policy,
        f: impl FnOnce(&mut [T]) -> Result<(), E>,
    ) -> Result<GuardedBox<[T]>, E> {
        Ok(close(SecretBox::try_init_slice_with_policy(len, &policy.protectable(), f)?)?)
    }
}

impl<T: Plain> GuardedBox<T> {
    /// A value of random bytes from the kernel: a new key.
    ///
    /// # Panics
    /// If there is no memory, its pages cannot be closed, or the kernel gives no random bytes.
    #[track_caller]
    #[must_use]
    pub fn random() -> GuardedBox<T> {
        GuardedBox::init_with(|value| super::in_place::random_bytes(core::slice::from_mut(value)))
    }
}

/// A box whose memory is protectable, closed.
fn close<T: ?Sized>(open: SecretBox<T>) -> Result<GuardedBox<T>, SecureError> {
    let (value, place) = open.into_parts();
    // From here on the value is dropped with what follows, should closing fail.
    let closed = GuardedBox { value, place, owns: PhantomData };
    // SAFETY: nothing refers to the value: it came by value.
    unsafe { closed.place.protect(Access::NoAccess)? };
    Ok(closed)
}

impl<T: ?Sized> GuardedBox<T> {
    /// Lends the value. Its pages are open for reading and writing: see
    /// [`borrow_read_only`](GuardedBox::borrow_read_only).
    ///
    /// # Panics
    /// In a forked child, where the value is not; if the kernel refuses to open its pages.
    #[track_caller]
    pub fn borrow(&self) -> Opened<'_, T> {
        expect(self.try_borrow())
    }

    /// Lends the value. Its pages are open for reading and writing: see
    /// [`try_borrow_read_only`](GuardedBox::try_borrow_read_only).
    ///
    /// # Errors
    /// In a forked child, where the value is not; if the kernel refuses to open its pages.
    pub fn try_borrow(&self) -> Result<Opened<'_, T>, SecureError> {
        // SAFETY: the value is initialised, and while `self` is shared only references to it are
        // given out that are shared, too.
        unsafe { Opened::new(self.value, &self.place) }
    }

    /// Opens the value for reading and writing.
    ///
    /// # Panics
    /// In a forked child, where the value is not; if the kernel refuses to open its pages.
    #[track_caller]
    pub fn borrow_mut(&mut self) -> OpenedMut<'_, T> {
        expect(self.try_borrow_mut())
    }

    /// Opens the value for reading and writing.
    ///
    /// # Errors
    /// In a forked child, where the value is not; if the kernel refuses to open its pages.
    pub fn try_borrow_mut(&mut self) -> Result<OpenedMut<'_, T>, SecureError> {
        // SAFETY: the value is initialised, and borrowed exclusively.
        unsafe { OpenedMut::new(self.value, &self.place) }
    }

    /// What protects the value; `None` for a value of zero bytes and in a forked child.
    #[must_use]
    pub fn protections(&self) -> Option<Protections> {
        self.place.protections()
    }

    /// Opens the value for good. Guards that were leaked are forgotten.
    ///
    /// # Errors
    /// In a forked child; if the kernel refuses to open its pages. The error has the box.
    pub fn try_into_secret_box(self) -> Result<SecretBox<T>, IntoSecretBoxError<GuardedBox<T>>> {
        // SAFETY: the box came by value, so no guard can be used or dropped any more; and what is
        // allowed is more than before.
        if let Err(error) = unsafe { self.place.protect_alone(Access::ReadWrite) } {
            return Err(IntoSecretBoxError::new(self, error));
        }
        let this = core::mem::ManuallyDrop::new(self);
        // SAFETY: `this` is not used or dropped again, so value and memory have one owner.
        Ok(unsafe { SecretBox::from_parts(this.value, core::ptr::read(&this.place)) })
    }
}

impl<T: ?Sized + PlainBytes> GuardedBox<T> {
    /// Lends the value and opens its pages for reading alone: a write to them faults, until
    /// another guard opens them for writing.
    ///
    /// For values of which it is known that nothing changes through a shared reference: [`Plain`]
    /// types, slices of one, and `str`.
    ///
    /// ```
    /// use casemate::secure::{Access, GuardedBox};
    ///
    /// let key = GuardedBox::<[u8; 32]>::random();
    /// let guard = key.borrow_read_only();
    /// assert_eq!(key.protections().map(|has| has.access), Some(Access::ReadOnly));
    /// # drop(guard);
    /// ```
    ///
    /// ```compile_fail,E0277
    /// use casemate::secure::GuardedBox;
    /// use std::sync::atomic::AtomicU64;
    /// GuardedBox::<AtomicU64>::init_with(|_| ()).borrow_read_only(); // adding to it would fault
    /// ```
    ///
    /// # Panics
    /// In a forked child, where the value is not; if the kernel refuses to open its pages.
    #[track_caller]
    pub fn borrow_read_only(&self) -> Opened<'_, T> {
        expect(self.try_borrow_read_only())
    }

    /// [`borrow_read_only`](GuardedBox::borrow_read_only).
    ///
    /// # Errors
    /// In a forked child, where the value is not; if the kernel refuses to open its pages.
    pub fn try_borrow_read_only(&self) -> Result<Opened<'_, T>, SecureError> {
        // SAFETY: the value is initialised, and not written while `self` is shared: its type has
        // no interior mutability.
        unsafe { Opened::read_only(self.value, &self.place) }
    }
}

impl<T: ?Sized> Drop for GuardedBox<T> {
    fn drop(&mut self) {
        if core::mem::needs_drop::<T>() {
            // SAFETY: the guard is dropped before the place is. The value is initialised, there
            // and open, and dropped once. Where it cannot be opened, what it owns elsewhere leaks.
            unsafe {
                if let Ok(_open) = self.place.open(true) {
                    self.value.drop_in_place();
                }
            }
        }
    }
}

impl<T: ?Sized> fmt::Debug for GuardedBox<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "GuardedBox<{}>(..)", core::any::type_name::<T>())
    }
}
