//! Layer: faces. A vector in secret memory.
//!
//! | file | subject |
//! |---|---|
//! | `mod` | the vector, its room, its end |
//! | `edit` | adding and removing elements |
//! | `read` | filling it from a reader, writing to it |
//! | `from` | coming from and going to other types |
#![expect(unsafe_code, reason = "a vector: elements in memory that it owns")]

mod edit;
mod from;
mod read;

use super::place::{Place, expect};
use crate::secure::{Policy, Protections, SecureError};
use crate::wipe::wipe_long;
use core::fmt;
use core::marker::PhantomData;

/// Smallest room in bytes that a growing vector asks for.
const LEAST: usize = 32;

/// A growing sequence in secret memory.
///
/// It is used as `Vec`, with two differences. Growing never leaves a copy behind: the elements
/// move to new secret memory and the old is wiped before it is freed. And every element that
/// leaves (by [`pop`](SecretVec::pop), [`truncate`](SecretVec::truncate),
/// [`clear`](SecretVec::clear) and the others) is wiped where it was, at once.
///
/// Everything else is as for [`SecretBox`](super::SecretBox): exposed by name, wiped when dropped,
/// `Debug` without contents, `==` in constant time, no `Display`, no `Clone`, errors by the `try_`
/// forms and panics by the others, nothing there in a forked child, `Send` and `Sync` where `T` is.
///
/// ```
/// use casemate::secure::SecretVec;
///
/// let mut key = SecretVec::new();
/// key.extend_from_slice(b"first half, ");
/// key.extend_from_slice(b"second half");
/// assert_eq!(key.expose_secret().len(), 23);
/// assert_eq!(format!("{key:?}"), "SecretVec<u8>(..)");
///
/// // What was in an ordinary vector is wiped there, its whole capacity.
/// let moved = SecretVec::from(vec![1u8, 2, 3]);
/// assert!(moved == [1, 2, 3][..]);
/// ```
///
/// ```compile_fail,E0599
/// let a = casemate::secure::SecretVec::from(vec![1]).clone();
/// ```
/// ```compile_fail,E0277
/// println!("{}", casemate::secure::SecretVec::from(vec![1]));
/// ```
pub struct SecretVec<T> {
    /// Bytes behind the elements are zero.
    place: Place,
    /// How many elements there are, from the start of `place`.
    len: usize,
    owns: PhantomData<T>,
}

impl<T> SecretVec<T> {
    /// An empty vector without memory.
    #[must_use]
    pub fn new() -> SecretVec<T> {
        SecretVec::new_with(&Policy::best_effort())
    }

    /// An empty vector without memory; what it takes later has the protections of `policy`.
    #[must_use]
    pub fn new_with(policy: &Policy) -> SecretVec<T> {
        SecretVec { place: Place::none::<T>(policy), len: 0, owns: PhantomData }
    }

    /// An empty vector with room for `capacity` elements.
    ///
    /// # Panics
    /// If there is no memory.
    #[track_caller]
    #[must_use]
    pub fn with_capacity(capacity: usize) -> SecretVec<T> {
        expect(SecretVec::try_with_capacity_and_policy(capacity, &Policy::best_effort()))
    }

    /// An empty vector with room for `capacity` elements.
    ///
    /// # Errors
    /// If there is no memory.
    pub fn try_with_capacity(capacity: usize) -> Result<SecretVec<T>, SecureError> {
        SecretVec::try_with_capacity_and_policy(capacity, &Policy::best_effort())
    }

    /// An empty vector with room for `capacity` elements; it keeps the policy when it grows.
    ///
    /// # Errors
    /// If there is no memory, or not that protection.
    pub fn try_with_capacity_and_policy(
        capacity: usize,
        policy: &Policy,
    ) -> Result<SecretVec<T>, SecureError> {
        let mut made = SecretVec::new_with(policy);
        made.try_reserve_exact(capacity)?;
        Ok(made)
    }

    /// Takes over memory that holds elements, with the policy that it was asked for with.
    ///
    /// # Safety
    /// `place` has the alignment of `T` and starts with `len` initialised elements that nothing
    /// else owns; what follows them is zero.
    pub(super) unsafe fn from_parts(place: Place, len: usize) -> SecretVec<T> {
        SecretVec { place, len, owns: PhantomData }
    }

    /// The memory and how many elements it holds; they are not dropped.
    pub(super) fn into_parts(self) -> (Place, usize) {
        let this = core::mem::ManuallyDrop::new(self);
        // SAFETY: `this` is not used or dropped again, so its memory has one owner.
        (unsafe { core::ptr::read(&this.place) }, this.len)
    }

    /// How many elements there are.
    #[inline]
    #[must_use]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there is none.
    #[inline]
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// How many elements there is room for.
    #[inline]
    #[must_use]
    pub fn capacity(&self) -> usize {
        self.place.bytes().checked_div(size_of::<T>()).unwrap_or(usize::MAX)
    }

