//! Layer: faces. Text in secret memory.
#![expect(unsafe_code, reason = "bytes that are known to be UTF-8")]

extern crate alloc;
extern crate std;

use super::read_error::ReadError;
use super::secret_box::SecretBox;
use super::secret_vec::SecretVec;
use crate::secure::{Policy, Protections, SecureError};
use alloc::string::String;
use core::fmt;
use core::ptr::NonNull;
use core::str::{FromStr, Utf8Error};
use std::io::Read;

/// A password, a token, a connection string: UTF-8 text in secret memory.
///
/// A [`SecretVec`] of bytes that are known to be UTF-8; everything said there holds here.
///
/// ```
/// use casemate::secure::SecretString;
/// use std::fmt::Write;
///
/// let mut url = SecretString::from(String::from("postgres://app:"));
/// write!(url, "{}@{}/db", "secret", "host")?;
/// assert!(url == "postgres://app:secret@host/db"); // in constant time
/// assert_eq!(format!("{url:?}"), "SecretString(..)");
/// # Ok::<(), std::fmt::Error>(())
/// ```
///
/// A password that is asked for never leaves secret memory: see
/// [`read_password`](SecretString::read_password).
///
/// ```compile_fail,E0277
/// println!("{}", casemate::secure::SecretString::from("no Display"));
/// ```
/// ```compile_fail,E0599
/// casemate::secure::SecretString::from("no Display, so no").to_string();
/// ```
/// ```compile_fail,E0599
/// casemate::secure::SecretString::from("no Clone").clone();
/// ```
pub struct SecretString {
    /// Always UTF-8.
    bytes: SecretVec<u8>,
}

/// Bytes that were to become a string and are not UTF-8. They are still in secret memory.
pub struct NotUtf8 {
    bytes: SecretVec<u8>,
    error: Utf8Error,
}

impl NotUtf8 {
    /// The bytes, as they were.
    #[must_use]
    pub fn into_bytes(self) -> SecretVec<u8> {
        self.bytes
    }

    /// Where the bytes stop being UTF-8.
    #[must_use]
    pub fn utf8_error(&self) -> Utf8Error {
        self.error
    }
}

impl fmt::Debug for NotUtf8 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "NotUtf8({:?})", self.error)
    }
}

impl fmt::Display for NotUtf8 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the secret is not UTF-8: {}", self.error)
    }
}

impl core::error::Error for NotUtf8 {}

impl From<NotUtf8> for ReadError {
    fn from(error: NotUtf8) -> ReadError {
        ReadError::NotUtf8(error.error)
    }
}

impl SecretString {
    /// An empty string without memory.
    #[must_use]
    pub fn new() -> SecretString {
        SecretString { bytes: SecretVec::new() }
    }

    /// An empty string without memory; what it takes later has the protections of `policy`.
    #[must_use]
    pub fn new_with(policy: &Policy) -> SecretString {
        SecretString { bytes: SecretVec::new_with(policy) }
    }

    /// An empty string with room for `capacity` bytes.
    ///
    /// # Panics
    /// If there is no memory.
    #[track_caller]
    #[must_use]
    pub fn with_capacity(capacity: usize) -> SecretString {
        SecretString { bytes: SecretVec::with_capacity(capacity) }
    }

    /// Takes bytes as text.
    ///
    /// # Errors
    /// If they are not UTF-8: the error has them. Panics in a forked child.
    pub fn from_utf8(bytes: SecretVec<u8>) -> Result<SecretString, NotUtf8> {
        match core::str::from_utf8(bytes.expose_secret()) {
            Ok(_) => Ok(SecretString { bytes }),
            Err(error) => Err(NotUtf8 { bytes, error }),
        }
    }

    /// Moves text into secret memory, and wipes all of the memory that it came from, spare
    /// capacity included.
    ///
    /// # Errors
    /// If there is no memory; the text is then wiped all the same.
    pub fn try_from_string(source: String) -> Result<SecretString, SecureError> {
        Ok(SecretString { bytes: SecretVec::try_from_vec(source.into_bytes())? })
    }

