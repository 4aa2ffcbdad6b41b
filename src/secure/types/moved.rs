//! Layer: faces. A value on its way into secret memory, whose old place is wiped.
#![expect(unsafe_code, reason = "moves a value out and wipes where it was")]

use crate::wipe::wipe_long;
use core::mem::MaybeUninit;
use core::ptr::NonNull;

/// A value that was passed to us. Its bytes are wiped when this is dropped, wherever the value has
/// gone; if it has gone nowhere, it is dropped first.
pub(super) struct Moved<T> {
    pub(super) value: MaybeUninit<T>,
    here: bool,
}

impl<T> Moved<T> {
    /// Room for a value.
    #[inline]
    pub(super) const fn empty() -> Moved<T> {
        Moved { value: MaybeUninit::uninit(), here: false }
    }

    /// Takes a value from where it was passed. See [`take_over!`].
    ///
    /// # Safety
    /// The slot holds a value that is forgotten next, and this holds none.
    #[inline]
    pub(super) unsafe fn take(&mut self, slot: *const T) {
        // SAFETY: the slot is valid for a `T`, by the caller's word; this is other memory.
        unsafe { core::ptr::copy_nonoverlapping(slot, self.value.as_mut_ptr(), 1) };
        self.here = true;
    }

    /// Moves the value to `to`, which then is initialised.
    ///
    /// # Safety
    /// A value is here. `to` is writable, aligned for `T`, and holds no value that must be dropped.
    pub(super) unsafe fn put(&mut self, to: NonNull<T>) {
        // SAFETY: both are valid for a `T` and different memory; the value is here and is not used
        // or dropped here again.
        unsafe { core::ptr::copy_nonoverlapping(self.value.as_ptr(), to.as_ptr(), 1) };
        self.here = false;
    }
}

/// Moves the argument `$value`, declared `mut`, to a new variable `$moved`, and wipes the place
/// where it was passed: for a value larger than two words that is memory of the caller's, of which
/// the caller has no name. Neither is moved from here on: a move would be a copy that nobody wipes.
macro_rules! take_over {
    ($value:ident as $moved:ident) => {
        let mut $moved = $crate::secure::types::moved::Moved::empty();
        let slot = &raw mut $value;
        // SAFETY: the argument is this function's own and is forgotten at once, without a panic in
        // between.
        unsafe { $moved.take(slot) };
        core::mem::forget($value);
        // SAFETY: the place of the argument is there until the function returns, and holds no value
        // any more.
        unsafe { $crate::wipe::wipe_long(slot.cast(), size_of_val(&$moved.value)) };
    };
}
pub(super) use take_over;

impl<T> Drop for Moved<T> {
    fn drop(&mut self) {
        /// Wipes even if the value's own destructor panics.
        struct Wipe<'a, T>(&'a mut MaybeUninit<T>);

        impl<T> Drop for Wipe<'_, T> {
            fn drop(&mut self) {
                // SAFETY: the bytes are borrowed exclusively, and are no value any more.
                unsafe { wipe_long(self.0.as_mut_ptr().cast(), size_of::<T>()) }
            }
        }

        let here = self.here;
        let wipe = Wipe(&mut self.value);
        if here {
            // SAFETY: the value has not been moved out, and this is the only time it is dropped.
            unsafe { wipe.0.assume_init_drop() }
        }
    }
}

/// Wipes a vector's whole capacity and gives its memory back, without dropping elements.
///
/// # Safety
/// The elements have been moved elsewhere, or dropped.
pub(super) unsafe fn discard<T>(mut source: alloc::vec::Vec<T>) {
    // SAFETY: 0 is within the capacity, and no element is left behind, by the caller's word.
    unsafe { source.set_len(0) };
    wipe_spare(&mut source);
}

/// Wipes what a vector does not use of its capacity.
pub(super) fn wipe_spare<T>(source: &mut alloc::vec::Vec<T>) {
    let spare = source.spare_capacity_mut();
    // SAFETY: the bytes are borrowed exclusively and hold no value.
    unsafe { wipe_long(spare.as_mut_ptr().cast(), size_of_val(spare)) }
}

extern crate alloc;
