//! Layer: pure. What can be found wrong, each with one constant message.
//!
//! A transition that finds misuse returns a [`Violation`]; only the faces turn one into death
//! (`fatal`). The words live here and nowhere else, so that tests and documents cannot drift.

use core::fmt;

/// What was found. Each kind has exactly one message, see [`Kind::message`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Kind {
    /// An object was freed a second time before its memory was handed out again.
    DoubleFree,
    /// Two threads freed the same object at the same time.
    RacingFree,
    /// The pointer belongs to no object of this heap: a stack or static address, another
    /// mapping, metadata, an unmapped address, or a slot that was never handed out.
    ForeignPointer,
    /// The pointer lies inside an object or its slot, not at its start.
    InteriorPointer,
    /// The pointer's alignment is one that this heap never returns (below 8 bytes).
    MisalignedPointer,
    /// The size given to free or realloc is not the one that was allocated.
    WrongSize,
    /// The alignment given to free or realloc is not the one that was allocated.
    WrongAlignment,
    /// The object was freed through another interface than it was allocated with (`free` of what
    /// `new` gave, `delete` of what `new[]` gave). Fatal under the strict policy only, counted
    /// otherwise.
    WrongInterface,
    /// Bytes after the end of the object were overwritten.
    Overflow,
    /// The word between this object and the one below it was overwritten, by a write past the
    /// end of the one or before the start of the other.
    Underflow,
    /// A live object's canary was found damaged when its slab was taken up again.
    DamagedNeighbour,
    /// Freed memory was written to, seen when it was about to be handed out again.
    WriteAfterFree,
    /// Freed memory was written to, seen when its slab was about to be given back.
    WriteAfterFreePurge,
    /// `memcpy` or one of its relatives was called to write past the end of an object; it was
    /// stopped before it wrote anything. Preload library only, as the following three.
    GuardedOverflow,
    /// The same for a write to memory that was freed, or never handed out.
    GuardedWriteAfterFree,
    /// The same for reading past the end of an object.
    GuardedOverread,
    /// The same for reading memory that was freed, or never handed out.
    GuardedReadAfterFree,
    /// The heap's own records contradict each other.
    Metadata,
    /// Two heaps of different policy were started in one process.
    SecondHeap,
    /// The kernel gave no random bytes or no address space to start with.
    StartUp,
    /// The pointer given to a function of secure memory is no secure buffer's.
    SecretForeign,
    /// Bytes before the start of a secure buffer were overwritten.
    SecretUnderflow,
}

impl Kind {
    /// Every kind, in the order of declaration.
    pub const ALL: [Kind; 22] = [
        Kind::DoubleFree,
        Kind::RacingFree,
        Kind::ForeignPointer,
        Kind::InteriorPointer,
        Kind::MisalignedPointer,
        Kind::WrongSize,
        Kind::WrongAlignment,
        Kind::WrongInterface,
        Kind::Overflow,
        Kind::Underflow,
        Kind::DamagedNeighbour,
        Kind::WriteAfterFree,
        Kind::WriteAfterFreePurge,
        Kind::GuardedOverflow,
        Kind::GuardedWriteAfterFree,
        Kind::GuardedOverread,
        Kind::GuardedReadAfterFree,
        Kind::Metadata,
        Kind::SecondHeap,
        Kind::StartUp,
        Kind::SecretForeign,
        Kind::SecretUnderflow,
    ];

    /// The constant words that the line on standard error uses.
    pub const fn message(self) -> &'static str {
        match self {
            Kind::DoubleFree => "double free",
            Kind::RacingFree => "double free by racing threads",
            Kind::ForeignPointer => "free of a pointer that this heap never returned",
            Kind::InteriorPointer => "free of a pointer into the middle of an object",
            Kind::MisalignedPointer => "free of a misaligned pointer",
            Kind::WrongSize => "free or realloc with a size that was not allocated",
            Kind::WrongAlignment => "free or realloc with an alignment that was not allocated",
            Kind::WrongInterface => "free by another interface than the object was allocated with",
            Kind::Overflow => "write past the end of an object",
            Kind::Underflow => "write between an object and the one below it",
            Kind::DamagedNeighbour => "a live object's canary is damaged",
            Kind::WriteAfterFree => "write to freed memory, found at reuse",
            Kind::WriteAfterFreePurge => "write to freed memory, found at purge",
            Kind::GuardedOverflow => "memory function called to write past the end of an object",
            Kind::GuardedWriteAfterFree => "memory function called to write to freed memory",
            Kind::GuardedOverread => "memory function called to read past the end of an object",
            Kind::GuardedReadAfterFree => "memory function called to read freed memory",
            Kind::Metadata => "the heap's records contradict each other",
            Kind::SecondHeap => "a second heap with another policy was started",
            Kind::StartUp => "the kernel gave no randomness or no address space",
            Kind::SecretForeign => "the pointer is no secure buffer",
            Kind::SecretUnderflow => "write before the start of a secure buffer",
        }
    }
}

