//! Layer: faces, tests only. Runs a workload again and again in children, each with another call
//! of the kernel's failing, and judges how they end.
#![expect(unsafe_code, reason = "fork, waitpid, memory shared with children")]

use crate::os::linux::failing::{self, CALLS, Call, Calls, Plan, Record};
use core::sync::atomic::Ordering::Relaxed;
use std::collections::BTreeSet;
use std::io::{Read, Seek};
use std::os::fd::{AsRawFd, FromRawFd};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::string::{String, ToString};
use std::vec::Vec;
use std::{env, eprintln, format, println, process};

/// Set in the process that runs the sweep of one test.
const CASE: &str = "CASEMATE_FAILURES_CASE";
/// Set for the long sweep: every call number, every error.
const LONG: &str = "CASEMATE_FAILURES_LONG";
/// For one run alone, as a finding names it.
const ONLY: &str = "CASEMATE_FAILURES_ONLY";
/// A run hangs no longer than this.
const SECONDS: u32 = 30;
/// What the test binary says of a kernel that gives neither randomness nor address space.
const START_UP: &str = "casemate: the kernel gave no randomness or no address space\n";

/// A workload.
#[derive(Clone, Copy)]
pub struct Workload {
    pub name: &'static str,
    /// What the machine is like: done once in every child, before anything fails.
    pub prepare: fn(),
    pub run: fn(),
    /// Calls that fail at all times.
    pub never: Calls,
    /// Runs of the bounded sweep for each way of failing; 0: only the long sweep has this one.
    pub runs: u64,
}

/// Of a workload for which nothing has to be prepared.
pub fn as_it_is() {}

/// In a workload: waits for a child of its own, and ends as it did if that was not well.
pub fn wait_for(pid: libc::pid_t) {
    let mut status = 0;
    // SAFETY: our own child; a valid place for its status.
    while unsafe { libc::waitpid(pid, &raw mut status, 0) } != pid {}
    if libc::WIFSIGNALED(status) {
        // Its last words are in the place for this one's.
        // SAFETY: ends this process.
        unsafe {
            libc::signal(libc::WTERMSIG(status), libc::SIG_DFL);
            libc::kill(libc::getpid(), libc::WTERMSIG(status));
        }
    }
    assert_eq!(status, 0, "the child's status");
}

/// How a sequence of failures goes on.
const FOR_EVER: u64 = u64::MAX;
const WAYS: [(&str, u64, bool); 5] = [
    ("once", 0, false),
    ("three times", 2, false),
    ("from then on", FOR_EVER, false),
    ("once, half done", 0, true),
    ("from then on, half done", FOR_EVER, true),
];

/// In the test called `name`: runs the sweep in a process of its own, whose other threads do
/// nothing, and asserts that each of `expected` was made to fail. In that process: runs it.
pub fn sweep(name: &str, workloads: &[Workload], expected: &[Call]) {
    if env::var(CASE).is_ok_and(|case| case == name) {
        return conduct(workloads, expected);
    }
    let own = env::current_exe().expect("the test binary's path");
    let output = process::Command::new(own)
        .args([name, "--exact", "--nocapture", "--test-threads=1"])
        .env(CASE, name)
        .env("RUST_BACKTRACE", "0")
        .output()
        .expect("the test binary runs");
    let said = String::from_utf8_lossy(&output.stdout);
    println!("{said}");
    let wrong = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.contains(" runs, "), "{}\n{wrong}", output.status);
}

fn conduct(workloads: &[Workload], expected: &[Call]) {
    let long = env::var_os(LONG).is_some();
    let mut sum = Sum::default();
    if let Ok(only) = env::var(ONLY) {
        for workload in workloads {
            if let Some(plan) = only.strip_prefix(workload.name).and_then(parse) {
                sum.run(workload, &Plan { never: workload.never, ..plan });
            }
        }
    } else {
        for workload in workloads {
            let runs = if long { u64::MAX } else { workload.runs };
            if runs > 0 {
                sum.sweep(workload, runs, long);
            }
        }
        sum.must_have_failed(expected);
    }
    sum.print();
    assert!(sum.findings.is_empty(), "{}", sum.findings.join("\n"));
}

/// What all runs of a sweep came to.
#[derive(Default)]
struct Sum {
    runs: u64,
    ended: u64,
    seen: Totals,
    failed: Totals,
    findings: Vec<String>,
}

#[derive(Clone, Copy)]
struct Totals([u64; CALLS]);

impl Default for Totals {
    fn default() -> Self {
        Totals([0; CALLS])
    }
}

