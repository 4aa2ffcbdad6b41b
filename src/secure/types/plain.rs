//! Layer: faces. Which types may be made of zeros or of random bytes, and be looked at as bytes.
//!
//! Secret memory comes zeroed from the kernel, so a value can be born in it without ever having
//! been anywhere else, if zeros are a value of its type. Not every type has that property: a
//! reference must not be null. And far fewer can be filled with random bytes: a `bool` that is
//! neither 0 nor 1 is undefined behaviour. So there are two traits.
#![expect(unsafe_code, reason = "promises about the bytes of types")]

use core::mem::{MaybeUninit, size_of_val};
use core::num::Wrapping;
use core::sync::atomic;

/// A type of which a run of zero bytes is a valid value.
///
/// Needed by the constructors that make a value in place: [`SecretBox::init_with`] and others.
///
/// # Safety
/// All bytes zero must be a valid value of the type, and no invariant of the type's own may be
/// broken by it. A struct has this property if every field has.
///
/// ```
/// use casemate::secure::{SecretBox, Zeroable};
///
/// struct Session { key: [u8; 32], counter: u64, open: bool }
/// // SAFETY: an array of bytes, an integer and a `bool`; all three may be zero.
/// unsafe impl Zeroable for Session {}
///
/// let session = SecretBox::<Session>::init_with(|session| session.counter = 7);
/// assert_eq!(session.expose_secret().counter, 7);
/// ```
///
/// ```compile_fail
/// use casemate::secure::SecretBox;
/// SecretBox::<&'static str>::init_with(|_| ()); // a reference is never zero
/// ```
///
/// [`SecretBox::init_with`]: super::SecretBox::init_with
pub unsafe trait Zeroable {}

/// A type that is nothing but its bytes: every bit pattern is a value, and there is no padding.
///
/// Such values can be [made of random bytes](super::SecretBox::random), compared in constant time
/// and encrypted (`Shielded`).
///
/// # Safety
/// Every bit pattern of the type's size must be a valid value; the type must have no padding
/// (its size is the sum of its fields' sizes), no interior mutability, and no pointer.
///
/// ```compile_fail
/// use casemate::secure::SecretBox;
/// SecretBox::<bool>::random(); // 254 of 256 bytes are no `bool`
/// ```
///
/// ```compile_fail
/// use casemate::secure::SecretBox;
/// SecretBox::<char>::random();
/// ```
pub unsafe trait Plain: Zeroable + Copy + Send + Sync + 'static {}

macro_rules! plain {
    ($($type:ty)*) => {$(
        // SAFETY: an integer or a float: zero is a value.
        unsafe impl Zeroable for $type {}
        // SAFETY: an integer or a float: every bit pattern is a value, there is no padding.
        unsafe impl Plain for $type {}
        // SAFETY: as for the type it wraps, whose layout it has.
        unsafe impl Zeroable for Wrapping<$type> {}
        // SAFETY: `repr(transparent)` over the above.
        unsafe impl Plain for Wrapping<$type> {}
    )*};
}

macro_rules! zeroable {
    ($($type:ty)*) => {$(
        // SAFETY: zero is a value of each of these: `false`, NUL, the integer 0.
        unsafe impl Zeroable for $type {}
    )*};
}

plain!(u8 u16 u32 u64 u128 usize i8 i16 i32 i64 i128 isize f32 f64);

zeroable! {
    bool char str
    atomic::AtomicBool atomic::AtomicU8 atomic::AtomicU16 atomic::AtomicU32 atomic::AtomicU64
    atomic::AtomicUsize atomic::AtomicI8 atomic::AtomicI16 atomic::AtomicI32 atomic::AtomicI64
    atomic::AtomicIsize
}

// SAFETY: there is one value of no bytes.
unsafe impl Zeroable for () {}
// SAFETY: every element is zero.
unsafe impl<T: Zeroable, const N: usize> Zeroable for [T; N] {}
// SAFETY: an array has no padding between elements that have none.
unsafe impl<T: Plain, const N: usize> Plain for [T; N] {}
// SAFETY: every element is zero.
unsafe impl<T: Zeroable> Zeroable for [T] {}
// SAFETY: whatever the bytes are, they make no claim to be a `T`.
unsafe impl<T> Zeroable for MaybeUninit<T> {}

macro_rules! tuples {
    ($(($($name:ident)*))*) => {$(
        // SAFETY: every field is zero; padding between them may be anything.
        unsafe impl<$($name: Zeroable),*> Zeroable for ($($name,)*) {}
    )*};
}

tuples!((A) (A B) (A B C) (A B C D) (A B C D E) (A B C D E F));

mod sealed {
    pub trait Sealed {}
    impl<T: super::Plain> Sealed for T {}
    impl<T: super::Plain> Sealed for [T] {}
    impl Sealed for str {}
}

/// Values that can be looked at as bytes: every [`Plain`] type, slices of one, and `str`.
///
/// Equality of the secret types is defined on these, in constant time.
///
/// None has interior mutability, so that what is lent shared may be read-only memory.
pub trait PlainBytes: sealed::Sealed {
    /// The value's bytes in the machine's order.
    fn plain_bytes(&self) -> &[u8];

    /// How many elements there are: where they have no bytes, those do not tell.
    #[doc(hidden)]
    fn plain_count(&self) -> usize;
}

impl<T: Plain> PlainBytes for T {
    #[inline]
    fn plain_bytes(&self) -> &[u8] {
        core::slice::from_ref(self).plain_bytes()
    }

    #[inline]
    fn plain_count(&self) -> usize {
        1
    }
}

impl<T: Plain> PlainBytes for [T] {
    #[inline]
    fn plain_bytes(&self) -> &[u8] {
        // SAFETY: a slice of plain values has no padding, so all of its bytes are initialised,
        // and none can change while it is borrowed.
        unsafe { core::slice::from_raw_parts(self.as_ptr().cast(), size_of_val(self)) }
    }

    #[inline]
    fn plain_count(&self) -> usize {
        self.len()
    }
}

impl PlainBytes for str {
    #[inline]
    fn plain_bytes(&self) -> &[u8] {
        self.as_bytes()
    }

    #[inline]
    fn plain_count(&self) -> usize {
        self.len()
    }
}

/// The bytes of plain values, to be written.
#[inline]
pub(super) fn bytes_mut<T: Plain>(values: &mut [T]) -> &mut [u8] {
    // SAFETY: every bit pattern is a value of `T`, so nothing that is written can break one; there
    // is no padding, and the borrow is exclusive.
    unsafe { core::slice::from_raw_parts_mut(values.as_mut_ptr().cast(), size_of_val(values)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_their_bytes() {
        assert_eq!(0x0403_0201u32.to_le().plain_bytes(), [1, 2, 3, 4]);
        assert_eq!([1u16.to_le(), 2u16.to_le()].plain_bytes(), [1, 0, 2, 0]);
        assert_eq!([1u8, 2][..].plain_bytes(), [1, 2]);
        assert_eq!("ab".plain_bytes(), *b"ab");
        let mut words = [0u32; 2];
        bytes_mut(&mut words).copy_from_slice(&[0, 0, 0, 0, 255, 255, 255, 255]);
        assert_eq!(words, [0, u32::MAX]);
    }
}
