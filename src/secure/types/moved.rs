//! Layer: faces. A value on its way into secret memory, whose old place is wiped.
#![expect(unsafe_code, reason = "moves a value out and wipes where it was")]

use crate::wipe::wipe_long;
use core::mem::MaybeUninit;
use core::ptr::NonNull;

/// A value that was passed to us. Its bytes are wiped when this is dropped, wherever the value has
/// gone; if it has gone nowhere, it is dropped first.
pub(super) struct Moved<T> {
    value: MaybeUninit<T>,
    here: bool,
}

impl<T> Moved<T> {
    #[inline]
    pub(super) fn new(value: T) -> Moved<T> {
        Moved { value: MaybeUninit::new(value), here: true }
    }

    /// Moves the value to `to`, which then is initialised.
    ///
    /// # Safety
    /// `to` is writable, aligned for `T`, and holds no value that must be dropped.
    pub(super) unsafe fn into(mut self, to: NonNull<T>) {
        // SAFETY: both are valid for a `T` and different memory; the value is here, since this
        // takes `self`, and is not used or dropped here again.
        unsafe { core::ptr::copy_nonoverlapping(self.value.as_ptr(), to.as_ptr(), 1) };
        self.here = false;
    }
}

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
