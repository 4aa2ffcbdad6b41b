//! Layer: faces, tests only. Runs a workload again and again in children, each with another call
//! of the kernel's failing, and judges how they end.

use super::child::run;
use crate::os::linux::failing::{CALLS, Call, Calls, Plan};
use core::sync::atomic::Ordering::Relaxed;
use std::collections::BTreeSet;
use std::string::String;
use std::vec::Vec;
use std::{env, eprintln, format, println, process};

/// Set in the process that runs the sweep of one test.
const CASE: &str = "CASEMATE_FAILURES_CASE";
/// Set for the long sweep: every call number, every error that the code tells from others.
const LONG: &str = "CASEMATE_FAILURES_LONG";
/// Its value for a sweep in between: every call number, alone and from there on, with one error.
const SINGLY: &str = "singly";
/// For one run alone, as a finding names it, or for one workload alone, by its name.
const ONLY: &str = "CASEMATE_FAILURES_ONLY";
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

/// As many kinds of errors as the code tells apart for one call.
const KINDS: usize = 3;

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
    let runs = |workload: &Workload| if long { u64::MAX } else { workload.runs };
    let mut sum = Sum::new();
    if let Ok(only) = env::var(ONLY) {
        for workload in workloads {
            if only == workload.name {
                sum.sweep(workload, runs(workload), long);
            } else if let Some(plan) = only.strip_prefix(workload.name).and_then(parse) {
                sum.run(workload, &Plan { never: workload.never, ..plan });
            }
        }
    } else {
        for workload in workloads {
            if runs(workload) > 0 {
                sum.sweep(workload, runs(workload), long);
            }
        }
        sum.fail_what_follows_failures(expected);
        sum.must_have_failed(expected);
    }
    sum.print();
    assert!(sum.findings.is_empty(), "{}", sum.findings.join("\n"));
}

/// Whether there is such a kernel or filter. One that forbids waking when a thread sleeps already
/// leaves it asleep, whoever wrote the lock: waking fails from the start on, and then so does
/// sleeping.
fn is_possible(call: Call, first: u64, more: u64) -> bool {
    call != Call::Wake || (first == 1 && more == FOR_EVER)
}

/// What all runs of a sweep came to.
struct Sum {
    runs: u64,
    ended: u64,
    seen: Totals,
    failed: Totals,
    /// A run in which the call was seen, by call.
    example: [Option<(Workload, Plan)>; CALLS],
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
    fn new() -> Sum {
        Sum {
            runs: 0,
            ended: 0,
            seen: Totals::default(),
            failed: Totals::default(),
            example: [None; CALLS],
            findings: Vec::new(),
        }
    }

    fn sweep(&mut self, workload: &Workload, runs: u64, long: bool) {
        // What is called if nothing fails.
        let plain = self.run(workload, &Plan { never: workload.never, ..Plan::NOTHING });
        let calls = plain.all();
        let before = (self.runs, self.failed.all());
        let began = std::time::Instant::now();
        if env::var(LONG).is_ok_and(|value| value == SINGLY) {
            self.singly(workload, &plain);
        } else {
            self.in_every_way(workload, &plain, runs, long);
        }
        println!(
            "{}: {calls} calls; {} runs, {} failures of calls, {:.1} s",
            workload.name,
            self.runs - before.0,
            self.failed.all() - before.1,
            began.elapsed().as_secs_f64()
        );
    }

    /// Every call alone, and it and all of its kind from there on; its errors in turn.
    fn singly(&mut self, workload: &Workload, plain: &Totals) {
        for &call in Call::EACH {
            for first in 1..=plain.0[call as usize] {
                for (turn, more) in [0, FOR_EVER].into_iter().enumerate() {
                    if !is_possible(call, first, more) {
                        continue;
                    }
                    let (calls, error) = (Calls::only(call), first as usize + turn);
                    let plan =
                        Plan { calls, first, more, error, half: false, never: workload.never };
                    self.run(workload, &plan);
                }
            }
        }
    }

    fn in_every_way(&mut self, workload: &Workload, plain: &Totals, runs: u64, long: bool) {
        let calls = plain.all();
        for (i, (_, more, half)) in WAYS.into_iter().enumerate() {
            // Any of them, by its number among all. Nothing at all works, and what fails is half
            // done: no kernel is like that. In the long form one alone has its turn below, by its
            // number among its kind.
            let numbers = match (more, half) {
                (FOR_EVER, true) => 0,
                (0, _) if long => 0,
                _ => runs,
            };
            for first in spread(calls, numbers, i as u64) {
                let errors = if long { 0..KINDS } else { first as usize..first as usize + 1 };
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
                let some = || spread(made, (runs / 10).max(1), i as u64 * 7 + call as u64);
                let some = if call == Call::Wake { BTreeSet::from([1]) } else { some() };
                for first in some {
                    if !is_possible(call, first, more) {
                        continue;
                    }
                    let calls = Calls::only(call);
                    let plan = Plan { calls, first, more, error: 0, half, never: workload.never };
                    match (long, half) {
                        // Only for want of memory.
                        (true, true) => drop(self.run(workload, &plan)),
                        (true, false) => call.kinds().for_each(|error| {
                            self.run(workload, &Plan { error, ..plan });
                        }),
                        (false, _) => {
                            self.run(workload, &Plan { error: first as usize + i, ..plan });
                        }
                    }
                }
            }
        }
    }

    /// One run; the calls that it made.
    fn run(&mut self, workload: &Workload, plan: &Plan) -> Totals {
        let (record, outcome) = run(workload, plan);
        self.runs += 1;
        let mut seen = Totals::default();
        for i in 0..CALLS {
            seen.0[i] = record.seen[i].load(Relaxed);
            self.seen.0[i] += seen.0[i];
            if seen.0[i] != 0 {
                self.example[i].get_or_insert((*workload, *plan));
            }
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

    /// What is called only where another call has failed is in no count of an undisturbed run, and
    /// which failure meets it is chance: there it fails together with the other.
    fn fail_what_follows_failures(&mut self, expected: &[Call]) {
        for &call in expected {
            if self.failed.0[call as usize] == 0
                && let Some((workload, plan)) = self.example[call as usize]
            {
                self.run(&workload, &Plan { never: plan.never.and(call), ..plan });
            }
        }
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
fn no_call_has_more_kinds_of_errors() {
    for &call in Call::EACH {
        let kinds: Vec<_> = call.kinds().collect();
        assert_eq!(kinds.first(), Some(&0), "{call:?}");
        assert!(kinds.iter().all(|&error| error < KINDS), "{call:?}: {kinds:?}");
    }
    assert_eq!(Call::Guard.kinds().collect::<Vec<_>>(), [0, 1, 2]);
    assert_eq!(Call::MapAnywhere.kinds().collect::<Vec<_>>(), [0, 1]);
    assert_eq!(Call::Random.kinds().collect::<Vec<_>>(), [0]);
}

#[test]
fn numbers_are_spread() {
    assert_eq!(spread(5, 10, 0), (1..=5).collect());
    let many = spread(1000, 100, 3);
    assert!(many.len() > 90 && many.iter().all(|&n| (1..=1000).contains(&n)));
    assert!(many.contains(&1) && *many.last().unwrap() > 900);
}
