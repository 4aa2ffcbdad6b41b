//! What is seen while the service runs: a bar on a terminal, a few plain lines elsewhere.

use std::fs;
use std::io::{self, IsTerminal, Write};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use tokio::time::{MissedTickBehavior, interval};

use crate::report::grouped;

/// How often the bar moves.
const TICK: Duration = Duration::from_millis(100);

/// Shows the number of requests until the time is over, `stop` is set or the user interrupts.
pub async fn watch(
    time: Option<Duration>,
    requests: &AtomicU64,
    stop: &AtomicBool,
    rss_log: bool,
) -> io::Result<()> {
    let bar = bar(time);
    let start = Instant::now();
    let mut interrupt = std::pin::pin!(tokio::signal::ctrl_c());
    let mut ticks = interval(TICK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    let mut recent = (Duration::ZERO, 0);
    let mut rate = 0;
    let mut seconds = 0;
    while !stop.load(Relaxed) {
        tokio::select! {
            _ = ticks.tick() => {}
            _ = &mut interrupt => break,
        }
        let passed = start.elapsed();
        let count = requests.load(Relaxed);
        if passed.as_secs() > seconds {
            seconds = passed.as_secs();
            rate = ((count - recent.1) as f64 / (passed - recent.0).as_secs_f64()) as u64;
            recent = (passed, count);
            if rss_log {
                let line = format!("rss {seconds} {}", resident_kib()?);
                bar.suspend(|| writeln!(io::stdout(), "{line}"))?;
            }
            if bar.is_hidden() && tenth(seconds, time) {
                writeln!(io::stdout(), "{seconds} s: {}", state(count, rate))?;
            }
        }
        bar.set_message(state(count, rate));
        bar.set_position(u64::try_from(passed.as_millis()).unwrap_or(u64::MAX));
        if time.is_some_and(|time| passed >= time) {
            break;
        }
    }
    bar.finish_and_clear();
    Ok(())
}

fn state(requests: u64, rate: u64) -> String {
    format!("{} requests, {} per second", grouped(requests), grouped(rate))
}

fn bar(time: Option<Duration>) -> ProgressBar {
    if !io::stdout().is_terminal() {
        return ProgressBar::hidden();
    }
    let length = time.and_then(|time| u64::try_from(time.as_millis()).ok());
    let template = match length {
        Some(_) => "{bar:32.cyan} {percent:>3}%  {msg}",
        None => "{spinner:.cyan} {elapsed_precise}  {msg}",
    };
    let bar = ProgressBar::with_draw_target(length, ProgressDrawTarget::stdout());
    match ProgressStyle::with_template(template) {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    }
}

/// Whether a plain line is due: ten times in all, or once a minute.
fn tenth(seconds: u64, time: Option<Duration>) -> bool {
    let every = time.map_or(60, |time| (time.as_secs() / 10).max(1));
    seconds.is_multiple_of(every)
}

/// Resident memory and page tables of this process.
fn resident_kib() -> io::Result<u64> {
    let status = fs::read_to_string("/proc/self/status")?;
    let field = |name: &str| {
        status
            .lines()
            .find_map(|line| line.strip_prefix(name))
            .and_then(|rest| rest.trim().trim_end_matches("kB").trim().parse::<u64>().ok())
            .ok_or_else(|| io::Error::other(format!("no {name} in /proc/self/status")))
    };
    Ok(field("VmRSS:")? + field("VmPTE:")?)
}
