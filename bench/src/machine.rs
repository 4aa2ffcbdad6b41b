//! What the numbers depend on.

use std::fs;
use std::path::Path;
use std::time::Duration;

use crate::{child, quiet};

/// Processor, kernel, C library.
pub fn describe(proc: &Path) -> Vec<String> {
    let read = |path: &str| fs::read_to_string(proc.join(path)).unwrap_or_default();
    let cpuinfo = read("cpuinfo");
    let processor = cpuinfo.lines().find(|line| line.starts_with("model name"));
    let processor = processor.and_then(|line| line.split(": ").nth(1)).unwrap_or("unknown");
    let count = std::thread::available_parallelism().map_or(0, usize::from);
    let memory = read("meminfo");
    let memory = memory.lines().next().and_then(|line| line.split_whitespace().nth(1));
    let gib = memory.and_then(|kib| kib.parse::<f64>().ok()).unwrap_or(0.0) / 1_048_576.0;
    let huge = fs::read_to_string("/sys/kernel/mm/transparent_hugepage/enabled");
    vec![
        format!("processor: {processor}, {count} to run on, {gib:.0} GiB of memory"),
        format!("kernel: {}", read("sys/kernel/osrelease").trim()),
        format!("huge pages: {}", huge.unwrap_or_default().trim()),
        format!("load at the start: {}", read("loadavg").trim()),
    ]
}

/// Tells how much of the machine other programs take from its making on.
pub struct Others {
    ticks: (u64, u64),
    own: Duration,
}

impl Others {
    pub fn new() -> Others {
        Others { ticks: quiet::ticks(), own: child::own_time() }
    }

    /// The share of all processors' time.
    pub fn share(&self) -> f64 {
        let now = quiet::ticks();
        let (idle, all) = (now.0 - self.ticks.0, now.1 - self.ticks.1);
        // The kernel counts in hundredths of a second.
        let own = (child::own_time() - self.own).as_secs_f64() * 100.0;
        ((all.saturating_sub(idle) as f64 - own) / (all.max(1)) as f64).max(0.0)
    }
}
