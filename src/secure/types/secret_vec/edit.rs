//! Layer: faces. Adding elements to a vector, and removing them so that nothing stays.
#![expect(unsafe_code, reason = "moves elements in memory that the vector owns")]

use super::SecretVec;
use crate::secure::SecureError;
use crate::secure::types::moved::{Moved, take_over};
use crate::secure::types::place::expect;
use crate::secure::types::plain::Zeroable;
use core::ptr::NonNull;

/// Wipes the places of removed elements when it is dropped, also when one's destructor panics.
struct WipeRemoved<'a, T> {
    vector: &'a mut SecretVec<T>,
    from: usize,
    to: usize,
}

impl<T> Drop for WipeRemoved<'_, T> {
    fn drop(&mut self) {
        // SAFETY: made by `remove_from` only, which has checked the memory and set the length.
        unsafe { self.vector.wipe(self.from, self.to) }
    }
}

/// The elements that [`retain`](SecretVec::retain) is looking at; the vector's length is zero
/// meanwhile. When this is dropped, also by a panic, those that were not looked at move up, and the
/// places that got free are wiped.
struct Retain<'a, T> {
    vector: &'a mut SecretVec<T>,
    /// How many were kept: they are at the start.
    kept: usize,
    /// How many were looked at: those between are gone.
    seen: usize,
    /// How many there were.
    all: usize,
}

impl<T> Drop for Retain<'_, T> {
    fn drop(&mut self) {
        let rest = self.all - self.seen;
        let start = self.vector.start();
        // SAFETY: made by `retain` only, which has checked the memory. The elements from `seen` on
        // are initialised and move down, if at all, over what has moved or was dropped; what they
        // leave is wiped and no longer counted.
        unsafe {
            core::ptr::copy(start.add(self.seen), start.add(self.kept), rest);
            self.vector.len = self.kept + rest;
            self.vector.wipe(self.vector.len, self.all);
        }
    }
}

impl<T> SecretVec<T> {
    /// Adds an element at the end, and wipes the argument's bytes.
    ///
    /// # Panics
    /// If there is no memory; the element is then dropped and its bytes are wiped.
    #[track_caller]
    pub fn push(&mut self, mut value: T) {
        take_over!(value as moved);
        expect(self.adopt(&mut moved));
    }

    /// Adds an element at the end, and wipes the argument's bytes.
    ///
    /// # Errors
    /// If there is no memory; the element is then dropped and its bytes are wiped. To keep it,
    /// call [`try_reserve`](SecretVec::try_reserve) first.
    pub fn try_push(&mut self, mut value: T) -> Result<(), SecureError> {
        take_over!(value as moved);
        self.adopt(&mut moved)
    }

    /// Adds a value that is here; on an error it stays here.
    fn adopt(&mut self, moved: &mut Moved<T>) -> Result<(), SecureError> {
        self.try_reserve(1)?;
        self.place.check()?;
        // SAFETY: a value is here, by the macro that made the variable; there is room for one more,
        // in which there is no element.
        unsafe { moved.put(NonNull::new_unchecked(self.start().add(self.len))) };
        self.len += 1;
        Ok(())
    }

    /// Puts an element before the one at `index`; those from there on move up.
    ///
    /// # Panics
    /// If `index` is greater than the length, or if there is no memory; the element is then
    /// dropped and its bytes are wiped.
    #[track_caller]
    pub fn insert(&mut self, index: usize, mut value: T) {
        take_over!(value as moved);
        assert!(index <= self.len, "index {index} is beyond the length {}", self.len);
        expect(self.try_reserve(1));
        expect(self.place.check());
        // SAFETY: there is room for one more, so the elements from `index` on can move up by one;
        // what is left at `index` is a copy of one that has moved.
        unsafe {
            let at = self.start().add(index);
            core::ptr::copy(at, at.add(1), self.len - index);
            moved.put(NonNull::new_unchecked(at));
        }
        self.len += 1;
    }

    /// Takes the last element out; its place is wiped.
    ///
    /// # Panics
    /// In a forked child, where the elements are not.
    #[track_caller]
    pub fn pop(&mut self) -> Option<T> {
        expect(self.place.check());
        let last = self.len.checked_sub(1)?;
        self.len = last;
        // SAFETY: the element was initialised, is no longer counted, and its place is wiped.
        unsafe {
            let value = self.start().add(last).read();
            self.wipe(last, last + 1);
            Some(value)
        }
    }

