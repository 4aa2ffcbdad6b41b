//! `casemate`: runs any program on the Casemate heap, and says in plain words what was found.
//!
//! ```text
//! options     the command line
//! run/        program (what it is, can it be run) -> library (which shared object)
//!             -> channel (the report's file) -> child (start, signals, end)
//! report      the heap report after the end       words     what a violation means
//! doctor      what this machine gives             demo      misuse with and without
//! misuse      the misuse programs                 trial     starting them
//! system/     every system call
//! ```

mod demo;
mod doctor;
mod misuse;
mod options;
mod report;
mod run;
mod system;
mod table;
mod trial;
mod words;

use clap::{CommandFactory, Parser};
use options::{Command, Options};
use std::io::{self, Write};
use std::process::ExitCode;

#[global_allocator]
static HEAP: casemate::Casemate = casemate::Casemate::new();

/// Why the launcher itself could not do what was asked; the program has not run then.
struct Failure {
    /// What to end with.
    status: u8,
    /// What to say.
    message: String,
}

impl Failure {
    /// The launcher's own failure, as with `env` and `timeout`.
    const LAUNCHER: u8 = 125;
    /// The program is there but cannot be executed.
    const NOT_EXECUTABLE: u8 = 126;
    /// The program is not there.
    const NOT_FOUND: u8 = 127;

    fn new(message: impl Into<String>) -> Failure {
        Failure { status: Failure::LAUNCHER, message: message.into() }
    }

    fn with(status: u8, message: impl Into<String>) -> Failure {
        Failure { status, message: message.into() }
    }
}

fn main() -> ExitCode {
    let options = match Options::try_parse() {
        Ok(options) => options,
        Err(error) => {
            // Help and version come this way, too. What cannot be printed nobody reads.
            let _ = error.print();
            return ExitCode::from(if error.use_stderr() { Failure::LAUNCHER } else { 0 });
        }
    };
    let done = match options.command {
        Command::Run(run) => run::run(&run),
        Command::Doctor(doctor) => doctor::doctor(&doctor),
        Command::Demo(demo) => demo::demo(&demo),
        Command::Completions { shell } => {
            let mut text = Vec::new();
            clap_complete::generate(shell, &mut Options::command(), "casemate", &mut text);
            print(&text)
        }
        Command::Man { directory } => man(directory.as_deref()),
        Command::Misuse { name } => misuse::run(&name),
    };
    done.unwrap_or_else(|failure| {
        eprintln!("casemate: {}", failure.message);
        ExitCode::from(failure.status)
    })
}

fn man(directory: Option<&std::path::Path>) -> Result<ExitCode, Failure> {
    let Some(directory) = directory else {
        let mut text = Vec::new();
        let page = clap_mangen::Man::new(Options::command());
        page.render(&mut text).map_err(|error| Failure::new(error.to_string()))?;
        return print(&text);
    };
    let failed = |error: io::Error| Failure::new(format!("{}: {error}", directory.display()));
    std::fs::create_dir_all(directory).map_err(failed)?;
    clap_mangen::generate_to(Options::command(), directory).map_err(failed)?;
    Ok(ExitCode::SUCCESS)
}

/// To standard output; that somebody has read enough is no failure.
fn print(text: &[u8]) -> Result<ExitCode, Failure> {
    match io::stdout().write_all(text).and_then(|()| io::stdout().flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(Failure::new(format!("standard output: {error}")))
        }
        _ => Ok(ExitCode::SUCCESS),
    }
}
