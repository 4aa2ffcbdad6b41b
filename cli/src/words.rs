//! What a violation means, in plain words.

use crate::run::Output;
use casemate::Kind;
use casemate_report::layout::Table;
use casemate_report::reader::{self, Process};
use std::collections::HashSet;
use std::fmt::Write;

/// For a program that ended at a fault without a line of the heap's.
pub const FAULT: &str = "\
casemate: the program was ended by SIGSEGV. If it does not end so without Casemate, it touched
memory that is out of bounds or was freed, and met a guard:
  what it means  It ran past the end of an object into the inaccessible page behind it, or used a
                 large object, or one whose page was given back, after freeing it.
  what to do     Run it under a debugger: the fault is at the very access that is wrong.
";

/// Which processes' violations have been explained.
#[derive(Default)]
pub struct Told {
    places: HashSet<usize>,
    lost: u32,
}

impl Told {
    /// How many.
    pub fn count(&self) -> usize {
        self.places.len() + self.lost as usize
    }

    /// Explains those that have not been.
    pub fn explain(&mut self, table: &Table, output: &mut Output) {
        for process in reader::processes(table).filter(|process| process.violations != 0) {
            if self.places.insert(process.place) {
                output.write(&explanation(&process));
            }
        }
        let lost = reader::lost(table).violations;
        if lost > self.lost {
            output.write(&format!(
                "casemate: {} more violations in processes that had no room in the report; each \
                 wrote its line to standard error\n",
                lost - self.lost
            ));
            self.lost = lost;
        }
    }
}

/// The whole text for one process.
pub fn explanation(process: &Process) -> String {
    let mut text = String::new();
    let line = process.line.bytes();
    let found = kind(line);
    let _ = write!(text, "casemate: {} (process {}) was ended: ", process.name, process.pid);
    let _ = match process.line.plain().and_then(|line| line.strip_prefix("casemate: ")) {
        Some(words) => writeln!(text, "{words}"),
        None => writeln!(text, "{}", process.line),
    };
    let (meaning, advice) = match found {
        Some(kind) => meaning(kind),
        None => (
            "The heap found a misuse that this version of the launcher does not know.",
            "Use a launcher and a library of the same version.",
        ),
    };
    for (name, words) in [("what it means", meaning), ("what to do", advice)] {
        let mut lines = wrap(words, 80).into_iter();
        let _ = writeln!(text, "  {name:<13}  {}", lines.next().unwrap_or_default());
        for line in lines {
            let _ = writeln!(text, "  {:<13}  {line}", "");
        }
    }
    if process.violations > 1 {
        let _ = writeln!(text, "  {} violations in all; this was the first", process.violations);
    }
    text
}

/// Which kind a line is about: that with the longest message that the line starts with.
pub fn kind(line: &[u8]) -> Option<Kind> {
    let words = line.strip_prefix(b"casemate: ")?;
    let fits = |kind: &Kind| words.starts_with(kind.message().as_bytes());
    Kind::ALL.into_iter().filter(fits).max_by_key(|kind| kind.message().len())
}

const DEBUGGER: &str = "Run it under a debugger: it stops in the call that frees, whose caller is \
                        the one in the wrong, or is too late.";
const WRITER: &str = "The heap finds this when the object is freed or memory is handed out, after \
                      the write. An address sanitizer or valgrind shows the write itself.";
const CALLER: &str = "Run it under a debugger: it stops in the call, and the caller is the one in \
                      the wrong, or whoever gave it the pointer or the length.";

