//! `casemate run`.

pub mod channel;
mod child;
pub mod library;
pub mod program;

use crate::options;
use crate::report::{self, End};
use crate::system::process::{self, Status};
use crate::system::signals;
use crate::{Failure, words};
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::process::CommandExt;
use std::process::{Command, ExitCode};

/// Runs the program and ends as it does.
pub fn run(options: &options::Run) -> Result<ExitCode, Failure> {
    if process::is_raised() {
        return Err(Failure::new("the launcher must not have raised privileges (setuid)"));
    }
    let Some((name, arguments)) = options.command.split_first() else {
        return Err(Failure::new("no program"));
    };
    let program = program::find(name)?;
    let library = library::find(&options.heap)?;
    let object = program::look_through(&program, &library)?;
    if object.own_malloc {
        eprintln!(
            "casemate: note: {} defines a malloc of its own, which it will use instead of \
             Casemate's",
            program.display()
        );
    }
    let mut output = Output::open(options.log.as_deref())?;
    let channel = channel::Channel::new()?;
    let mut command = Command::new(&program);
    command.arg0(name).args(arguments);
    let environment = channel.environment(&library.path)?;

    let mut told = words::Told::default();
    let end = child::run(command, environment, &channel, |found| told.explain(found, &mut output))
        .map_err(|error| failed_to_start(&program, &error))?;
    told.explain(channel.table(), &mut output);
    if told.count() == 0 && end.status == Status::Killed(libc::SIGSEGV) {
        output.write(words::FAULT);
    }
    if options.stats {
        output.write(&report::text(channel.table(), &end));
    }
    drop(output);
    Ok(end_like(end))
}

fn failed_to_start(program: &std::path::Path, error: &io::Error) -> Failure {
    let status = match error.kind() {
        io::ErrorKind::NotFound => Failure::NOT_FOUND,
        _ => Failure::NOT_EXECUTABLE,
    };
    Failure::with(status, format!("{}: {error}", program.display()))
}

/// Ends the launcher as the program ended.
fn end_like(end: End) -> ExitCode {
    match end.status {
        Status::Exited(status) => ExitCode::from(status as u8),
        Status::Killed(signal) => {
            signals::suffer(signal);
            // Only where this process cannot be killed: the first of a container.
            ExitCode::from(128u8.wrapping_add(signal as u8))
        }
    }
}

/// Where explanations and reports go.
pub struct Output(Option<File>);

impl Output {
    fn open(log: Option<&std::path::Path>) -> Result<Output, Failure> {
        let Some(path) = log else { return Ok(Output(None)) };
        let file = OpenOptions::new().append(true).create(true).mode(0o600).open(path);
        let file = file.map_err(|error| Failure::new(format!("{}: {error}", path.display())))?;
        Ok(Output(Some(file)))
    }

    /// Writes a whole text at once. A full disk or a closed terminal does not change how the
    /// program's end is passed on.
    pub fn write(&mut self, text: &str) {
        let _ = match &mut self.0 {
            Some(file) => file.write_all(text.as_bytes()),
            None => io::stderr().write_all(text.as_bytes()),
        };
    }
}
