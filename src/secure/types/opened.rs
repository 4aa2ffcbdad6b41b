//! Layer: faces. Borrow guards: memory that is inaccessible at rest is open while one exists.
#![expect(unsafe_code, reason = "gives references to memory that a guard holds open")]

use super::place::{Place, expect};
use super::plain::PlainBytes;
use crate::secure::{AccessGuard, SecureError};
use core::fmt;
use core::marker::PhantomData;
use core::ops::{Deref, DerefMut};
use core::ptr::NonNull;

/// A value that is lent until this is dropped.
///
/// Its pages are open for reading and writing, if it comes from
/// [`GuardedBox::borrow`](super::GuardedBox::borrow): the value may be one that changes through a
/// shared reference. From [`borrow_read_only`](super::GuardedBox::borrow_read_only) and
/// [`SafeBuffer::borrow`](super::SafeBuffer::borrow) they are open for reading only.
///
/// Any number may exist, in any threads; they are counted, and the last one closes the value. One
/// that is leaked ([`core::mem::forget`]) leaves it open until its owner is dropped.
///
/// It panics if it is used in a forked child.
#[must_use = "the value is closed when this is dropped"]
pub struct Opened<'a, T: ?Sized> {
    value: NonNull<T>,
    place: &'a Place,
    /// Closes when it is dropped; none for zero bytes.
    _guard: Option<AccessGuard>,
    borrow: PhantomData<&'a T>,
}

/// A value that is open for reading and writing until this is dropped. There is only one.
///
/// It panics if it is used in a forked child.
#[must_use = "the value is closed when this is dropped"]
pub struct OpenedMut<'a, T: ?Sized> {
    value: NonNull<T>,
    place: &'a Place,
    _guard: Option<AccessGuard>,
    borrow: PhantomData<&'a mut T>,
}

// SAFETY: a guard may be used and dropped by any thread: it is a `&T` and a count under a lock.
unsafe impl<T: ?Sized + Sync> Send for Opened<'_, T> {}
// SAFETY: shared, it gives `&T`.
unsafe impl<T: ?Sized + Sync> Sync for Opened<'_, T> {}
// SAFETY: it is a `&mut T` and a count under a lock.
unsafe impl<T: ?Sized + Send> Send for OpenedMut<'_, T> {}
// SAFETY: shared, it gives `&T`.
unsafe impl<T: ?Sized + Sync> Sync for OpenedMut<'_, T> {}

impl<'a, T: ?Sized> Opened<'a, T> {
    /// Opens the pages for reading and writing.
    ///
    /// # Safety
    /// `value` is initialised, lies in `place`, and is written through shared references alone
    /// while this exists, by a type that allows it.
    pub(super) unsafe fn new(
        value: NonNull<T>,
        place: &'a Place,
    ) -> Result<Opened<'a, T>, SecureError> {
        // SAFETY: the place is borrowed as long as the guard exists.
        let guard = unsafe { place.open(true)? };
        Ok(Opened { value, place, _guard: guard, borrow: PhantomData })
    }

    /// Opens the pages for reading.
    ///
    /// # Safety
    /// `value` is initialised, lies in `place`, and is not written while this exists.
    pub(super) unsafe fn read_only(
        value: NonNull<T>,
        place: &'a Place,
    ) -> Result<Opened<'a, T>, SecureError>
    where
        T: PlainBytes,
    {
        // SAFETY: the place is borrowed as long as the guard exists. Plain bytes have no interior
        // mutability, so that no safe code writes through the `&T` that this lends.
        let guard = unsafe { place.open(false)? };
        Ok(Opened { value, place, _guard: guard, borrow: PhantomData })
    }
}

impl<'a, T: ?Sized> OpenedMut<'a, T> {
    /// # Safety
    /// `value` is initialised, lies in `place`, and is not accessed otherwise while this exists.
    pub(super) unsafe fn new(
        value: NonNull<T>,
        place: &'a Place,
    ) -> Result<OpenedMut<'a, T>, SecureError> {
        // SAFETY: the place is borrowed as long as the guard exists.
        let guard = unsafe { place.open(true)? };
        Ok(OpenedMut { value, place, _guard: guard, borrow: PhantomData })
    }
}

impl<T: ?Sized> Deref for Opened<'_, T> {
    type Target = T;

    #[inline]
    #[track_caller]
    fn deref(&self) -> &T {
        expect(self.place.check());
        // SAFETY: initialised, open as long as this exists, for writing too unless nothing can be
        // written through a `&T`, and written in no other way meanwhile.
        unsafe { self.value.as_ref() }
    }
}

impl<T: ?Sized> Deref for OpenedMut<'_, T> {
    type Target = T;

    #[inline]
    #[track_caller]
    fn deref(&self) -> &T {
        expect(self.place.check());
        // SAFETY: initialised, open as long as this exists, and reached through this only.
        unsafe { self.value.as_ref() }
    }
}

impl<T: ?Sized> DerefMut for OpenedMut<'_, T> {
    #[inline]
    #[track_caller]
    fn deref_mut(&mut self) -> &mut T {
        expect(self.place.check());
        // SAFETY: initialised, open as long as this exists, and reached through this only.
        unsafe { self.value.as_mut() }
    }
}

impl<T: ?Sized> fmt::Debug for Opened<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Opened<{}>(..)", core::any::type_name::<T>())
    }
}

impl<T: ?Sized> fmt::Debug for OpenedMut<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "OpenedMut<{}>(..)", core::any::type_name::<T>())
    }
}
