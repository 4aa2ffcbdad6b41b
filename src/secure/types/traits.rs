//! Layer: faces. What the secret types have in common with other values: equality, wiping on
//! request, defaults.

use super::equal::constant_time_eq;
use super::plain::PlainBytes;
use super::secret_box::SecretBox;
use super::secret_string::SecretString;
use super::secret_vec::SecretVec;
use zeroize::{Zeroize, ZeroizeOnDrop};

/// Whether two values have as many elements and equal bytes.
fn same<T: ?Sized + PlainBytes>(a: &T, b: &T) -> bool {
    a.plain_count() == b.plain_count() && constant_time_eq(a.plain_bytes(), b.plain_bytes())
}

/// In constant time, see [`constant_time_eq`]. Panics in a forked child.
impl<T: ?Sized + PlainBytes> PartialEq for SecretBox<T> {
    #[track_caller]
    fn eq(&self, other: &SecretBox<T>) -> bool {
        same(self.expose_secret(), other.expose_secret())
    }
}

impl<T: ?Sized + PlainBytes + Eq> Eq for SecretBox<T> {}

/// In constant time, see [`constant_time_eq`]. Panics in a forked child.
impl<T: ?Sized + PlainBytes> PartialEq<T> for SecretBox<T> {
    #[track_caller]
    fn eq(&self, other: &T) -> bool {
        same(self.expose_secret(), other)
    }
}

macro_rules! sequences {
    ($([$($generic:tt)*] $own:ty, $other:ty;)*) => {$(
        /// In constant time, see [`constant_time_eq`]. Panics in a forked child.
        impl<$($generic)*> PartialEq<$other> for $own {
            #[track_caller]
            fn eq(&self, other: &$other) -> bool {
                same(self.expose_secret(), Expose::expose(other))
            }
        }
    )*};
}

/// One name for the right-hand sides above.
trait Expose {
    type Exposed: ?Sized + PlainBytes;
    fn expose(&self) -> &Self::Exposed;
}

impl<T: super::Plain> Expose for SecretVec<T> {
    type Exposed = [T];
    #[track_caller]
    fn expose(&self) -> &[T] {
        self.expose_secret()
    }
}

impl<T: super::Plain> Expose for [T] {
    type Exposed = [T];
    fn expose(&self) -> &[T] {
        self
    }
}

impl Expose for SecretString {
    type Exposed = str;
    #[track_caller]
    fn expose(&self) -> &str {
        self.expose_secret()
    }
}

impl Expose for str {
    type Exposed = str;
    fn expose(&self) -> &str {
        self
    }
}

impl Expose for &str {
    type Exposed = str;
    fn expose(&self) -> &str {
        self
    }
}

sequences! {
    [T: super::Plain] SecretVec<T>, SecretVec<T>;
    [T: super::Plain] SecretVec<T>, [T];
    [] SecretString, SecretString;
    [] SecretString, str;
    [] SecretString, &str;
}

impl<T: super::Plain + Eq> Eq for SecretVec<T> {}
impl Eq for SecretString {}

/// Makes the value what its own `zeroize` makes it. Does nothing in a forked child.
impl<T: ?Sized + Zeroize> Zeroize for SecretBox<T> {
    fn zeroize(&mut self) {
        if let Ok(value) = self.try_expose_secret_mut() {
            value.zeroize();
        }
    }
}

/// Drops the elements and wipes their memory, which is kept. Does nothing in a forked child.
impl<T> Zeroize for SecretVec<T> {
    fn zeroize(&mut self) {
        self.clear();
    }
}

/// Wipes the text; the memory is kept. Does nothing in a forked child.
impl Zeroize for SecretString {
    fn zeroize(&mut self) {
        self.clear();
    }
}

impl<T: ?Sized> ZeroizeOnDrop for SecretBox<T> {}
impl<T> ZeroizeOnDrop for SecretVec<T> {}
impl ZeroizeOnDrop for SecretString {}

impl<T: Default> Default for SecretBox<T> {
    #[track_caller]
    fn default() -> SecretBox<T> {
        SecretBox::new(T::default())
    }
}

impl<T> Default for SecretBox<[T]> {
    fn default() -> SecretBox<[T]> {
        SecretVec::new().into_boxed_slice()
    }
}

impl Default for SecretBox<str> {
    fn default() -> SecretBox<str> {
        SecretString::new().into_boxed_str()
    }
}

#[cfg(feature = "subtle")]
mod with_subtle {
    use super::{SecretBox, SecretString, SecretVec};
    use subtle::{Choice, ConstantTimeEq};

    /// Panics in a forked child.
    impl<T: ?Sized + ConstantTimeEq> ConstantTimeEq for SecretBox<T> {
        #[track_caller]
        fn ct_eq(&self, other: &SecretBox<T>) -> Choice {
            self.expose_secret().ct_eq(other.expose_secret())
        }
    }

    /// Panics in a forked child.
    impl<T: ConstantTimeEq> ConstantTimeEq for SecretVec<T> {
        #[track_caller]
        fn ct_eq(&self, other: &SecretVec<T>) -> Choice {
            self.expose_secret().ct_eq(other.expose_secret())
        }
    }

    /// Panics in a forked child.
    impl ConstantTimeEq for SecretString {
        #[track_caller]
        fn ct_eq(&self, other: &SecretString) -> Choice {
            self.expose_secret().as_bytes().ct_eq(other.expose_secret().as_bytes())
        }
    }
}