    /// Takes out the element at `index`; those behind it move down, the place that gets free is
    /// wiped.
    ///
    /// # Panics
    /// If there is no such element; in a forked child.
    #[track_caller]
    pub fn remove(&mut self, index: usize) -> T {
        assert!(index < self.len, "index {index} is not below the length {}", self.len);
        expect(self.place.check());
        self.len -= 1;
        // SAFETY: the element was initialised and is read once; those behind it move down over
        // it, and the last one's place, now a copy, is wiped.
        unsafe {
            let at = self.start().add(index);
            let value = at.read();
            core::ptr::copy(at.add(1), at, self.len - index);
            self.wipe(self.len, self.len + 1);
            value
        }
    }

    /// Takes out the element at `index` and puts the last one in its place.
    ///
    /// # Panics
    /// If there is no such element; in a forked child.
    #[track_caller]
    pub fn swap_remove(&mut self, index: usize) -> T {
        assert!(index < self.len, "index {index} is not below the length {}", self.len);
        expect(self.place.check());
        self.len -= 1;
        // SAFETY: the element was initialised and is read once; the last one moves over it, from
        // place to place within the vector, unless it is the last itself; the last one's place, of
        // which there is now a copy, is wiped.
        unsafe {
            let at = self.start().add(index);
            let value = at.read();
            core::ptr::copy(self.start().add(self.len), at, 1);
            self.wipe(self.len, self.len + 1);
            value
        }
    }

    /// Drops the elements from `len` on and wipes their places. Does nothing if there are no more
    /// than that, nor in a forked child.
    pub fn truncate(&mut self, len: usize) {
        if len >= self.len || self.place.check().is_err() {
            return;
        }
        self.remove_from(len);
    }

    /// Drops all elements and wipes their places; the memory is kept. Does nothing in a forked
    /// child.
    pub fn clear(&mut self) {
        self.truncate(0);
    }

    /// The memory is there, and `len` is below the length.
    fn remove_from(&mut self, len: usize) {
        let to = core::mem::replace(&mut self.len, len);
        let wipe = WipeRemoved { from: len, to, vector: self };
        // SAFETY: these elements are initialised and no longer counted.
        unsafe {
            let first = wipe.vector.start().add(len);
            core::ptr::slice_from_raw_parts_mut(first, to - len).drop_in_place();
        }
    }

    /// Keeps the elements that `keep` says yes to, in their order; the others are dropped and what
    /// gets free is wiped.
    ///
    /// # Panics
    /// In a forked child; and if `keep` or a destructor does: the elements that were not looked at
    /// yet are then kept, as is the one at which `keep` has panicked.
    #[track_caller]
    pub fn retain(&mut self, mut keep: impl FnMut(&T) -> bool) {
        expect(self.place.check());
        // Where the guard's end is never reached, elements are lost and none is dropped twice.
        let all = core::mem::replace(&mut self.len, 0);
        let mut retain = Retain { vector: self, kept: 0, seen: 0, all };
        while retain.seen < all {
            let start = retain.vector.start();
            // SAFETY: this element is initialised and where it was: only those before have moved or
            // were dropped. From place to place within the vector, so that no copy is elsewhere; the
            // places differ, and the one at `kept` holds no element. What is dropped is counted as
            // seen before.
            unsafe {
                let at = start.add(retain.seen);
                if keep(&*at) {
                    if retain.kept != retain.seen {
                        core::ptr::copy_nonoverlapping(at, start.add(retain.kept), 1);
                    }
                    retain.kept += 1;
                    retain.seen += 1;
                } else {
                    retain.seen += 1;
                    at.drop_in_place();
                }
            }
        }
    }

