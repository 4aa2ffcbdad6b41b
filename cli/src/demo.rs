//! `casemate demo`: misuse programs with and without Casemate, side by side.

use crate::options;
use crate::run::library;
use crate::table::Table;
use crate::trial::{self, Outcome};
use crate::{Failure, misuse};
use std::process::ExitCode;

/// Runs and prints all.
pub fn demo(options: &options::Demo) -> Result<ExitCode, Failure> {
    let library = library::find(&options.heap)?;
    println!("Each program misuses the heap in a process of its own.\n");
    let mut table = Table::new(&["PROGRAM", "WHAT IT DOES", "WITHOUT", "WITH CASEMATE"], &[]);
    let (mut stopped, mut bad) = (0, Vec::new());
    for misuse in misuse::ALL {
        let (without, _) = trial::run(misuse.name, None)?;
        let (with, report) = trial::run(misuse.name, Some(&library))?;
        if report.is_none() {
            return Err(Failure::new(format!(
                "{}: the program did not load the library, or could not report",
                library.path.display()
            )));
        }
        if with.is_good() {
            stopped += 1;
        } else {
            bad.push(misuse.name);
        }
        let shown = match &with {
            Outcome::Fault => "stopped: fault at inaccessible memory".to_owned(),
            other => other.words(),
        };
        table.row([misuse.name.into(), misuse.what.into(), without.words(), shown]);
    }
    println!("{table}");
    println!("{stopped} of {} stopped or without harm under Casemate.", misuse::ALL.len());
    if bad.is_empty() {
        return Ok(ExitCode::SUCCESS);
    }
    println!("Not stopped: {}.", bad.join(", "));
    Ok(ExitCode::FAILURE)
}
