//! What the numbers depend on.

use std::fs;
use std::path::Path;
use std::time::Duration;

use crate::quiet;

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

/// How busy the machine is while this program does nothing: after the run, what others do.
pub fn foreign_work(period: Duration) -> String {
    format!("other work at the end: {:.0} % of the machine", 100.0 * quiet::busy_share(period))
}