    /// What protects the elements; `None` for a vector without memory and in a forked child.
    #[must_use]
    pub fn protections(&self) -> Option<Protections> {
        self.place.protections()
    }

    /// The elements, to be read.
    ///
    /// # Panics
    /// In a forked child, where they are not.
    #[inline]
    #[track_caller]
    pub fn expose_secret(&self) -> &[T] {
        expect(self.try_expose_secret())
    }

    /// The elements, to be changed in place.
    ///
    /// # Panics
    /// In a forked child, where they are not.
    #[inline]
    #[track_caller]
    pub fn expose_secret_mut(&mut self) -> &mut [T] {
        expect(self.try_expose_secret_mut())
    }

    /// The elements, to be read.
    ///
    /// # Errors
    /// In a forked child, where they are not.
    #[inline]
    pub fn try_expose_secret(&self) -> Result<&[T], SecureError> {
        self.place.check()?;
        // SAFETY: that many elements are initialised, and borrowed as the vector is.
        Ok(unsafe { core::slice::from_raw_parts(self.start(), self.len) })
    }

    /// The elements, to be changed in place.
    ///
    /// # Errors
    /// In a forked child, where they are not.
    #[inline]
    pub fn try_expose_secret_mut(&mut self) -> Result<&mut [T], SecureError> {
        self.place.check()?;
        // SAFETY: that many elements are initialised, and borrowed as the vector is, exclusively.
        Ok(unsafe { core::slice::from_raw_parts_mut(self.start(), self.len) })
    }

    /// Makes room for `additional` more elements, more than that if it has to move, so that
    /// adding one by one does not move every time.
    ///
    /// # Errors
    /// If there is no memory, or not the protection asked for; the vector is as before.
    pub fn try_reserve(&mut self, additional: usize) -> Result<(), SecureError> {
        if additional <= self.capacity() - self.len {
            return Ok(());
        }
        let needed = self.len.checked_add(additional).ok_or_else(super::too_large)?;
        let least = LEAST.div_ceil(size_of::<T>().max(1));
        self.resize_to(needed.max(self.capacity().saturating_mul(2)).max(least))
    }

    /// Makes room for exactly `additional` more elements, if there is not room already.
    ///
    /// # Errors
    /// If there is no memory, or not the protection asked for; the vector is as before.
    pub fn try_reserve_exact(&mut self, additional: usize) -> Result<(), SecureError> {
        if additional <= self.capacity() - self.len {
            return Ok(());
        }
        self.resize_to(self.len.checked_add(additional).ok_or_else(super::too_large)?)
    }

    /// [`try_reserve`](SecretVec::try_reserve).
    ///
    /// # Panics
    /// If there is no memory.
    #[track_caller]
    pub fn reserve(&mut self, additional: usize) {
        expect(self.try_reserve(additional));
    }

    /// Moves to memory without room for more; what it leaves is wiped.
    ///
    /// # Errors
    /// If there is no memory; the vector is as before.
    pub fn try_shrink_to_fit(&mut self) -> Result<(), SecureError> {
        if self.len == self.capacity() || size_of::<T>() == 0 {
            return Ok(());
        }
        self.resize_to(self.len)
    }

    fn resize_to(&mut self, capacity: usize) -> Result<(), SecureError> {
        self.place.resize(super::array::<T>(capacity)?)
    }

    /// The first element's place; dangling and aligned if there is no memory.
    #[inline]
    fn start(&self) -> *mut T {
        self.place.at().as_ptr().cast()
    }

    /// Wipes the places of elements that are no more: `[from, to)`.
    ///
    /// # Safety
    /// The memory is there and has room for `to` elements; those from `from` on have been moved
    /// out or dropped.
    unsafe fn wipe(&mut self, from: usize, to: usize) {
        // SAFETY: the caller's.
        unsafe { wipe_long(self.start().add(from).cast(), (to - from) * size_of::<T>()) }
    }
}

impl<T> Default for SecretVec<T> {
    fn default() -> SecretVec<T> {
        SecretVec::new()
    }
}

impl<T> Drop for SecretVec<T> {
    fn drop(&mut self) {
        // In a forked child there are no elements. Afterwards, or if a destructor panics, the
        // memory is wiped and freed by the field's own drop.
        if core::mem::needs_drop::<T>()
            && let Ok(elements) = self.try_expose_secret_mut()
        {
            let elements: *mut [T] = elements;
            // SAFETY: they are initialised, there, and dropped once.
            unsafe { elements.drop_in_place() }
        }
    }
}

impl<T> fmt::Debug for SecretVec<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SecretVec<{}>(..)", core::any::type_name::<T>())
    }
}
