//! Layer: faces. Vectors that come from ordinary ones, whose memory is wiped, and that become
//! boxes.
#![expect(unsafe_code, reason = "moves elements between vectors")]

extern crate alloc;

use super::SecretVec;
use crate::secure::types::moved::{discard, wipe_spare};
use crate::secure::types::place::expect;
use crate::secure::types::plain::Plain;
use crate::secure::types::{Emptied, SecretBox};
use crate::secure::{Policy, SecureError};
use alloc::vec::Vec;
use core::ptr::NonNull;

/// Drops an ordinary vector's elements and wipes its whole capacity.
struct Wiped<T>(Vec<T>);

impl<T> Drop for Wiped<T> {
    fn drop(&mut self) {
        /// Wipes even if an element's destructor panics.
        struct Wipe<'a, T>(&'a mut Vec<T>);

        impl<T> Drop for Wipe<'_, T> {
            fn drop(&mut self) {
                wipe_spare(self.0);
            }
        }

        let wipe = Wipe(&mut self.0);
        // The length is set to zero before the first destructor runs.
        wipe.0.clear();
    }
}

impl<T> SecretVec<T> {
    /// Moves the elements of an ordinary vector into secret memory, and wipes all of the memory
    /// that they came from, spare capacity included, before it is freed.
    ///
    /// Copies that the vector left behind when it grew, or that were made before, are not found:
    /// fill a `SecretVec` from the start where that can be.
    ///
    /// # Errors
    /// If there is no memory; the elements are then dropped and their memory is wiped all the same.
    pub fn try_from_vec(source: Vec<T>) -> Result<SecretVec<T>, SecureError> {
        SecretVec::try_from_vec_with(source, &Policy::best_effort())
    }

    /// [`try_from_vec`](SecretVec::try_from_vec) with the protections of `policy`.
    ///
    /// # Errors
    /// If there is no memory, or not that protection; the elements are then dropped and their
    /// memory is wiped all the same.
    pub fn try_from_vec_with(source: Vec<T>, policy: &Policy) -> Result<SecretVec<T>, SecureError> {
        let mut source = Wiped(source);
        let len = source.0.len();
        let mut made = SecretVec::try_with_capacity_and_policy(len, policy)?;
        // SAFETY: room for `len` elements, in different memory; the source does not use them any
        // more: `discard` forgets them and wipes.
        unsafe {
            core::ptr::copy_nonoverlapping(source.0.as_ptr(), made.start(), len);
            made.len = len;
            discard(core::mem::take(&mut source.0));
        }
        Ok(made)
    }

    /// The same memory as a box, which does not grow. Spare room stays.
    #[must_use]
    pub fn into_boxed_slice(self) -> SecretBox<[T]> {
        let (place, len) = self.into_parts();
        let value = NonNull::slice_from_raw_parts(place.at().cast(), len);
        // SAFETY: `len` initialised elements at the start of `place`.
        unsafe { SecretBox::from_parts(value, place) }
    }
}

impl<T: Plain> SecretVec<T> {
    /// Moves values into secret memory and leaves zero bytes where they were.
    ///
    /// # Errors
    /// If there is no memory; the source is then wiped all the same.
    pub fn try_take_from(source: &mut [T]) -> Result<SecretVec<T>, SecureError> {
        let source = Emptied(source);
        let mut made = SecretVec::try_with_capacity(source.0.len())?;
        made.try_extend_from_slice(source.0)?;
        Ok(made)
    }

    /// `len` elements of random bytes from the kernel.
    ///
    /// # Panics
    /// If there is no memory, or the kernel gives no random bytes.
    #[track_caller]
    #[must_use]
    pub fn random(len: usize) -> SecretVec<T> {
        SecretBox::random_slice(len).into_vec()
    }
}

/// Moves the elements, and wipes the vector's whole capacity.
///
/// Panics if there is no memory; the elements are then dropped and wiped all the same.
impl<T> From<Vec<T>> for SecretVec<T> {
    #[track_caller]
    fn from(source: Vec<T>) -> SecretVec<T> {
        expect(SecretVec::try_from_vec(source))
    }
}

/// Copies; the source cannot be wiped. Panics if there is no memory.
impl<T: Copy> From<&[T]> for SecretVec<T> {
    #[track_caller]
    fn from(source: &[T]) -> SecretVec<T> {
        let mut made = SecretVec::with_capacity(source.len());
        made.extend_from_slice(source);
        made
    }
}

impl<T> From<SecretBox<[T]>> for SecretVec<T> {
    fn from(source: SecretBox<[T]>) -> SecretVec<T> {
        source.into_vec()
    }
}

impl<T> From<SecretVec<T>> for SecretBox<[T]> {
    fn from(source: SecretVec<T>) -> SecretBox<[T]> {
        source.into_boxed_slice()
    }
}