impl Totals {
    fn all(&self) -> u64 {
        self.0.iter().sum()
    }
}

impl Sum {
    fn sweep(&mut self, workload: &Workload, runs: u64, long: bool) {
        // What is called if nothing fails.
        let plain = self.run(workload, &Plan { never: workload.never, ..Plan::NOTHING });
        let calls = plain.all();
        let before = (self.runs, self.failed.all());
        let began = std::time::Instant::now();
        for (i, (_, more, half)) in WAYS.into_iter().enumerate() {
            // Any of them, by its number among all. Nothing at all works, and what fails is half
            // done: no kernel is like that.
            let numbers = if half && more == FOR_EVER { 0 } else { runs };
            for first in spread(calls, numbers, i as u64) {
                let errors = if long { 0..4 } else { first as usize..first as usize + 1 };
                for error in errors {
                    let calls = Calls::ALL;
                    let plan = Plan { calls, first, more, error, half, never: workload.never };
                    self.run(workload, &plan);
                }
            }
            // One kind alone, as a filter would.
            for &call in Call::EACH {
                let worth = long || more == 0 || more == FOR_EVER;
                if !worth || half && !call.is_done_by_halves() {
                    continue;
                }
                let made = plain.0[call as usize];
                for first in spread(made, (runs / 10).max(1), i as u64 * 7 + call as u64) {
                    for error in 0..if long { call.errors().len() } else { 1 } {
                        let error = if long { error } else { first as usize + i };
                        let calls = Calls::only(call);
                        let plan = Plan { calls, first, more, error, half, never: workload.never };
                        self.run(workload, &plan);
                    }
                }
            }
        }
        println!(
            "{}: {calls} calls; {} runs, {} failures of calls, {:.1} s",
            workload.name,
            self.runs - before.0,
            self.failed.all() - before.1,
            began.elapsed().as_secs_f64()
        );
    }

    /// One run; the calls that it made.
    fn run(&mut self, workload: &Workload, plan: &Plan) -> Totals {
        let (record, outcome) = run(workload, plan);
        self.runs += 1;
        let mut seen = Totals::default();
        for i in 0..CALLS {
            seen.0[i] = record.seen[i].load(Relaxed);
            self.seen.0[i] += seen.0[i];
            self.failed.0[i] += record.failed[i].load(Relaxed);
        }
        let failed: u64 = record.failed.iter().map(|count| count.load(Relaxed)).sum();
        match outcome {
            Ok(()) => {}
            // The heap says so and ends the process: its only answer when it cannot start, or
            // cannot get new secrets in a child.
            Err((libc::SIGABRT, said)) if said == START_UP && failed > 0 => self.ended += 1,
            Err((status, said)) => {
                let finding = format!("{}{}: {status}: {said}", workload.name, show(plan));
                eprintln!("{finding}");
                self.findings.push(finding);
            }
        }
        seen
    }

    fn must_have_failed(&mut self, expected: &[Call]) {
        for &call in expected {
            if self.failed.0[call as usize] == 0 {
                self.findings.push(format!("{} was never made to fail", call.name()));
            }
        }
    }

    fn print(&self) {
        let mut never = Vec::new();
        for &call in Call::EACH {
            let (seen, failed) = (self.seen.0[call as usize], self.failed.0[call as usize]);
            match failed {
                0 => never.push(format!("{} ({seen})", call.name())),
                _ => println!("  {:36} {failed:8} of {seen:9} failed", call.name()),
            }
        }
        println!("  never made to fail, with their calls: {}", never.join(", "));
        println!(
            "{} runs, {} failures of calls, {} ended by a message",
            self.runs,
            self.failed.all(),
            self.ended
        );
    }
}

/// Numbers from 1 to `last`: all, or about `most` of them, the first ones more densely.
fn spread(last: u64, most: u64, salt: u64) -> BTreeSet<u64> {
    if last <= most {
        return (1..=last).collect();
    }
    if most < 2 {
        return (0..most).map(|_| 1 + salt * 13 % last).collect();
    }
    let dense = most / 4;
    let (rest, room) = (most - dense, last - dense);
    (1..=dense)
        .chain((0..rest).map(|i| dense + 1 + (i * room + salt * 13 % room) / rest % room))
        .collect()
}

/// A plan as text, for findings; `parse` reads it.
fn show(plan: &Plan) -> String {
    let calls = match Call::EACH.iter().find(|&&call| Calls::only(call) == plan.calls) {
        Some(call) => call.name(),
        None => "any",
    };
    let (way, ..) =
        WAYS.iter().find(|way| (way.1, way.2) == (plan.more, plan.half)).unwrap_or(&WAYS[0]);
    format!("|{calls}|{}|{way}|{}", plan.first, plan.error)
}

