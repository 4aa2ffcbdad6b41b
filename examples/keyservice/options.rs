//! The command line.

use std::error::Error;
use std::path::PathBuf;
use std::time::Duration;

use lexopt::prelude::*;

pub const HELP: &str = "\
A TLS 1.3 key service with Casemate as its global allocator.

Usage: keyservice [OPTIONS]

Without options: starts the service on loopback, drives it for 5 seconds with clients of its own,
reports, then tries ten heap misuses in child processes.

  --seconds N     how long the own clients drive the service (default 5)
  --clients N     how many own clients (default 16)
  --serve ADDR    no own clients: serve outside ones on ADDR until interrupted, or for --seconds
  --connect ADDR  no own service: drive the one at ADDR; needs --ca
  --ca FILE       with --serve write, with --connect read the authority's certificate (PEM)
  --rss-log       print `rss <seconds> <KiB>` every second: VmRSS and VmPTE of this process
  --no-misuse     leave out the ten misuses
  --misuse NAME   commit one misuse in this very process (how the children are started)
  -h, --help      print this
";

/// What is to be done.
pub enum Command {
    Help,
    Misuse(String),
    Run(Options),
}

/// Who takes part.
pub enum Role {
    /// The service and its clients, in one process.
    Both,
    /// The service alone, on this address.
    Serve(String),
    /// The clients alone, against the service at this address.
    Connect(String),
}

pub struct Options {
    pub role: Role,
    /// How long; `None` is until interrupted.
    pub time: Option<Duration>,
    pub clients: usize,
    pub ca: Option<PathBuf>,
    pub rss_log: bool,
    pub misuse: bool,
}

pub fn parse() -> Result<Command, Box<dyn Error>> {
    let mut options = Options {
        role: Role::Both,
        time: None,
        clients: 16,
        ca: None,
        rss_log: false,
        misuse: true,
    };
    let mut parser = lexopt::Parser::from_env();
    while let Some(argument) = parser.next()? {
        match argument {
            Long("seconds") => {
                let seconds: u32 = parser.value()?.parse()?;
                options.time = Some(Duration::from_secs(seconds.into()));
            }
            Long("clients") => options.clients = parser.value()?.parse()?,
            Long("serve") => options.role = Role::Serve(parser.value()?.string()?),
            Long("connect") => options.role = Role::Connect(parser.value()?.string()?),
            Long("ca") => options.ca = Some(parser.value()?.into()),
            Long("rss-log") => options.rss_log = true,
            Long("no-misuse") => options.misuse = false,
            Long("misuse") => return Ok(Command::Misuse(parser.value()?.string()?)),
            Short('h') | Long("help") => return Ok(Command::Help),
            other => return Err(other.unexpected().into()),
        }
    }
    if !matches!(options.role, Role::Serve(_)) {
        options.time.get_or_insert(Duration::from_secs(5));
    }
    if !(1..=512).contains(&options.clients) {
        return Err("--clients takes 1 to 512".into());
    }
    if matches!(options.role, Role::Connect(_)) && options.ca.is_none() {
        return Err("--connect needs --ca".into());
    }
    Ok(Command::Run(options))
}
