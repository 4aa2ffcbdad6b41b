//! Time, processor time and memory of this process.
#![expect(unsafe_code, reason = "getrusage is a call of libc")]

use std::mem;
use std::time::{Duration, Instant};

use serde_json::{Map, Value, json};

/// Times a workload: from its start, or from [`Clock::start`], to its end.
pub struct Clock {
    scale: f64,
    wall: Instant,
    processor: Duration,
    /// What a workload reports beside time and memory.
    pub more: Map<String, Value>,
}

impl Clock {
    pub fn new(scale: f64) -> Clock {
        Clock { scale, wall: Instant::now(), processor: processor_time(), more: Map::new() }
    }

    /// So much of `full` as the scale asks for, at least one.
    pub fn share(&self, full: usize) -> usize {
        ((full as f64 * self.scale) as usize).max(1)
    }

    /// So many seconds as the scale asks for.
    pub fn seconds(&self, full: f64) -> Duration {
        Duration::from_secs_f64((full * self.scale).clamp(0.2, 60.0))
    }

    /// What was done so far was preparation.
    pub fn start(&mut self) {
        self.processor = processor_time();
        self.wall = Instant::now();
    }

    /// The end: one object of JSON.
    pub fn stop(mut self) -> Value {
        let wall = self.wall.elapsed();
        let processor = processor_time() - self.processor;
        // A workload of a fixed duration says itself how long its unit of work took.
        self.more.entry("wall_ns").or_insert_with(|| json!(wall.as_nanos() as u64));
        self.more.entry("cpu_ns").or_insert_with(|| json!(processor.as_nanos() as u64));
        self.more.entry("peak_kib").or_insert_with(|| json!(peak_kib()));
        Value::Object(self.more)
    }
}

/// What this process and its threads have used, in user and kernel mode.
pub fn processor_time() -> Duration {
    used(libc::RUSAGE_SELF)
}

/// What the children that were waited for have used.
pub fn childrens_time() -> Duration {
    used(libc::RUSAGE_CHILDREN)
}

fn used(who: libc::c_int) -> Duration {
    // SAFETY: getrusage writes the struct; of zeros is a valid one.
    let usage = unsafe {
        let mut usage: libc::rusage = mem::zeroed();
        libc::getrusage(who, &raw mut usage);
        usage
    };
    let time = |value: libc::timeval| {
        Duration::new(value.tv_sec as u64, 0) + Duration::from_micros(value.tv_usec as u64)
    };
    time(usage.ru_utime) + time(usage.ru_stime)
}

/// The peak of the resident set and the page tables, in KiB. Page tables stay while their range is
/// mapped, so they are at their peak, or near it, at the end.
pub fn peak_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let field = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name));
        let number = line.and_then(|rest| rest.split_whitespace().next());
        number.and_then(|number| number.parse::<u64>().ok()).unwrap_or(0)
    };
    field("VmHWM:") + field("VmPTE:")
}
