//! Waiting for a machine that does nothing else.

use std::fs;
use std::thread;
use std::time::{Duration, Instant};

/// How long it is worth waiting.
const PATIENCE: Duration = Duration::from_secs(60);
/// The share of all processors that others may use.
pub const QUIET: f64 = 0.05;

/// Waits until other processes use little of the machine, but no longer than a minute; says how it
/// ended.
pub fn wait(tick: impl Fn(String)) -> (bool, String) {
    let start = Instant::now();
    let mut quietest = f64::INFINITY;
    loop {
        let busy = busy_share(Duration::from_secs(1));
        quietest = quietest.min(busy);
        let waited = start.elapsed();
        if busy <= QUIET {
            return (true, format!("quiet at the start, after {} s", waited.as_secs()));
        }
        if waited >= PATIENCE {
            let percent = 100.0 * quietest;
            let words = "NOT QUIET: for a minute other work took this much of the machine or more:";
            return (false, format!("{words} {percent:.0} %"));
        }
        tick(format!("waiting for a quiet machine, {:.0} % busy", 100.0 * busy));
    }
}

/// The share of the processors' time that was not idle in the next `period`.
fn busy_share(period: Duration) -> f64 {
    let before = ticks();
    thread::sleep(period);
    let after = ticks();
    let (idle, all) = (after.0.saturating_sub(before.0), after.1.saturating_sub(before.1));
    if all == 0 { 0.0 } else { 1.0 - idle as f64 / all as f64 }
}

/// The ticks of all processors so far: idle ones (or waiting for a disk) and all.
pub fn ticks() -> (u64, u64) {
    let stat = fs::read_to_string("/proc/stat").unwrap_or_default();
    let line = stat.lines().next().unwrap_or_default();
    let ticks: Vec<u64> = line.split_whitespace().skip(1).flat_map(str::parse).collect();
    (ticks.iter().skip(3).take(2).sum(), ticks.iter().take(8).sum())
}
