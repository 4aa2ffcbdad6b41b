//! A program that does nothing: how long until it has ended, and what it takes of memory.

use std::process::Command;

use serde_json::json;

use crate::measure::{Clock, childrens_time};

/// The argument with which the program only prints its memory.
pub const NOTHING: &str = "--nothing";

/// Starts this program again and again.
pub fn run(clock: &mut Clock) {
    let own = std::env::current_exe().expect("the program has a path");
    let count = clock.share(200);
    let mut peaks: Vec<u64> = Vec::with_capacity(count);
    clock.start();
    for _ in 0..count {
        let output = Command::new(&own).arg(NOTHING).output().expect("it starts again");
        peaks.extend(String::from_utf8_lossy(&output.stdout).trim().parse::<u64>());
    }
    peaks.sort_unstable();
    // What counts is the children's time, which is not this process's.
    clock.more.insert("cpu_ns".into(), json!(childrens_time().as_nanos() as u64));
    clock.more.insert("peak_kib".into(), json!(peaks.get(peaks.len() / 2)));
}