    /// [`try_from_string`](SecretString::try_from_string) with the protections of `policy`.
    ///
    /// # Errors
    /// If there is no memory, or not that protection; the text is then wiped all the same.
    pub fn try_from_string_with(
        source: String,
        policy: &Policy,
    ) -> Result<SecretString, SecureError> {
        Ok(SecretString { bytes: SecretVec::try_from_vec_with(source.into_bytes(), policy)? })
    }

    /// Moves text into secret memory and leaves NULs where it was.
    ///
    /// # Errors
    /// If there is no memory; the source is then wiped all the same.
    pub fn try_take_from(source: &mut str) -> Result<SecretString, SecureError> {
        // SAFETY: what is left are zero bytes, which are UTF-8.
        let source = unsafe { source.as_bytes_mut() };
        Ok(SecretString { bytes: SecretVec::try_take_from(source)? })
    }

    /// Reads until the end of the input, straight into secret memory, and adds it. See
    /// [`SecretVec::try_read_from`].
    ///
    /// # Errors
    /// Those of reading, and that what came is not UTF-8; the string is then as before and what
    /// came is wiped.
    pub fn try_read_from(&mut self, reader: impl Read) -> Result<usize, ReadError> {
        /// Takes back what came unless it is text, also if the reader panics.
        struct Shorten<'a> {
            bytes: &'a mut SecretVec<u8>,
            to: usize,
        }

        impl Drop for Shorten<'_> {
            fn drop(&mut self) {
                self.bytes.truncate(self.to);
            }
        }

        let from = self.bytes.len();
        let mut read = Shorten { bytes: &mut self.bytes, to: from };
        let came = read.bytes.try_read_from(reader)?;
        let text = read.bytes.try_expose_secret()?.split_at(from).1;
        core::str::from_utf8(text).map_err(ReadError::NotUtf8)?;
        read.to = from + came;
        Ok(came)
    }

    /// The text, to be read.
    ///
    /// # Panics
    /// In a forked child, where it is not.
    #[inline]
    #[track_caller]
    pub fn expose_secret(&self) -> &str {
        super::place::expect(self.try_expose_secret())
    }

    /// The text, to be read.
    ///
    /// # Errors
    /// In a forked child, where it is not.
    #[inline]
    pub fn try_expose_secret(&self) -> Result<&str, SecureError> {
        let bytes = self.bytes.try_expose_secret()?;
        // SAFETY: the bytes are always UTF-8.
        Ok(unsafe { core::str::from_utf8_unchecked(bytes) })
    }

    /// The text, to be changed in place.
    ///
    /// # Panics
    /// In a forked child, where it is not.
    #[inline]
    #[track_caller]
    pub fn expose_secret_mut(&mut self) -> &mut str {
        // SAFETY: the bytes are always UTF-8, and remain so through a `str`.
        unsafe { core::str::from_utf8_unchecked_mut(self.bytes.expose_secret_mut()) }
    }

    /// Length in bytes.
    #[inline]
    #[must_use]
    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Whether there is no text.
    #[inline]
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// How many bytes there is room for.
    #[inline]
    #[must_use]
    pub fn capacity(&self) -> usize {
        self.bytes.capacity()
    }

    /// What protects the text; `None` for a string without memory and in a forked child.
    #[must_use]
    pub fn protections(&self) -> Option<Protections> {
        self.bytes.protections()
    }

    /// Adds a character.
    ///
    /// # Panics
    /// If there is no memory; in a forked child.
    #[track_caller]
    pub fn push(&mut self, character: char) {
        let len = character.len_utf8();
        let place = super::place::expect(self.bytes.try_extend_zeroed(len));
        character.encode_utf8(place);
    }

    /// Adds text.
    ///
    /// # Panics
    /// If there is no memory; in a forked child.
    #[track_caller]
    pub fn push_str(&mut self, text: &str) {
        super::place::expect(self.try_push_str(text));
    }

    /// Adds text.
    ///
    /// # Errors
    /// If there is no memory; in a forked child. The string is then as before.
    pub fn try_push_str(&mut self, text: &str) -> Result<(), SecureError> {
        self.bytes.try_extend_from_slice(text.as_bytes())
    }

    /// Takes the last character out; its place is wiped.
    ///
    /// # Panics
    /// In a forked child, where the text is not.
    #[track_caller]
    pub fn pop(&mut self) -> Option<char> {
        let last = self.expose_secret().chars().next_back()?;
        self.bytes.truncate(self.bytes.len() - last.len_utf8());
        Some(last)
    }

    /// Wipes the text from byte `len` on. Does nothing if there is no more than that, nor in a
    /// forked child.
    ///
    /// # Panics
    /// If `len` lies inside a character.
    #[track_caller]
    pub fn truncate(&mut self, len: usize) {
        if let Ok(text) = self.try_expose_secret()
            && len < text.len()
        {
            assert!(text.is_char_boundary(len), "byte {len} lies inside a character");
            self.bytes.truncate(len);
        }
    }

    /// Wipes all of the text; the memory is kept. Does nothing in a forked child.
    pub fn clear(&mut self) {
        self.bytes.clear();
    }

    /// A second string with the same text and policy, copied from one secret memory to the other.
    ///
    /// # Errors
    /// If there is no memory; in a forked child.
    pub fn try_clone(&self) -> Result<SecretString, SecureError> {
        Ok(SecretString { bytes: self.bytes.try_clone()? })
    }

    /// The same memory as bytes.
    #[must_use]
    pub fn into_bytes(self) -> SecretVec<u8> {
        self.bytes
    }

    /// The same memory as a box, which does not grow. Spare room stays.
    #[must_use]
    pub fn into_boxed_str(self) -> SecretBox<str> {
        let (value, place) = self.bytes.into_boxed_slice().into_parts();
        // SAFETY: a pointer that was not null is not.
        let value = unsafe { NonNull::new_unchecked(value.as_ptr() as *mut str) };
        // SAFETY: the same bytes, which are UTF-8.
        unsafe { SecretBox::from_parts(value, place) }
    }
}

