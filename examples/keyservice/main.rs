//! A TLS 1.3 key service with Casemate as its global allocator.
//!
//! ```text
//! cargo run --release --example keyservice
//! ```
//!
//! starts the service on loopback, drives it for five seconds with concurrent clients that create
//! keys, sign and verify messages and delete the keys again, and checks every answer. Then it
//! prints requests per second, latency percentiles, the protections in force and the heap's
//! statistics, and shows ten misuses of the heap, each tried in a child process, with the line
//! that stopped it.
//!
//! ```text
//! keyservice --seconds 60 --clients 64                   longer, with more clients
//! keyservice --serve 0.0.0.0:8443 --ca ca.pem            stay up for clients from outside
//! keyservice --connect localhost:8443 --ca ca.pem        be those clients
//! keyservice --help                                      everything else
//! ```
//!
//! The exit code is 0 if every answer was right and every misuse was stopped, 1 if not, 2 if the
//! command line was wrong. `frame` and `protocol` describe what goes over the wire.

mod client;
mod failure;
mod frame;
mod hostile;
mod keys;
mod latency;
mod load;
mod misuse;
mod options;
mod progress;
mod protocol;
mod random;
mod report;
mod server;
mod tls;
mod trial;

use std::error::Error;
use std::io::{self, Write};
use std::process::ExitCode;

use options::{Command, Options};
use report::Paint;

#[global_allocator]
static HEAP: casemate::Casemate = casemate::Casemate::new();

fn main() -> ExitCode {
    let done = match options::parse() {
        Err(error) => {
            let _ = write!(io::stderr(), "keyservice: {error}\n\n{}", options::HELP);
            return ExitCode::from(2);
        }
        Ok(Command::Misuse(name)) => {
            // Nothing else is started: the child has one thread and a heap of its own.
            if misuse::commit(&name) {
                return ExitCode::SUCCESS;
            }
            let _ = writeln!(io::stderr(), "keyservice: no misuse is called {name}");
            return ExitCode::from(2);
        }
        Ok(Command::Help) => {
            write!(io::stdout(), "{}", options::HELP).map(|()| true).map_err(Into::into)
        }
        Ok(Command::Run(options)) => run(&options),
    };
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            let _ = writeln!(io::stderr(), "keyservice: {error}");
            ExitCode::FAILURE
        }
    }
}

/// The service, the report, the misuses; whether all was as it should be.
fn run(options: &Options) -> Result<bool, Box<dyn Error + Send + Sync>> {
    let paint = Paint::detect();
    let out = &mut io::stdout();
    let mut good = load::run(options, paint)?;

    let text = casemate::protections().to_string();
    report::section(out, paint, "Protections in force", &text)?;
    let text = casemate::stats().to_string();
    report::section(out, paint, "Heap", &text)?;

    if options.misuse {
        good &= trial::all(out, paint)?;
    }
    out.flush()?;
    Ok(good)
}