    /// Moves the elements from `at` on to a new vector with the same policy; their places are
    /// wiped.
    ///
    /// # Errors
    /// If there is no memory; in a forked child. The vector is then as before.
    ///
    /// # Panics
    /// If `at` is greater than the length.
    #[track_caller]
    pub fn try_split_off(&mut self, at: usize) -> Result<SecretVec<T>, SecureError> {
        assert!(at <= self.len, "index {at} is beyond the length {}", self.len);
        self.place.check()?;
        let count = self.len - at;
        let mut other = SecretVec::try_with_capacity_and_policy(count, self.place.policy())?;
        // SAFETY: `other` has room for `count` elements, which leave this vector: they are no
        // longer counted here and their places are wiped.
        unsafe {
            core::ptr::copy_nonoverlapping(self.start().add(at), other.start(), count);
            other.len = count;
            self.len = at;
            self.wipe(at, at + count);
        }
        Ok(other)
    }
}

impl<T: Copy> SecretVec<T> {
    /// Adds copies of the elements of a slice.
    ///
    /// # Panics
    /// If there is no memory; in a forked child.
    #[track_caller]
    pub fn extend_from_slice(&mut self, values: &[T]) {
        expect(self.try_extend_from_slice(values));
    }

    /// Adds copies of the elements of a slice, straight from there.
    ///
    /// # Errors
    /// If there is no memory; in a forked child. The vector is then as before.
    pub fn try_extend_from_slice(&mut self, values: &[T]) -> Result<(), SecureError> {
        self.try_reserve(values.len())?;
        self.place.check()?;
        // SAFETY: there is room for that many more; the slice is not this vector's, which is
        // borrowed exclusively; and its elements are `Copy`.
        unsafe {
            let to = self.start().add(self.len);
            core::ptr::copy_nonoverlapping(values.as_ptr(), to, values.len());
        }
        self.len += values.len();
        Ok(())
    }

    /// A second vector with the same elements and policy, copied from one secret memory to the
    /// other.
    ///
    /// # Errors
    /// If there is no memory; in a forked child.
    pub fn try_clone(&self) -> Result<SecretVec<T>, SecureError> {
        let mut copy = SecretVec::try_with_capacity_and_policy(self.len, self.place.policy())?;
        copy.try_extend_from_slice(self.try_expose_secret()?)?;
        Ok(copy)
    }
}

impl<T: Zeroable> SecretVec<T> {
    /// Adds `count` elements of zero bytes and gives them to be filled in, where they stay.
    ///
    /// ```
    /// use casemate::secure::SecretVec;
    ///
    /// let mut message = SecretVec::<u8>::new();
    /// message.try_extend_zeroed(4)?.copy_from_slice(&7u32.to_le_bytes());
    /// assert!(message == [7, 0, 0, 0][..]);
    /// # Ok::<(), casemate::secure::SecureError>(())
    /// ```
    ///
    /// # Errors
    /// If there is no memory; in a forked child. The vector is then as before.
    pub fn try_extend_zeroed(&mut self, count: usize) -> Result<&mut [T], SecureError> {
        self.try_reserve(count)?;
        let from = self.len;
        self.place.check()?;
        // What follows the elements is zero, which is a value of a `Zeroable` type.
        self.len += count;
        Ok(self.try_expose_secret_mut()?.split_at_mut(from).1)
    }

    /// Makes the vector `len` elements long, by dropping some or adding elements of zero bytes.
    ///
    /// # Panics
    /// If there is no memory; in a forked child.
    #[track_caller]
    pub fn resize_zeroed(&mut self, len: usize) {
        match len.checked_sub(self.len) {
            Some(count) => {
                expect(self.try_extend_zeroed(count));
            }
            None => {
                expect(self.place.check());
                self.truncate(len);
            }
        }
    }
}

/// Panics if there is no memory.
impl<T> Extend<T> for SecretVec<T> {
    #[track_caller]
    fn extend<I: IntoIterator<Item = T>>(&mut self, values: I) {
        let values = values.into_iter();
        // A hint: to believe a large one could cost memory, and failing on it is wrong.
        let _ = self.try_reserve(values.size_hint().0.min(4096));
        for value in values {
            self.push(value);
        }
    }
}

/// Panics if there is no memory.
impl<T> FromIterator<T> for SecretVec<T> {
    #[track_caller]
    fn from_iter<I: IntoIterator<Item = T>>(values: I) -> SecretVec<T> {
        let mut made = SecretVec::new();
        made.extend(values);
        made
    }
}