impl From<SecretBox<str>> for SecretString {
    fn from(source: SecretBox<str>) -> SecretString {
        let (value, place) = source.into_parts();
        let len = value.as_ptr() as *mut [u8];
        // SAFETY: that many bytes of UTF-8 at the start of `place`, whose alignment is at least 1.
        SecretString { bytes: unsafe { SecretVec::from_parts(place, len.len()) } }
    }
}

/// Moves the text, and wipes the string's whole capacity.
///
/// Panics if there is no memory; the text is then wiped all the same.
impl From<String> for SecretString {
    #[track_caller]
    fn from(source: String) -> SecretString {
        super::place::expect(SecretString::try_from_string(source))
    }
}

/// Copies; the source cannot be wiped. Panics if there is no memory.
impl From<&str> for SecretString {
    #[track_caller]
    fn from(source: &str) -> SecretString {
        SecretString { bytes: SecretVec::from(source.as_bytes()) }
    }
}

/// Copies; the source cannot be wiped.
impl FromStr for SecretString {
    type Err = SecureError;
    fn from_str(source: &str) -> Result<SecretString, SecureError> {
        let mut made = SecretString::new();
        made.bytes.try_reserve_exact(source.len())?;
        made.try_push_str(source)?;
        Ok(made)
    }
}

/// Formats into secret memory. The value's own `Display` may make copies elsewhere.
impl fmt::Write for SecretString {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.try_push_str(text).map_err(|_| fmt::Error)
    }
}

impl Default for SecretString {
    fn default() -> SecretString {
        SecretString::new()
    }
}

impl fmt::Debug for SecretString {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretString(..)")
    }
}
