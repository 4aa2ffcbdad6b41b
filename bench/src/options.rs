//! The command line.

use std::path::PathBuf;

use clap::Parser;

/// Measures Casemate beside everything a user might pick instead.
///
/// Rust programs run with each allocator as their global one; C and C++ programs and stress
/// patterns with each preloaded. Every number comes from a process of its own; the processes of a
/// round are interleaved, workload by workload. Written are results.json, the same as tables in
/// results.md, and plots in SVG.
#[derive(Parser)]
#[command(version, about)]
pub struct Options {
    /// Three minutes: short workloads, as many rounds as the time allows, without light and strict
    #[arg(long)]
    pub quick: bool,
    /// Rounds; medians are shown [default: 10; with --quick, what the time allows]
    #[arg(long, value_name = "N")]
    pub rounds: Option<usize>,
    /// Only workloads whose `group/name` contains one of these, by comma
    #[arg(long, value_name = "TEXT", value_delimiter = ',')]
    pub filter: Vec<String>,
    /// Only these allocators, by comma; the system's always runs
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    pub allocators: Vec<String>,
    /// Instead of the peers: Casemate with one protection after the other left out
    #[arg(long)]
    pub prices: bool,
    /// Instead of the peers: the fastest of them with what protections do to objects, and no more
    #[arg(long, conflicts_with = "prices")]
    pub estimates: bool,
    /// How long each workload is: 1 is about a second [default: 1; with --quick 0.08]
    #[arg(long, value_name = "FACTOR")]
    pub scale: Option<f64>,
    /// Show what became faster or slower since this earlier results.json
    #[arg(long, value_name = "OLD.json")]
    pub compare: Option<PathBuf>,
    /// Where the results and plots go [default: bench/results in the target directory]
    #[arg(long, value_name = "DIRECTORY")]
    pub out: Option<PathBuf>,
    /// Measure nothing: show tables and plots of an earlier results.json again
    #[arg(long, value_name = "OLD.json")]
    pub show: Option<PathBuf>,
    /// Print which allocators and workloads there are
    #[arg(long)]
    pub list: bool,
    /// Do not wait for a quiet machine
    #[arg(long)]
    pub no_wait: bool,
}

impl Options {
    /// Whether a workload is wanted.
    pub fn wants(&self, group: &str, name: &str) -> bool {
        let full = format!("{group}/{name}");
        self.filter.is_empty() || self.filter.iter().any(|text| full.contains(text))
    }

    /// Whether an allocator is wanted, which the user may have named or not.
    pub fn wants_allocator(&self, name: &str, default: bool) -> bool {
        if self.allocators.is_empty() { default } else { self.allocators.iter().any(|a| a == name) }
    }

    /// How long each workload is.
    pub fn scale(&self) -> f64 {
        self.scale.unwrap_or(if self.quick { 0.08 } else { 1.0 })
    }
}
