//! Layer: faces. Secrets from serialised data, and to it only where somebody says so.

extern crate alloc;

use super::secret_box::SecretBox;
use super::secret_string::SecretString;
use super::secret_vec::SecretVec;
use crate::secure::SecureError;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;
use core::marker::PhantomData;
use core::ops::{Deref, DerefMut};
use serde::de::{Deserialize, Deserializer, Error, SeqAccess, Visitor};
use serde::ser::{Serialize, SerializeSeq, Serializer};

/// A secret that may be serialised. With the feature `serde`.
///
/// The secret types implement `Deserialize` but not `Serialize`: a secret in a configuration is
/// read often and should be written back by nobody. Where it must be, wrap it in this, and the
/// type of the field says so; or name [`serialize_secret`] in an attribute.
///
/// ```
/// use casemate::secure::{SecretString, SerializableSecret};
/// use serde::{Deserialize, Serialize};
///
/// #[derive(Serialize, Deserialize)]
/// struct Stored {
///     user: String,
///     token: SerializableSecret<SecretString>,
/// }
///
/// let stored: Stored = serde_json::from_str(r#"{"user":"u","token":"t0k3n"}"#)?;
/// assert_eq!(stored.token.expose_secret(), "t0k3n");
/// assert_eq!(serde_json::to_string(&stored)?, r#"{"user":"u","token":"t0k3n"}"#);
/// # Ok::<(), serde_json::Error>(())
/// ```
///
/// ```compile_fail,E0277
/// let token = casemate::secure::SecretString::from("t0k3n");
/// serde_json::to_string(&token).unwrap(); // not without being asked
/// ```
#[derive(Debug, Default, PartialEq, Eq)]
pub struct SerializableSecret<S>(pub S);

impl<S> From<S> for SerializableSecret<S> {
    fn from(secret: S) -> SerializableSecret<S> {
        SerializableSecret(secret)
    }
}

impl<S> Deref for SerializableSecret<S> {
    type Target = S;
    fn deref(&self) -> &S {
        &self.0
    }
}

impl<S> DerefMut for SerializableSecret<S> {
    fn deref_mut(&mut self) -> &mut S {
        &mut self.0
    }
}

impl<S: Serializable> Serialize for SerializableSecret<S> {
    fn serialize<W: Serializer>(&self, serializer: W) -> Result<W::Ok, W::Error> {
        self.0.write(serializer)
    }
}

impl<'de, S: Deserialize<'de>> Deserialize<'de> for SerializableSecret<S> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        S::deserialize(deserializer).map(SerializableSecret)
    }
}

/// Serialises one secret field: `#[serde(serialize_with = "casemate::secure::serialize_secret")]`.
///
/// # Errors
/// The serializer's, and that the secret is a parent process's.
pub fn serialize_secret<S: Serializable, W: Serializer>(
    secret: &S,
    serializer: W,
) -> Result<W::Ok, W::Error> {
    secret.write(serializer)
}

mod sealed {
    pub trait Sealed {}
    impl<T: ?Sized> Sealed for super::SecretBox<T> {}
    impl<T> Sealed for super::SecretVec<T> {}
    impl Sealed for super::SecretString {}
}

/// Secrets whose value serde can write: boxes, vectors and strings of what it can.
pub trait Serializable: sealed::Sealed {
    #[doc(hidden)]
    fn write<W: Serializer>(&self, serializer: W) -> Result<W::Ok, W::Error>;
}

impl<T: ?Sized + Serialize> Serializable for SecretBox<T> {
    fn write<W: Serializer>(&self, serializer: W) -> Result<W::Ok, W::Error> {
        self.try_expose_secret().map_err(serde::ser::Error::custom)?.serialize(serializer)
    }
}

impl<T: Serialize> Serializable for SecretVec<T> {
    fn write<W: Serializer>(&self, serializer: W) -> Result<W::Ok, W::Error> {
        let values = self.try_expose_secret().map_err(serde::ser::Error::custom)?;
        let mut sequence = serializer.serialize_seq(Some(values.len()))?;
        for value in values {
            sequence.serialize_element(value)?;
        }
        sequence.end()
    }
}

