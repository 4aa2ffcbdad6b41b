//! Readers of all manners, and what they leave in the vector.

use crate::memory;
use casemate::secure::{ReadError, SecretVec};
use std::io::{self, ErrorKind, Read, Write};
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Gives what it is told to, one answer a call; then the end.
struct Script<'a>(&'a mut dyn FnMut(&mut [u8]) -> io::Result<usize>);

impl Read for Script<'_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        (self.0)(out)
    }
}

#[test]
fn everything_arrives_whatever_the_portions() {
    let all: Vec<u8> = (0..200_000u32).map(|i| (i * 7 + i / 251) as u8).collect();
    for portion in [1, 7, 32, 33, 4096, 1 << 20] {
        let all = if portion < 4096 { &all[..3001] } else { &all[..] };
        let mut rest = all;
        let mut give = |out: &mut [u8]| {
            let count = rest.len().min(portion).min(out.len());
            out[..count].copy_from_slice(&rest[..count]);
            rest = &rest[count..];
            Ok(count)
        };
        let mut vector = SecretVec::from(&b"before"[..]);
        assert_eq!(vector.try_read_from(Script(&mut give)).unwrap(), all.len());
        assert_eq!(&vector.expose_secret()[..6], b"before");
        assert!(vector.expose_secret()[6..] == *all, "{portion}");
    }
}

#[test]
fn a_vector_of_the_right_size_does_not_grow() {
    let mut vector = SecretVec::with_capacity(5000);
    assert_eq!(vector.try_read_from(&[1u8; 5000][..]).unwrap(), 5000);
    assert_eq!(vector.capacity(), 5000);
    assert_eq!(vector.try_read_from(&b""[..]).unwrap(), 0);
    assert_eq!(vector.capacity(), 5000);
    assert_eq!(vector.try_read_from(&[2u8; 3][..]).unwrap(), 3);
    assert_eq!((vector.len(), vector.expose_secret()[5002]), (5003, 2));
}

#[test]
fn what_came_before_a_failure_stays_and_the_rest_is_wiped() {
    let mut call = 0;
    let mut at = 0;
    let mut fail = |out: &mut [u8]| {
        call += 1;
        match call {
            1 => Err(ErrorKind::Interrupted.into()),
            2 => {
                out[..3].copy_from_slice(b"abc");
                Ok(3)
            }
            _ => {
                // Writes, and fails all the same.
                out.fill(b'!');
                at = out.as_ptr().expose_provenance();
                Err(ErrorKind::ConnectionReset.into())
            }
        }
    };
    let mut vector = SecretVec::with_capacity(100);
    let failed = vector.try_read_from(Script(&mut fail));
    assert!(
        matches!(failed, Err(ReadError::Io(error)) if error.kind() == ErrorKind::ConnectionReset)
    );
    assert_eq!(vector.expose_secret(), b"abc");
    assert_eq!(memory::at(at, 97), memory::Seen::Bytes(vec![0; 97]));
}

#[test]
fn a_reader_that_boasts_is_an_error() {
    let mut boast = |out: &mut [u8]| Ok(out.len() + 1);
    let mut vector = SecretVec::new();
    let failed = vector.try_read_from(Script(&mut boast));
    assert!(matches!(failed, Err(ReadError::Io(error)) if error.kind() == ErrorKind::InvalidData));
    assert!(vector.is_empty());
}

#[test]
fn a_reader_that_panics_leaves_a_whole_vector() {
    let mut panics = |out: &mut [u8]| {
        out.fill(b'!');
        std::panic::resume_unwind(Box::new(()))
    };
    let mut vector = SecretVec::from(&b"kept"[..]);
    let unwound = catch_unwind(AssertUnwindSafe(|| {
        let _ = vector.try_read_from(Script(&mut panics));
    }));
    assert!(unwound.is_err());
    assert_eq!(vector.expose_secret(), b"kept");
    assert_eq!(vector.try_extend_zeroed(20).unwrap(), [0; 20]);
}

#[test]
fn an_exact_count_or_an_error() {
    let mut vector = SecretVec::new();
    let mut source: &[u8] = b"0123456789";
    vector.try_read_exact_from(&mut source, 4).unwrap();
    assert_eq!((vector.expose_secret(), source), (&b"0123"[..], &b"456789"[..]));
    let failed = vector.try_read_exact_from(&mut source, 7);
    assert!(
        matches!(failed, Err(ReadError::Io(error)) if error.kind() == ErrorKind::UnexpectedEof)
    );
    assert_eq!(vector.expose_secret(), b"0123456789");
}

#[test]
fn writing_adds() {
    let mut vector = SecretVec::new();
    write!(vector, "{}-{}", 1, 2).unwrap();
    vector.flush().unwrap();
    assert_eq!(vector.expose_secret(), b"1-2");
}
