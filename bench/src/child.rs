//! One measured process: its time, and the memory of it and its children.
#![expect(unsafe_code, reason = "wait4 is a call of libc")]

use std::collections::HashMap;
use std::fs;
use std::io::Read;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant};

use crate::results::Sample;

/// A process that takes longer counts as failed.
const PATIENCE: Duration = Duration::from_secs(180);
/// How often its memory is looked at: rarely enough not to be in the way.
const PERIOD: Duration = Duration::from_millis(5);

/// What came of a process.
pub struct Ended {
    pub sample: Sample,
    pub stdout: String,
}

/// Runs `command` to its end. Its group of processes is killed when it takes too long.
pub fn run(command: &mut Command) -> Result<Ended, String> {
    let start = Instant::now();
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).process_group(0);
    let mut child = command.spawn().map_err(|error| format!("cannot start: {error}"))?;
    let (mut out, mut err) = (child.stdout.take(), child.stderr.take());
    let over = AtomicBool::new(false);
    let (status, wall, cpu, resident, memory, stdout, stderr) = thread::scope(|scope| {
        let watcher = scope.spawn(|| watch(child.id(), start, &over));
        let stdout = scope.spawn(|| text(&mut out));
        let stderr = scope.spawn(|| text(&mut err));
        let (status, cpu, resident) = wait(&child);
        let wall = start.elapsed();
        over.store(true, Relaxed);
        let [stdout, stderr] = [stdout, stderr].map(|read| read.join().unwrap_or_default());
        let memory = watcher.join().unwrap_or_default();
        (status, wall, cpu, resident, memory, stdout, stderr)
    });
    if !status.success() {
        let line = stderr.lines().find(|line| !line.trim().is_empty()).unwrap_or("no message");
        return Err(format!("{status}: {}", line.chars().take(120).collect::<String>()));
    }
    let sample = Sample {
        wall_ns: wall.as_nanos() as u64,
        cpu_ns: cpu.as_nanos() as u64,
        peak_kib: memory.peak(resident),
        ..Sample::default()
    };
    Ok(Ended { sample, stdout })
}

/// The processor time of all children waited for so far, and of this process.
pub fn own_time() -> Duration {
    let of = |who| {
        // SAFETY: getrusage writes the struct; of zeros it is a valid one.
        let usage = unsafe {
            let mut usage: libc::rusage = std::mem::zeroed();
            libc::getrusage(who, &raw mut usage);
            usage
        };
        time(&usage)
    };
    of(libc::RUSAGE_CHILDREN) + of(libc::RUSAGE_SELF)
}

/// User and kernel mode.
fn time(usage: &libc::rusage) -> Duration {
    let time = |value: libc::timeval| {
        Duration::from_secs(value.tv_sec as u64) + Duration::from_micros(value.tv_usec as u64)
    };
    time(usage.ru_utime) + time(usage.ru_stime)
}

fn text(stream: &mut Option<impl Read>) -> String {
    let mut bytes = Vec::new();
    if let Some(stream) = stream {
        // What could not be read is missing where it is looked for.
        let _ = stream.read_to_end(&mut bytes);
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// The status, the processor time of the process and the children it waited for, and the peak
/// resident set in KiB of the largest of them.
fn wait(child: &Child) -> (ExitStatus, Duration, u64) {
    let mut status = 0;
    // SAFETY: wait4 writes the two structs; of zeros rusage is a valid one.
    let usage = unsafe {
        let mut usage: libc::rusage = std::mem::zeroed();
        libc::wait4(child.id() as i32, &raw mut status, 0, &raw mut usage);
        usage
    };
    (ExitStatus::from_raw(status), time(&usage), usage.ru_maxrss as u64)
}

/// The largest values seen of one process.
#[derive(Clone, Copy, Default)]
struct Peak {
    resident: u64,
    page_tables: u64,
}

/// By process.
#[derive(Default)]
pub struct Memory(HashMap<u32, Peak>);

impl Memory {
    /// Adds what `pid` and its children use now.
    pub fn look(&mut self, pid: u32) {
        let Ok(status) = fs::read_to_string(format!("/proc/{pid}/status")) else { return };
        let peak = self.0.entry(pid).or_default();
        peak.resident = peak.resident.max(field(&status, "VmHWM:"));
        peak.page_tables = peak.page_tables.max(field(&status, "VmPTE:"));
        let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children"));
        for child in children.unwrap_or_default().split_whitespace() {
            if let Ok(child) = child.parse() {
                self.look(child);
            }
        }
    }

    /// Resident set and page tables of the process that used most. `kernel` is what the kernel
    /// says of the largest resident set: exact, but never less than this process's own, which it
    /// counts until the child has started its program.
    pub fn peak(&self, kernel: u64) -> u64 {
        let most = self.0.values().max_by_key(|peak| peak.resident).copied().unwrap_or_default();
        let own = fs::read_to_string("/proc/self/status").unwrap_or_default();
        let exact = if kernel > field(&own, "VmHWM:") { kernel } else { 0 };
        most.resident.max(exact) + most.page_tables
    }
}

/// A field of /proc/PID/status, in KiB; 0 where it is missing.
fn field(status: &str, name: &str) -> u64 {
    let line = status.lines().find_map(|line| line.strip_prefix(name));
    let number = line.and_then(|rest| rest.split_whitespace().next());
    number.and_then(|number| number.parse().ok()).unwrap_or(0)
}

/// Looks at the memory of `pid` until it is `over`, and kills its group when its time is up.
fn watch(pid: u32, start: Instant, over: &AtomicBool) -> Memory {
    let mut memory = Memory::default();
    while !over.load(Relaxed) {
        memory.look(pid);
        if start.elapsed() > PATIENCE {
            // SAFETY: kill takes no memory. The group is the child's, which has not been waited
            // for: `over` is set before another process can have its number.
            unsafe { libc::kill(-(pid as i32), libc::SIGKILL) };
            break;
        }
        thread::sleep(PERIOD);
    }
    memory
}