impl Serializable for SecretString {
    fn write<W: Serializer>(&self, serializer: W) -> Result<W::Ok, W::Error> {
        serializer.serialize_str(self.try_expose_secret().map_err(serde::ser::Error::custom)?)
    }
}

/// Why a secret could not be read: that there is no memory, or that it cannot be read. The format's
/// own error is not passed on: those for a value of the wrong kind quote it, and errors go to logs.
fn unread<E: Error>(expected: &str, refused: Option<SecureError>) -> E {
    match refused {
        Some(error) => E::custom(error),
        None => E::custom(format_args!(
            "a secret cannot be read (it is not shown), expected {expected}"
        )),
    }
}

/// The value is made where `T`'s own implementation makes it, moved in, and wiped there. An error
/// does not tell what was found instead.
impl<'de, T: Deserialize<'de>> Deserialize<'de> for SecretBox<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = T::deserialize(deserializer);
        let value = value.map_err(|_| unread(core::any::type_name::<T>(), None))?;
        SecretBox::try_new(value).map_err(Error::custom)
    }
}

/// Each element goes straight into secret memory. An error does not tell what was found instead.
impl<'de, T: Deserialize<'de>> Deserialize<'de> for SecretVec<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut refused = None;
        let elements = Elements { refused: &mut refused, of: PhantomData };
        let made = deserializer.deserialize_seq(elements);
        made.map_err(|_| unread("a sequence of its elements", refused))
    }
}

/// As [`SecretVec`].
impl<'de, T: Deserialize<'de>> Deserialize<'de> for SecretBox<[T]> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        SecretVec::deserialize(deserializer).map(SecretVec::into_boxed_slice)
    }
}

/// Copied from what the format has read; a `String` that it hands over is wiped. An error does not
/// tell what was found instead.
impl<'de> Deserialize<'de> for SecretString {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut refused = None;
        let made = deserializer.deserialize_str(Text { refused: &mut refused });
        made.map_err(|_| unread("a string", refused))
    }
}

/// As [`SecretString`].
impl<'de> Deserialize<'de> for SecretBox<str> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        SecretString::deserialize(deserializer).map(SecretString::into_boxed_str)
    }
}

struct Elements<'a, T> {
    /// Why secret memory was not to be had.
    refused: &'a mut Option<SecureError>,
    of: PhantomData<T>,
}

impl<'de, T: Deserialize<'de>> Visitor<'de> for Elements<'_, T> {
    type Value = SecretVec<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a sequence")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut sequence: A) -> Result<SecretVec<T>, A::Error> {
        let mut values = SecretVec::new();
        while let Some(value) = sequence.next_element()? {
            values.try_push(value).map_err(|error| keep(self.refused, error))?;
        }
        Ok(values)
    }
}

struct Text<'a> {
    /// Why secret memory was not to be had.
    refused: &'a mut Option<SecureError>,
}

impl Visitor<'_> for Text<'_> {
    type Value = SecretString;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<SecretString, E> {
        text.parse().map_err(|error| keep(self.refused, error))
    }

    fn visit_string<E: Error>(self, text: String) -> Result<SecretString, E> {
        SecretString::try_from_string(text).map_err(|error| keep(self.refused, error))
    }

    fn visit_bytes<E: Error>(self, bytes: &[u8]) -> Result<SecretString, E> {
        self.visit_str(core::str::from_utf8(bytes).map_err(E::custom)?)
    }

    fn visit_byte_buf<E: Error>(self, bytes: Vec<u8>) -> Result<SecretString, E> {
        let bytes = SecretVec::try_from_vec(bytes).map_err(|error| keep(self.refused, error))?;
        SecretString::from_utf8(bytes).map_err(E::custom)
    }
}

/// Notes the error for [`unread`].
fn keep<E: Error>(refused: &mut Option<SecureError>, error: SecureError) -> E {
    *refused = Some(error);
    E::custom(error)
}