/// Where the object lived.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Place {
    /// In a slot of this many bytes.
    Slot(u32),
    /// In a large mapping of its own.
    Large,
    /// In a slot of this many bytes of the pool of small secrets.
    SecretSlot(u32),
    /// A secure buffer with pages of its own.
    SecretPages,
    /// Not in this heap, or not known.
    Unknown,
}

/// A detected misuse: what was found, where the object lived, and the address concerned.
///
/// [`Display`](fmt::Display) gives the line without the address:
/// `double free (size class 48)`, `double free (large)`, or the message alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Violation {
    /// What was found.
    pub kind: Kind,
    /// Where the object lived.
    pub place: Place,
    /// The address concerned, 0 if there is none. Printed only where the program opted in.
    pub address: usize,
}

impl Violation {
    /// A violation that concerns no address yet.
    #[inline]
    pub const fn new(kind: Kind) -> Self {
        Violation { kind, place: Place::Unknown, address: 0 }
    }

    /// The same with its place.
    #[inline]
    #[must_use]
    pub const fn at(self, place: Place, address: usize) -> Self {
        Violation { kind: self.kind, place, address }
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.kind.message())?;
        match self.place {
            Place::Slot(size) => write!(f, " (size class {size})"),
            Place::Large => f.write_str(" (large)"),
            Place::SecretSlot(size) => write!(f, " (secret, slot of {size})"),
            Place::SecretPages => f.write_str(" (secret, own pages)"),
            Place::Unknown => Ok(()),
        }
    }
}

/// Longest line that [`line()`] writes.
pub const LINE: usize = 160;

/// Writes `casemate: <message> (<place>)[ at 0x<address>]\n` into `out` and returns its length.
///
/// Uses no formatting machinery and cannot panic: it runs on the way to an abort.
pub fn line(violation: &Violation, with_address: bool, out: &mut [u8; LINE]) -> usize {
    let mut at = put(out, 0, b"casemate: ");
    at = put(out, at, violation.kind.message().as_bytes());
    match violation.place {
        Place::Slot(size) => {
            at = put(out, at, b" (size class ");
            at = number(out, at, size as usize, 10);
            at = put(out, at, b")");
        }
        Place::Large => at = put(out, at, b" (large)"),
        Place::SecretSlot(size) => {
            at = put(out, at, b" (secret, slot of ");
            at = number(out, at, size as usize, 10);
            at = put(out, at, b")");
        }
        Place::SecretPages => at = put(out, at, b" (secret, own pages)"),
        Place::Unknown => {}
    }
    if with_address && violation.address != 0 {
        at = put(out, at, b" at 0x");
        at = number(out, at, violation.address, 16);
    }
    put(out, at, b"\n")
}

fn put(out: &mut [u8; LINE], mut at: usize, bytes: &[u8]) -> usize {
    for &byte in bytes {
        if let Some(cell) = out.get_mut(at) {
            *cell = byte;
            at += 1;
        }
    }
    at
}

fn number(out: &mut [u8; LINE], at: usize, mut value: usize, base: usize) -> usize {
    let mut digits = [0u8; 20];
    let mut used = 0;
    for cell in &mut digits {
        let digit = (value % base) as u8;
        *cell = if digit < 10 { b'0' + digit } else { b'a' + (digit - 10) };
        used += 1;
        value /= base;
        if value == 0 {
            break;
        }
    }
    let mut at = at;
    for &digit in digits.iter().take(used).rev() {
        at = put(out, at, &[digit]);
    }
    at
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::string::String;

    fn text(violation: Violation, with_address: bool) -> String {
        let mut out = [0; LINE];
        let n = line(&violation, with_address, &mut out);
        String::from_utf8(out[..n].to_vec()).unwrap()
    }

    #[test]
    fn lines_are_exact() {
        let v = Violation::new(Kind::DoubleFree).at(Place::Slot(48), 0xabc0);
        assert_eq!(text(v, false), "casemate: double free (size class 48)\n");
        assert_eq!(text(v, true), "casemate: double free (size class 48) at 0xabc0\n");
        let v = Violation::new(Kind::Overflow).at(Place::Large, 0);
        assert_eq!(text(v, true), "casemate: write past the end of an object (large)\n");
    }

    #[test]
    fn messages_differ_and_fit_and_agree_with_display() {
        for (i, a) in Kind::ALL.iter().enumerate() {
            for b in &Kind::ALL[i + 1..] {
                assert_ne!(a.message(), b.message());
            }
            for place in [
                Place::Slot(u32::MAX),
                Place::SecretSlot(u32::MAX),
                Place::SecretPages,
                Place::Large,
            ] {
                let v = Violation::new(*a).at(place, usize::MAX);
                let full = text(v, true);
                assert!(full.len() < LINE && full.ends_with('\n'));
                assert_eq!(text(v, false).trim_end(), std::format!("casemate: {v}"));
            }
        }
    }
}