fn parse(text: &str) -> Option<Plan> {
    let mut parts = text.strip_prefix('|')?.split('|');
    let calls = parts.next()?;
    let calls = match Call::EACH.iter().find(|call| call.name() == calls) {
        Some(&call) => Calls::only(call),
        None => Calls::ALL,
    };
    let first = parts.next()?.parse().ok()?;
    let way = parts.next()?;
    let &(_, more, half) = WAYS.iter().find(|known| known.0 == way)?;
    let error = parts.next()?.parse().ok()?;
    Some(Plan { calls, first, more, half, error, never: Calls::NONE })
}

/// Runs the workload in a child; what it called, and signal or status with the last words unless
/// it ended well.
pub fn run(workload: &Workload, plan: &Plan) -> (&'static Record, Result<(), (i32, String)>) {
    let record = shared();
    let name = c"last words";
    // SAFETY: a new descriptor, owned by the file.
    let mut words = unsafe {
        let fd = libc::memfd_create(name.as_ptr(), libc::MFD_CLOEXEC);
        assert!(fd >= 0, "a memory file");
        std::fs::File::from_raw_fd(fd)
    };
    // SAFETY: the only other thread of this process waits for it.
    let pid = unsafe { libc::fork() };
    assert!(pid >= 0, "fork");
    if pid == 0 {
        // SAFETY: of this child alone: it cannot hang for good, leaves no core file, and its last
        // words go to the parent.
        unsafe {
            libc::alarm(SECONDS);
            libc::prctl(libc::PR_SET_DUMPABLE, 0);
            libc::dup2(words.as_raw_fd(), libc::STDERR_FILENO);
            for fatal in [libc::SIGSEGV, libc::SIGBUS, libc::SIGILL] {
                libc::signal(fatal, libc::SIG_DFL);
            }
        }
        (workload.prepare)();
        failing::record_in(record);
        failing::arm(plan);
        let done = catch_unwind(AssertUnwindSafe(workload.run));
        // SAFETY: ends the child without exit handlers.
        unsafe { libc::_exit(if done.is_ok() { 0 } else { 101 }) }
    }
    let mut status = 0;
    // SAFETY: our own child; a valid place for its status.
    while unsafe { libc::waitpid(pid, &raw mut status, 0) } != pid {}
    if status == 0 {
        return (record, Ok(()));
    }
    let mut said = Vec::new();
    words.rewind().expect("a memory file");
    words.read_to_end(&mut said).expect("a memory file");
    let said = String::from_utf8_lossy(&said).to_string();
    let ended =
        if libc::WIFSIGNALED(status) { libc::WTERMSIG(status) } else { libc::WEXITSTATUS(status) };
    (record, Err((ended, said)))
}

/// The record of the next child, in memory that it shares with this process.
fn shared() -> &'static Record {
    static ONE: std::sync::OnceLock<usize> = std::sync::OnceLock::new();
    let at = *ONE.get_or_init(|| {
        let flags = libc::MAP_SHARED | libc::MAP_ANONYMOUS;
        let protection = libc::PROT_READ | libc::PROT_WRITE;
        // SAFETY: a new mapping, which stays.
        let at = unsafe {
            libc::mmap(core::ptr::null_mut(), size_of::<Record>(), protection, flags, -1, 0)
        };
        assert_ne!(at, libc::MAP_FAILED);
        at.expose_provenance()
    });
    // SAFETY: mapped above for good, aligned to pages; zeros are valid counters.
    let record = unsafe { &*crate::os::pointer::<Record>(at) };
    for count in record.seen.iter().chain(&record.failed) {
        count.store(0, Relaxed);
    }
    record
}

#[test]
fn plans_are_read_as_they_are_written() {
    for &call in Call::EACH {
        for (_, more, half) in WAYS {
            let plan =
                Plan { calls: Calls::only(call), first: 7, more, half, error: 3, ..Plan::NOTHING };
            assert_eq!(parse(&show(&plan)), Some(plan));
        }
    }
}

#[test]
fn numbers_are_spread() {
    assert_eq!(spread(5, 10, 0), (1..=5).collect());
    let many = spread(1000, 100, 3);
    assert!(many.len() > 90 && many.iter().all(|&n| (1..=1000).contains(&n)));
    assert!(many.contains(&1) && *many.last().unwrap() > 900);
}
