//! Layer: faces. Boxed slices and strings: values whose length is known when they are made.
#![expect(unsafe_code, reason = "makes slices of memory it has just been given")]

extern crate alloc;

use super::in_place::random_bytes;
use super::place::{Place, expect};
use super::plain::{Plain, Zeroable};
use super::secret_box::SecretBox;
use super::secret_string::SecretString;
use super::secret_vec::SecretVec;
use crate::secure::{Policy, SecureError};
use alloc::boxed::Box;
use core::ptr::NonNull;

/// A slice in secret memory: a [`SecretBox`] of `[T]`, as in `secrecy`.
pub type SecretSlice<T> = SecretBox<[T]>;

impl<T: Zeroable> SecretBox<[T]> {
    /// `len` elements of zero bytes.
    ///
    /// # Panics
    /// If there is no memory.
    #[track_caller]
    #[must_use]
    pub fn zeroed_slice(len: usize) -> SecretBox<[T]> {
        expect(SecretBox::try_zeroed_slice_with(len, &Policy::best_effort()))
    }

    /// `len` elements of zero bytes, with the protections of `policy`.
    ///
    /// # Errors
    /// If there is no memory, or not that protection.
    pub fn try_zeroed_slice_with(
        len: usize,
        policy: &Policy,
    ) -> Result<SecretBox<[T]>, SecureError> {
        let place = Place::new(super::array::<T>(len)?, policy)?;
        let value = NonNull::slice_from_raw_parts(place.at().cast(), len);
        // SAFETY: the memory is for `len` elements and all zero, which is a value of each.
        Ok(unsafe { SecretBox::from_parts(value, place) })
    }

    /// Makes `len` elements where they stay: `f` gets them as zero bytes and fills them in.
    ///
    /// ```
    /// use casemate::secure::SecretSlice;
    ///
    /// let seed = SecretSlice::<u8>::init_slice_with(64, |seed| seed.fill(3));
    /// assert_eq!(seed.expose_secret().len(), 64);
    /// ```
    ///
    /// # Panics
    /// If there is no memory.
    #[track_caller]
    pub fn init_slice_with(len: usize, f: impl FnOnce(&mut [T])) -> SecretBox<[T]> {
        let mut made = SecretBox::zeroed_slice(len);
        f(made.expose_secret_mut());
        made
    }

    /// Makes `len` elements where they stay, by something that may fail, with the protections of
    /// `policy`.
    ///
    /// # Errors
    /// Those of `f`, whose work is then wiped, and that there is no memory or not that protection.
    pub fn try_init_slice_with_policy<E: From<SecureError>>(
        len: usize,
        policy: &Policy,
        f: impl FnOnce(&mut [T]) -> Result<(), E>,
    ) -> Result<SecretBox<[T]>, E> {
        let mut made = SecretBox::try_zeroed_slice_with(len, policy)?;
        f(made.try_expose_secret_mut()?)?;
        Ok(made)
    }
}

impl<T: Plain> SecretBox<[T]> {
    /// `len` elements of random bytes from the kernel.
    ///
    /// # Panics
    /// If there is no memory, or the kernel gives no random bytes.
    #[track_caller]
    #[must_use]
    pub fn random_slice(len: usize) -> SecretBox<[T]> {
        SecretBox::init_slice_with(len, random_bytes)
    }
}

impl<T: Copy> SecretBox<[T]> {
    /// A second box with the same elements and policy, copied from one secret memory to the other.
    ///
    /// # Errors
    /// If there is no memory; in a forked child.
    pub fn try_clone_slice(&self) -> Result<SecretBox<[T]>, SecureError> {
        let mut copy = SecretVec::new_with(self.policy());
        copy.try_extend_from_slice(self.try_expose_secret()?)?;
        Ok(copy.into_boxed_slice())
    }
}

impl SecretBox<str> {
    /// A second box with the same text and policy, copied from one secret memory to the other.
    ///
    /// # Errors
    /// If there is no memory; in a forked child.
    pub fn try_clone_str(&self) -> Result<SecretBox<str>, SecureError> {
        let mut copy = SecretString::new_with(self.policy());
        copy.try_push_str(self.try_expose_secret()?)?;
        Ok(copy.into_boxed_str())
    }
}

impl<T, const N: usize> SecretBox<[T; N]> {
    /// The same memory as a slice.
    #[must_use]
    pub fn into_slice(self) -> SecretBox<[T]> {
        let (value, place) = self.into_parts();
        let value = NonNull::slice_from_raw_parts(value.cast(), N);
        // SAFETY: an array is its elements.
        unsafe { SecretBox::from_parts(value, place) }
    }
}

impl<T> SecretBox<[T]> {
    /// The same memory as a vector, which can grow.
    #[must_use]
    pub fn into_vec(self) -> SecretVec<T> {
        let (value, place) = self.into_parts();
        // SAFETY: `value.len()` initialised elements at the start of `place`.
        unsafe { SecretVec::from_parts(place, value.len()) }
    }
}

/// Moves the value out of the heap; its memory there is wiped before it is freed.
///
/// Panics if there is no memory; the value is then dropped and wiped all the same.
impl<T> From<Box<T>> for SecretBox<T> {
    #[track_caller]
    fn from(source: Box<T>) -> SecretBox<T> {
        // SAFETY: a `Box<T>` is memory with the layout of one `T`, from the global allocator: a
        // vector of one element with room for one. (Of a zero-sized type too: no memory.)
        let source = unsafe { alloc::vec::Vec::from_raw_parts(Box::into_raw(source), 1, 1) };
        let (place, _len) = SecretVec::from(source).into_parts();
        let value = place.at().cast();
        // SAFETY: one initialised element at the start of `place`.
        unsafe { SecretBox::from_parts(value, place) }
    }
}

/// Moves the elements out of the heap; their memory there is wiped before it is freed.
///
/// Panics if there is no memory; they are then dropped and wiped all the same.
impl<T> From<Box<[T]>> for SecretBox<[T]> {
    #[track_caller]
    fn from(source: Box<[T]>) -> SecretBox<[T]> {
        SecretVec::from(source.into_vec()).into_boxed_slice()
    }
}

/// Moves the text out of the heap; its memory there is wiped before it is freed.
///
/// Panics if there is no memory; the text is wiped all the same.
impl From<Box<str>> for SecretBox<str> {
    #[track_caller]
    fn from(source: Box<str>) -> SecretBox<str> {
        SecretString::from(source.into_string()).into_boxed_str()
    }
}

/// As [`SecretVec::from`].
impl<T> From<alloc::vec::Vec<T>> for SecretBox<[T]> {
    #[track_caller]
    fn from(source: alloc::vec::Vec<T>) -> SecretBox<[T]> {
        SecretVec::from(source).into_boxed_slice()
    }
}

/// As [`SecretString::from`].
impl From<alloc::string::String> for SecretBox<str> {
    #[track_caller]
    fn from(source: alloc::string::String) -> SecretBox<str> {
        SecretString::from(source).into_boxed_str()
    }
}
