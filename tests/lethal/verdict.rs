//! How a child must end, and how it did.

use crate::{fault, subject};
use casemate::{Kind, Place, Violation};
use std::os::unix::process::ExitStatusExt;
use std::process::Output;

/// How a case must end.
#[derive(Clone, Copy, Debug)]
pub enum End {
    /// SIGABRT, and this line alone on standard error.
    Line(Kind, Place),
    /// The same, with any place: on the lowest rung regions are planned, not reserved, so what
    /// the program maps may lie in one.
    Anywhere(Kind),
    /// SIGABRT, and the line of one of these alone.
    OneOf(&'static [Kind], Place),
    /// SIGABRT; the line, and then what the hook says.
    Hook(Kind, Place),
    /// SIGABRT; the same with a hook that itself commits a violation.
    Hooks(Kind, Place, Kind),
    /// SIGABRT; the line names the address that the child wrote to standard output.
    Address(Kind, Place),
    /// SIGSEGV at the address that the child foretold, and not a word.
    Fault,
    /// SIGSEGV somewhere, and not a word.
    FaultAnywhere,
    /// The child lives and finds that the protection holds.
    Holds,
}

/// What children exit with. None is one that a shell, libtest or a panic uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// The protection that the case looks for holds.
    Holds = 40,
    /// The case ran to its end: nothing stopped it.
    Survived = 41,
    /// The kernel could not be made as poor as asked.
    Environment = 42,
    /// The case could not be set up.
    SetUp = 43,
}

/// Before the address that [`End::Address`] speaks of.
pub const ADDRESS: &str = "address ";

impl End {
    /// Nothing if the child ended so; otherwise what is different.
    pub fn judge(self, output: &Output) -> Result<(), String> {
        let said = String::from_utf8_lossy(&output.stderr);
        let signal = output.status.signal();
        let aborted = |lines: &[String]| {
            signal == Some(libc::SIGABRT) && lines.iter().any(|line| *line == said)
        };
        let faulted = signal == Some(libc::SIGSEGV) && said.is_empty();
        let heard = String::from_utf8_lossy(&output.stdout);
        let good = match self {
            End::Line(kind, place) => aborted(&[line(kind, place)]),
            End::Anywhere(kind) => aborted(&[said_by(kind, &said)]),
            End::OneOf(kinds, place) => {
                aborted(&kinds.iter().map(|&kind| line(kind, place)).collect::<Vec<_>>())
            }
            End::Hook(kind, place) => aborted(&[line(kind, place) + subject::HOOK_SAID]),
            End::Hooks(kind, place, second) => {
                let second = line(second, Place::Unknown);
                aborted(&[line(kind, place) + subject::HOOK_SAID + &second])
            }
            End::Address(kind, place) => {
                let at = word_after(&heard, ADDRESS).unwrap_or("no address");
                aborted(&[format!("{} at 0x{at}\n", line(kind, place).trim_end())])
            }
            End::Fault => {
                let foretold = word_after(&heard, fault::WILL);
                faulted && foretold.is_some() && foretold == word_after(&heard, fault::DID)
            }
            End::FaultAnywhere => faulted,
            End::Holds => output.status.code() == Some(Exit::Holds as i32) && said.is_empty(),
        };
        if good { Ok(()) } else { Err(format!("must be {self:?}, was {}", describe(output))) }
    }
}

/// Whether the case ran to its end without a word: what a control must do.
pub fn survived(output: &Output) -> bool {
    output.status.code() == Some(Exit::Survived as i32) && output.stderr.is_empty()
}

/// The child's end in words.
pub fn describe(output: &Output) -> String {
    let exits = [Exit::Holds, Exit::Survived, Exit::Environment, Exit::SetUp];
    let exit = exits.iter().find(|&&exit| output.status.code() == Some(exit as i32));
    format!(
        "{}{}; stderr: {:?}; stdout: {:?}",
        output.status,
        exit.map(|exit| format!(" ({exit:?})")).unwrap_or_default(),
        String::from_utf8_lossy(&output.stderr),
        String::from_utf8_lossy(&output.stdout)
    )
}

/// The line on standard error, from the words that the crate has for it.
fn line(kind: Kind, place: Place) -> String {
    format!("casemate: {}\n", Violation::new(kind).at(place, 0))
}

/// The line with the place that was said, if it is one.
fn said_by(kind: Kind, said: &str) -> String {
    let class = said.split_once("(size class ").and_then(|(_, rest)| rest.split_once(')'));
    let place = class.and_then(|(size, _)| size.parse().ok()).map_or(Place::Unknown, Place::Slot);
    line(kind, place)
}

fn word_after<'t>(text: &'t str, mark: &str) -> Option<&'t str> {
    text.split_once(mark)?.1.split_whitespace().next()
}