/// What a kind means and what to do about it.
fn meaning(kind: Kind) -> (&'static str, &'static str) {
    match kind {
        Kind::DoubleFree => (
            "The program freed the same object twice. Between the two frees another part of the \
             program could have been given that memory; the second free would have taken it away. \
             Attackers use this to have two owners share one object.",
            DEBUGGER,
        ),
        Kind::RacingFree => (
            "Two threads freed the same object at the same time: its ownership is not settled \
             between them.",
            "Look for an object that two threads may free, and for a missing lock or reference \
             count. A thread sanitizer shows both sides.",
        ),
        Kind::ForeignPointer => (
            "The program freed an address that this heap never handed out: a variable on the \
             stack, a constant, memory from mmap or from another allocator, or a pointer that was \
             overwritten.",
            DEBUGGER,
        ),
        Kind::InteriorPointer => (
            "The program freed a pointer into the middle of an object, not the one that it was \
             given.",
            "Look for a pointer that was advanced before it was freed. The debugger stops in the \
             call.",
        ),
        Kind::MisalignedPointer => (
            "The program freed a pointer that no object can have: the address is odd, or was \
             overwritten.",
            DEBUGGER,
        ),
        Kind::WrongSize => (
            "The program freed or resized an object and named a size that it does not have. Often \
             a derived object is deleted through a base class without a virtual destructor, or a \
             length was overwritten.",
            DEBUGGER,
        ),
        Kind::WrongAlignment => (
            "The program freed or resized an object and named an alignment that it was not \
             allocated with.",
            "Look for aligned new with plain delete, or the other way round.",
        ),
        Kind::WrongInterface => (
            "The program freed an object by another interface than it was allocated with: `free` \
             of what `new` gave, or `delete` of what `new[]` gave. With other heaps or compilers \
             this can skip destructors or free the wrong address.",
            "Free each object with the counterpart of its allocation. The policies light and full \
             only count this.",
        ),
        Kind::Overflow => (
            "Bytes behind the end of an object were overwritten: a buffer overflow. With an \
             ordinary heap these bytes belong to another object or to the heap's own records.",
            WRITER,
        ),
        Kind::Underflow => (
            "The bytes between two neighbouring objects were overwritten: a write before the \
             start of the one, or past the end of the other.",
            WRITER,
        ),
        Kind::SecretForeign => (
            "The program gave secure memory a pointer that is no secure buffer of its: one that was \
             freed long ago, one of ordinary memory, or a damaged one.",
            "Look for the place where the pointer was last changed, and for a second owner of it.",
        ),
        Kind::SecretUnderflow => (
            "Bytes before the start of a secure buffer were overwritten: a negative index, or a \
             write that ran backwards.",
            WRITER,
        ),
        Kind::DamagedNeighbour => (
            "The bytes behind an object that is still in use were found overwritten: a buffer \
             overflow in it or near it, some time ago.",
            WRITER,
        ),
        Kind::WriteAfterFree => (
            "Memory was written to after it had been freed: some part of the program still uses \
             an object that it gave back. With an ordinary heap it would have written into \
             somebody else's object.",
            "The heap finds this when the memory is about to be used again. An address sanitizer \
             or valgrind shows the write, and who freed the object.",
        ),
        Kind::WriteAfterFreePurge => (
            "Memory was written to after it had been freed, found when the heap was about to give \
             it back to the system.",
            "The heap finds this some time after the write. An address sanitizer or valgrind \
             shows the write, and who freed the object.",
        ),
        Kind::GuardedOverflow => (
            "memcpy, strcpy or another function of this kind was called to write more bytes than \
             the object at the destination has left: a buffer overflow. It was stopped before it \
             wrote anything.",
            CALLER,
        ),
        Kind::GuardedWriteAfterFree => (
            "memcpy, strcpy or another function of this kind was called to write to memory of the \
             heap that was freed, or never handed out. It was stopped before it wrote anything.",
            CALLER,
        ),
        Kind::GuardedOverread => (
            "memcpy, strcpy or another function of this kind was called to read more bytes than \
             the object at the source has left. What lies behind it, which may be secret, would \
             have been copied to where it is not expected.",
            CALLER,
        ),
        Kind::GuardedReadAfterFree => (
            "memcpy, strcpy or another function of this kind was called to read memory of the heap \
             that was freed, or never handed out.",
            CALLER,
        ),
        Kind::Metadata => (
            "The heap's own records contradict each other. They lie apart from the program's \
             memory, so a wild write found them, the hardware failed, or Casemate has a bug.",
            "If it can be repeated without other signs of damage, please report it.",
        ),
        Kind::SecondHeap => (
            "A second Casemate with another policy was used in this process.",
            "Use one policy in a program and all it loads.",
        ),
        Kind::StartUp => (
            "The kernel gave no random numbers, or no address space, to start with.",
            "Run `casemate doctor` under the same limits (ulimit -v, container, seccomp filter).",
        ),
        _ => (UNKNOWN, "The line says what was found; SECURITY.md describes it."),
    }
}

/// For kinds that came later than this table; a test sees to it that there are none.
const UNKNOWN: &str = "The heap found a misuse.";

/// Breaks a text into lines of at most `width`.
fn wrap(text: &str, width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split_whitespace() {
        let line = lines.last_mut().expect("never empty");
        if !line.is_empty() && line.len() + 1 + word.len() > width {
            lines.push(word.to_owned());
            continue;
        }
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(word);
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use casemate::{Place, Violation};

    #[test]
    fn every_kind_has_words_of_its_own() {
        let mut seen = HashSet::new();
        for kind in Kind::ALL {
            let (meaning, advice) = meaning(kind);
            assert!(meaning != UNKNOWN && !advice.is_empty(), "{kind:?}");
            assert!(seen.insert(meaning), "{kind:?} says the same as another");
        }
    }

    #[test]
    fn a_line_leads_to_its_kind() {
        for expected in Kind::ALL {
            for place in [Place::Unknown, Place::Large, Place::Slot(48)] {
                let mut line = [0; casemate::violation::LINE];
                let violation = Violation::new(expected).at(place, 0x1234);
                let used = casemate::violation::line(&violation, true, &mut line);
                assert_eq!(kind(&line[..used]), Some(expected));
            }
        }
        assert_eq!(kind(b"casemate: something else"), None);
        assert_eq!(kind(b"double free"), None);
        assert_eq!(kind(b""), None);
    }
}
