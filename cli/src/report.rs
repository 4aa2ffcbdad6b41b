//! The heap report of `--stats`: a line for every process.

use crate::system::limits;
use crate::system::process::Status;
use crate::system::signals;
use crate::table::{Table, bytes};
use casemate_report::layout::{self, State, in_force};
use casemate_report::reader::{self, Process};
use std::fmt::Write;

/// How the program itself ended.
#[derive(Clone, Copy)]
pub struct End {
    /// Its process.
    pub child: u32,
    /// How.
    pub status: Status,
    /// The most memory it had resident, in bytes.
    pub resident: u64,
}

/// The whole report.
pub fn text(table: &layout::Table, end: &End) -> String {
    let all: Vec<Process> = reader::processes(table).collect();
    let mut text = String::new();
    let _ = writeln!(text, "casemate: heap report, {}", count(all.len(), "process"));
    let mut rows = Table::new(
        &["PID", "PROGRAM", "ENDED", "PEAK", "LIVE AT END", "OBJECTS", "GUARDS", "VIOLATIONS"],
        &[0, 3, 4, 5, 6, 7],
    );
    for process in &all {
        let numbers = &process.numbers;
        let program = shorten(&process.name.to_string());
        rows.row([
            process.pid.to_string(),
            if process.forked { format!("{program} (fork)") } else { program },
            ending(process, &all, end),
            bytes(numbers.peak_bytes),
            bytes(numbers.live_bytes),
            numbers.live_objects.to_string(),
            bytes(numbers.guards),
            process.violations.to_string(),
        ]);
    }
    if !all.is_empty() {
        let _ = write!(text, "{rows}");
    }
    if !all.iter().any(|process| process.pid == end.child) {
        text += "  The program itself has not reported: it did not load the library, or closed \
                 the report's descriptor before it executed another program.\n";
    }
    for process in &all {
        remarks(process, &mut text);
    }
    match all.iter().find(|process| process.policy.is_some()) {
        Some(first) => {
            let _ = writeln!(text, "  {}", protections(first));
        }
        None if !all.is_empty() => {
            text += "  The library was loaded, but nothing used its heap: the program has a \
                     malloc of its own, or allocates nothing.\n";
        }
        None => {}
    }
    let _ = writeln!(text, "  most memory resident in the program: {}", bytes(end.resident));
    let lost = reader::lost(table).processes;
    if lost > 0 {
        let _ = writeln!(text, "  {} without room in the report", count(lost as usize, "process"));
    }
    text
}

fn count(number: usize, what: &str) -> String {
    match number {
        1 => format!("1 {what}"),
        _ => format!("{number} {what}es"),
    }
}

/// The end of a long path.
fn shorten(name: &str) -> String {
    const MOST: usize = 32;
    let letters = name.chars().count();
    if letters <= MOST {
        return name.to_owned();
    }
    format!("...{}", name.chars().skip(letters - MOST + 3).collect::<String>())
}

/// How a process ended, as far as can be told.
fn ending(process: &Process, all: &[Process], end: &End) -> String {
    match process.state {
        State::Violated => return "violation".into(),
        State::Exited => {
            return match end.status {
                Status::Exited(status) if process.pid == end.child => format!("exit {status}"),
                _ => "exit".into(),
            };
        }
        _ => {}
    }
    let next =
        |other: &&Process| other.pid == process.pid && !other.forked && other.place > process.place;
    if let Some(next) = all.iter().find(next) {
        let name = next.name.to_string();
        return format!("exec {}", shorten(name.rsplit('/').next().unwrap_or_default()));
    }
    if process.pid == end.child {
        return match end.status {
            Status::Exited(status) => format!("_exit {status}"),
            Status::Killed(signal) => signals::name(signal),
        };
    }
    if limits::is_running(process.pid, process.started) {
        return "still running".into();
    }
    "killed or _exit".into()
}

/// What is not as it should be.
fn remarks(process: &Process, text: &mut String) {
    let numbers = &process.numbers;
    if numbers.unguarded_slabs > 0 {
        let _ = writeln!(
            text,
            "  {}: {} slabs without a guard (vm.max_map_count was near)",
            process.pid, numbers.unguarded_slabs
        );
    }
    if numbers.mismatches > 0 {
        let _ = writeln!(
            text,
            "  {}: {} objects freed by another interface than they were allocated with (malloc, \
             new, new[]); fatal under --policy strict",
            process.pid, numbers.mismatches
        );
    }
}

/// What is in force, in a line.
pub fn protections(process: &Process) -> String {
    let has = |bit| process.in_force & bit != 0;
    let guards = if has(in_force::MARKERS) { "page-table markers" } else { "mprotect and gaps" };
    let page = match (has(in_force::READ_ONLY), has(in_force::SEALED)) {
        (true, true) => "read-only and sealed",
        (true, false) => "read-only",
        (false, _) => "writable",
    };
    format!(
        "policy {}; guards by {guards}; secrets {page}; canaries by {}",
        process.policy.unwrap_or("unknown"),
        if has(in_force::AES) { "AES" } else { "SipHash" },
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_names_keep_their_end() {
        assert_eq!(shorten("/usr/bin/python3"), "/usr/bin/python3");
        let long = shorten("/a/very/long/way/to/a/program/called/whatever");
        assert_eq!(long, ".../to/a/program/called/whatever");
        assert_eq!(long.len(), 32);
    }
}
