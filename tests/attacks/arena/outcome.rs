//! How a child ended.

use super::field::{EFFECT, Exit};
use std::fmt;
use std::os::unix::process::ExitStatusExt;
use std::process::Output;

/// Whether the attack reached its goal, and how the program ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    pub effect: bool,
    pub end: End,
}

/// How the program ended.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum End {
    /// It ran to its end.
    Ran,
    /// It was aborted with this line.
    Stopped(String),
    /// It accessed what it may not.
    Fault,
    /// It had to be ended.
    TimeOut,
    /// The attack could not be tried.
    SetUp,
    /// Anything else.
    Other(String),
}

impl Outcome {
    /// Reads a child's end.
    pub fn of(output: &Output) -> Outcome {
        let said = String::from_utf8_lossy(&output.stderr).trim_end().to_owned();
        let end = match (output.status.signal(), output.status.code()) {
            (Some(libc::SIGABRT), _) => End::Stopped(said),
            (Some(libc::SIGSEGV | libc::SIGBUS), _) if said.is_empty() => End::Fault,
            (Some(libc::SIGALRM), _) => End::TimeOut,
            (_, Some(code)) if code == Exit::Ran as i32 && said.is_empty() => End::Ran,
            (_, Some(code)) if code == Exit::SetUp as i32 => End::SetUp,
            _ => End::Other(format!("{}: {said}", output.status)),
        };
        Outcome { effect: output.stdout == EFFECT, end }
    }
}

impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            End::Ran => f.write_str("nothing"),
            End::Stopped(line) => f.write_str(line.strip_prefix("casemate: ").unwrap_or(line)),
            End::Fault => f.write_str("fault"),
            End::TimeOut => f.write_str("time out"),
            End::SetUp => f.write_str("could not be tried"),
            End::Other(what) => f.write_str(what),
        }
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Outcome { effect, end } = self;
        match (effect, end) {
            (true, End::Ran) => f.write_str("takes effect"),
            (true, end) => write!(f, "takes effect, then {end}"),
            (false, End::Ran) => f.write_str("no effect"),
            (false, end) => write!(f, "{end}"),
        }
    }
}
