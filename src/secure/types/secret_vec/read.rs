//! Layer: faces. Filling a vector of bytes from a reader, without a buffer in between.

extern crate std;

use super::SecretVec;
use crate::secure::SecureError;
use crate::secure::types::{ReadError, SecretBox};
use std::io::{self, ErrorKind, Read, Write};

/// The most that one read is given, in bytes. What it leaves is wiped each time, so that a reader
/// which gives single bytes does not cost much.
const CHUNK: usize = 32 << 10;

impl SecretVec<u8> {
    /// Reads until the end of the input, straight into secret memory; how many bytes came.
    ///
    /// Give a file or a socket itself, not a `BufReader` or the standard input of `std`: those keep
    /// what they read in ordinary memory. [`Read::take`] sets a bound, and so it should where
    /// the other end is not trusted.
    ///
    /// ```
    /// use casemate::secure::SecretVec;
    /// use std::io::Read;
    ///
    /// let file: &[u8] = b"-----BEGIN PRIVATE KEY-----";
    /// let mut key = SecretVec::new();
    /// assert_eq!(key.try_read_from(file.take(16 << 10))?, 27);
    /// # Ok::<(), casemate::secure::ReadError>(())
    /// ```
    ///
    /// # Errors
    /// Those of the reader, except `Interrupted`, after which it is asked again; that it claims
    /// to have read more than it was asked for; that there is no memory. What came before stays in
    /// the vector; but where there is no memory for more, the byte by which that was found is lost
    /// to the vector and to the reader.
    pub fn try_read_from(&mut self, mut reader: impl Read) -> Result<usize, ReadError> {
        let before = self.len();
        // A full vector is not grown only to find out that nothing follows.
        if self.len() == self.capacity() && !self.is_empty() && !self.probe(&mut reader)? {
            return Ok(0);
        }
        loop {
            if self.len() == self.capacity() {
                self.make_room()?;
            }
            let room = self.capacity() - self.len();
            if self.read_some(&mut reader, room)? == 0 {
                return Ok(self.len() - before);
            }
            if self.len() == self.capacity() && !self.probe(&mut reader)? {
                return Ok(self.len() - before);
            }
        }
    }

    /// Reads `count` bytes, straight into secret memory.
    ///
    /// # Errors
    /// As [`try_read_from`](SecretVec::try_read_from), and that the input ends before. What came
    /// before stays in the vector.
    pub fn try_read_exact_from(
        &mut self,
        mut reader: impl Read,
        count: usize,
    ) -> Result<(), ReadError> {
        self.try_reserve_exact(count)?;
        let mut missing = count;
        while missing > 0 {
            match self.read_some(&mut reader, missing)? {
                0 => return Err(io::Error::from(ErrorKind::UnexpectedEof).into()),
                came => missing -= came,
            }
        }
        Ok(())
    }

    /// Reads a byte into a place of its own and adds it; whether one came. No more than a byte:
    /// without memory to add it to, what came is lost.
    fn probe(&mut self, reader: &mut impl Read) -> Result<bool, ReadError> {
        let mut probe = SecretBox::<[u8; 1]>::try_zeroed_with(self.place.policy())?;
        let probe = probe.try_expose_secret_mut()?;
        let came = read(reader, probe)?;
        if came > 0 {
            self.make_room()?;
            self.try_extend_from_slice(probe)?;
        }
        Ok(came > 0)
    }

    /// Makes room in a full vector: for as much again, or near a limit for what there is memory
    /// for.
    fn make_room(&mut self) -> Result<(), SecureError> {
        let mut made = self.try_reserve(1);
        let mut more = self.capacity();
        while made.is_err() && more > 1 {
            more /= 2;
            made = self.try_reserve_exact(more);
        }
        made
    }

    /// One read of up to `room` bytes, and at most [`CHUNK`], behind the elements; how many came.
    fn read_some(&mut self, reader: &mut impl Read, room: usize) -> Result<usize, ReadError> {
        /// Takes back what was not read, also if the reader fails or panics: a reader may write
        /// into all of the room that it is given.
        struct Shorten<'a> {
            vector: &'a mut SecretVec<u8>,
            to: usize,
        }

        impl Drop for Shorten<'_> {
            fn drop(&mut self) {
                self.vector.truncate(self.to);
            }
        }

        let from = self.len();
        self.try_extend_zeroed(room.min(CHUNK))?;
        let mut shorten = Shorten { to: from, vector: self };
        let space = shorten.vector.try_expose_secret_mut()?.split_at_mut(from).1;
        let came = read(reader, space)?;
        shorten.to = from + came;
        Ok(came)
    }
}

/// One read that is not interrupted; never more than `space` holds.
fn read(reader: &mut impl Read, space: &mut [u8]) -> io::Result<usize> {
    loop {
        match reader.read(space) {
            Ok(came) if came <= space.len() => return Ok(came),
            Ok(_) => {
                return Err(io::Error::new(
                    ErrorKind::InvalidData,
                    "the reader claims to have read more than it was asked for",
                ));
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

/// Adds the bytes at the end: what encodes or encrypts to a writer can do so in secret memory.
impl Write for SecretVec<u8> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.write_all(bytes)?;
        Ok(bytes.len())
    }

    fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.try_extend_from_slice(bytes)
            .map_err(|error| io::Error::new(ErrorKind::OutOfMemory, error))
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
