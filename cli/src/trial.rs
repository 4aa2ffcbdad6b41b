//! Starting one of the misuse programs, with or without the library, and what came of it.

use crate::misuse;
use crate::run::channel::Channel;
use crate::run::library::Library;
use crate::system::process;
use crate::{Failure, words};
use casemate::Kind;
use casemate_report::reader::{self, Process};
use std::env;
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, Output, Stdio};

/// Seconds after which a program is given up.
const PATIENCE: u32 = 20;

/// What came of a misuse.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The heap found it.
    Found(Option<Kind>, String),
    /// Ended by SIGSEGV or SIGBUS.
    Fault,
    /// The system's heap noticed something and aborted.
    Aborted(String),
    /// Nothing came of it.
    Harmless(String),
    /// Nobody noticed, and there was harm.
    Harm(String),
    /// Something else.
    Other(String),
}

impl Outcome {
    /// Whether the program was ended by the heap, or could do no harm.
    pub fn is_good(&self) -> bool {
        matches!(self, Outcome::Found(..) | Outcome::Fault | Outcome::Harmless(_))
    }

    /// In a few words.
    pub fn words(&self) -> String {
        match self {
            Outcome::Found(_, line) => format!("stopped: {line}"),
            Outcome::Fault => "SIGSEGV".into(),
            Outcome::Aborted(line) => format!("abort: {line}"),
            Outcome::Harmless(text) => format!("no harm: {text}"),
            Outcome::Harm(text) => format!("NOT NOTICED: {text}"),
            Outcome::Other(text) => text.clone(),
        }
    }
}

/// Runs the misuse program, on the library's heap if there is one, else on the system's. Gives
/// what its process reported too.
pub fn run(name: &str, library: Option<&Library>) -> Result<(Outcome, Option<Process>), Failure> {
    let launcher = env::current_exe().map_err(|error| Failure::new(error.to_string()))?;
    let mut command = Command::new(launcher);
    command.args(["misuse-program", name]).stdin(Stdio::null());
    let channel = library.map(|_| Channel::new()).transpose()?;
    let mut inherited = None;
    if let (Some(library), Some(channel)) = (library, &channel) {
        inherited = Some((channel.descriptor(), channel.environment(&library.path)?));
    } else {
        command.env_remove("LD_PRELOAD");
    }
    process::keep_open(&mut command, inherited, PATIENCE);
    let output = command.output().map_err(|error| Failure::new(error.to_string()))?;
    let report = channel.and_then(|channel| reader::processes(channel.table()).next());
    Ok((judge(&output, report.as_ref()), report))
}

fn judge(output: &Output, report: Option<&Process>) -> Outcome {
    let last = |text: &[u8]| {
        let text = String::from_utf8_lossy(text);
        text.lines().rfind(|line| !line.trim().is_empty()).unwrap_or_default().trim().to_owned()
    };
    let said = last(&output.stderr);
    if let Some(line) = said.strip_prefix("casemate: ")
        && output.status.signal() == Some(libc::SIGABRT)
    {
        // What a library says that the report does not confirm is not taken for found.
        let confirmed = report.is_some_and(|process| process.violations > 0);
        let kind = words::kind(said.as_bytes()).filter(|_| confirmed);
        return Outcome::Found(kind, line.to_owned());
    }
    match (output.status.signal(), output.status.code()) {
        (Some(libc::SIGSEGV | libc::SIGBUS), _) => Outcome::Fault,
        (Some(libc::SIGABRT), _) => Outcome::Aborted(said),
        (Some(libc::SIGALRM), _) => Outcome::Other(format!("gave up after {PATIENCE} s")),
        (Some(signal), _) => Outcome::Other(format!("ended by signal {signal}")),
        (_, Some(misuse::HARMLESS)) => Outcome::Harmless(last(&output.stdout)),
        (_, Some(misuse::HARM)) => Outcome::Harm(last(&output.stdout)),
        (_, code) => Outcome::Other(format!("ended with {code:?}: {said}")),
    }
}
