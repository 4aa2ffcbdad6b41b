//! Layer: faces. What can go wrong when a secret is read from somewhere.

extern crate std;

use crate::secure::SecureError;
use core::fmt;
use core::str::Utf8Error;
use std::io;

/// Why a secret could not be read.
#[derive(Debug)]
#[non_exhaustive]
pub enum ReadError {
    /// The reader or the terminal failed.
    Io(io::Error),
    /// Secret memory could not be had.
    Secure(SecureError),
    /// The bytes are not UTF-8. They have been wiped.
    NotUtf8(Utf8Error),
    /// The input ended, or the user ended it, before anything came.
    Ended,
    /// The user pressed the interrupt key, and the process went on all the same.
    Interrupted,
    /// The line is longer than [`MAX_PASSWORD`](super::MAX_PASSWORD) bytes.
    TooLong,
    /// There is no terminal to ask at.
    NoTerminal,
    /// Another thread is asking at a terminal.
    Busy,
}

impl fmt::Display for ReadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ReadError::Io(error) => write!(f, "reading a secret: {error}"),
            ReadError::Secure(error) => write!(f, "secure memory: {error}"),
            ReadError::NotUtf8(error) => write!(f, "the secret is not UTF-8: {error}"),
            ReadError::Ended => f.write_str("the input ended before anything came"),
            ReadError::Interrupted => f.write_str("interrupted by the user"),
            ReadError::TooLong => {
                write!(f, "the line is longer than {} bytes", super::MAX_PASSWORD)
            }
            ReadError::NoTerminal => f.write_str("there is no terminal to ask at"),
            ReadError::Busy => f.write_str("another thread is asking at a terminal"),
        }
    }
}

impl core::error::Error for ReadError {
    fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        match self {
            ReadError::Io(error) => Some(error),
            ReadError::Secure(error) => Some(error),
            ReadError::NotUtf8(error) => Some(error),
            _ => None,
        }
    }
}

impl From<io::Error> for ReadError {
    fn from(error: io::Error) -> ReadError {
        ReadError::Io(error)
    }
}

impl From<SecureError> for ReadError {
    fn from(error: SecureError) -> ReadError {
        ReadError::Secure(error)
    }
}
