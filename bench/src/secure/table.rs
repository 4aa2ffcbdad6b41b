//! The table, and the two numbers that are to be reached.

use crate::peers::Peer;
use crate::row::Row;
use std::fs;

/// Measurements: whose, of which row, and its numbers.
#[derive(Default)]
pub struct Results {
    all: Vec<(Peer, Row, Vec<f64>)>,
}

impl Results {
    /// Takes one measurement.
    pub fn add(&mut self, peer: Peer, row: Row, values: Vec<f64>) {
        self.all.push((peer, row, values));
    }

    /// By round.
    fn values(&self, peer: Peer, row: Row, column: usize) -> impl Iterator<Item = f64> {
        let these = self.all.iter().filter(move |one| (one.0, one.1) == (peer, row));
        these.filter_map(move |one| one.2.get(column).copied())
    }

    fn ratio(&self, of: Peer, to: Peer, row: Row, column: usize) -> Option<f64> {
        let both = self.values(of, row, column).zip(self.values(to, row, column));
        median(both.map(|(of, to)| of / to).collect())
    }

    /// Prints everything.
    pub fn print(&self) {
        print!("\n{:<30}", "");
        Peer::ALL.iter().for_each(|peer| print!("{:>11}", peer.name()));
        println!("{:>13}", "sodium/case.");
        for &row in Row::ALL {
            for (column, title) in row.columns().iter().enumerate() {
                print!("{title:<30}");
                for &peer in Peer::ALL {
                    print!("{:>11}", number(median(self.values(peer, row, column).collect())));
                }
                // What is closed at rest is compared with what is closed at rest.
                let own = if row == Row::Borrow { Peer::CasemateOwn } else { Peer::Casemate };
                println!("{:>13}", number(self.ratio(Peer::Libsodium, own, row, column)));
            }
        }
        println!();
        for (title, row, column, wanted) in [
            ("allocate+free of 32 B, times faster than libsodium", Row::Small, 0, 20.0),
            ("locked memory per secret, times less than libsodium", Row::Live, 2, 50.0),
        ] {
            let ratio = self.ratio(Peer::Libsodium, Peer::Casemate, row, column);
            let verdict = match ratio {
                Some(ratio) if ratio >= wanted => "ok",
                Some(_) => "short",
                None => "not measured",
            };
            println!("{title:<52}{:>8} (at least {wanted}) {verdict}", number(ratio));
        }
    }
}

/// Prints what the numbers depend on.
pub fn print_header() {
    let read = |path| fs::read_to_string(path).unwrap_or_default();
    let cpuinfo = read("/proc/cpuinfo");
    let processor = cpuinfo.lines().find(|line| line.starts_with("model name"));
    let processor = processor.and_then(|line| line.split(": ").nth(1)).unwrap_or("unknown");
    let count = std::thread::available_parallelism().map_or(0, usize::from);
    println!("processor: {processor}, {count} to run on, load {}", read("/proc/loadavg").trim());
    println!("kernel:    {}", read("/proc/sys/kernel/osrelease").trim());
    let limits = read("/proc/self/limits");
    let limit = limits.lines().find(|line| line.starts_with("Max locked memory"));
    let status = read("/proc/self/status");
    let rights = status.lines().find_map(|line| line.strip_prefix("CapEff:"));
    let rights = rights.and_then(|rights| u64::from_str_radix(rights.trim(), 16).ok());
    // Bit 14.
    let lifted = rights.is_some_and(|rights| rights >> 14 & 1 == 1);
    let soft = limit.and_then(|line| line.split_whitespace().nth(3)).unwrap_or("unknown");
    let note = if lifted { ", lifted by CAP_IPC_LOCK" } else { "" };
    println!("RLIMIT_MEMLOCK: {soft}{note}");
}

fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    match values.len() {
        0 => None,
        n if n % 2 == 1 => Some(values[middle]),
        _ => Some((values[middle - 1] + values[middle]) / 2.0),
    }
}

fn number(value: Option<f64>) -> String {
    match value {
        None => "-".into(),
        Some(value) if value.abs() < 10.0 => format!("{value:.2}"),
        Some(value) if value.abs() < 1000.0 => format!("{value:.1}"),
        Some(value) => format!("{value:.0}"),
    }
}
