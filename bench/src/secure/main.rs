//! The bench of secure memory: Casemate beside libsodium, `memsec`, `secrets` and `secrecy`, by
//! time and by locked memory.
//!
//! ```text
//! cargo run --release -p casemate-bench --features secure --bin secure
//! cargo run --release -p casemate-bench --features secure --bin secure -- --rounds 15
//! ```
//!
//! It needs libsodium's development files and pkg-config (Debian: `libsodium-dev pkg-config`).
//!
//! # Method
//!
//! Every number comes from a child process of its own (this binary again). Rounds are interleaved:
//! each row is run by everyone in turn, then the next row. Times are medians over the rounds; a
//! ratio is the median of the rounds' own ratios, whose two numbers were measured within a second.
//!
//! * "allocate+free": allocate, write every byte, wipe, free; one at a time, so that a quick reuse
//!   by an allocator without delayed reuse is its best case.
//! * "borrow": open a 32-byte secret that is inaccessible at rest for reading, read a byte, close.
//! * "grow": from 32 B to 4 KiB in seven doublings, each a new buffer, a copy and the old one
//!   wiped.
//! * "live": 10,000 secrets of 32 B at once: time per secret to allocate and write, to free, and
//!   what `VmLck`, the resident memory and the number of mappings gain by them, per secret.
//!
//! The limit on locked memory binds 10,000 secrets of most peers; run it where it does not (root,
//! or RLIMIT_MEMLOCK unlimited). What a peer did not get locked shows in its column.

mod peers;
mod row;
mod table;

use peers::Peer;
use row::Row;
use std::process::{Command, ExitCode};

const ROUNDS: usize = 7;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words[..] {
        ["--child", peer, row] => child(peer, row),
        [] | ["--bench"] => bench(ROUNDS),
        ["--rounds", rounds] => bench(rounds.parse().unwrap_or(ROUNDS)),
        _ => {
            eprintln!("usage: secure [--rounds N]");
            ExitCode::FAILURE
        }
    }
}

/// In a child: one measurement.
fn child(peer: &str, row: &str) -> ExitCode {
    let (Some(peer), Some(row)) = (Peer::parse(peer), Row::parse(row)) else {
        return ExitCode::FAILURE;
    };
    match peer.measure(row) {
        Some(values) => {
            let values: Vec<_> = values.iter().map(f64::to_string).collect();
            println!("{}", values.join(" "));
            ExitCode::SUCCESS
        }
        None => ExitCode::FAILURE,
    }
}

fn measure(peer: Peer, row: Row) -> Option<Vec<f64>> {
    let own = std::env::current_exe().ok()?;
    let output = Command::new(own).args(["--child", peer.name(), row.name()]).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    let values: Option<Vec<f64>> = text.split_whitespace().map(|word| word.parse().ok()).collect();
    values.filter(|values| output.status.success() && values.len() == row.columns().len())
}

fn bench(rounds: usize) -> ExitCode {
    table::print_header();
    let mut results = table::Results::default();
    let mut failed = false;
    for round in 0..rounds.max(1) {
        for &row in Row::ALL {
            for peer in Peer::ALL.iter().copied().filter(|peer| peer.has(row)) {
                match measure(peer, row) {
                    Some(values) => results.add(peer, row, values),
                    None => {
                        eprintln!("{}, {}: failed", peer.name(), row.name());
                        failed = true;
                    }
                }
            }
        }
        eprintln!("round {} of {rounds}", round + 1);
    }
    results.print();
    if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}
