//! The micro bench of Casemate: time per free+allocate pair and memory of model workloads, for
//! Casemate (full, light, strict), `System`, mimalloc with `secure` and snmalloc with `check`,
//! all in one run.
//!
//! ```text
//! cargo run --release -p casemate-bench --bin micro      # 5 rounds, about five minutes
//! ... --bin micro -- --quick                             # 2 short rounds, under a minute
//! ... --bin micro -- --filter "single 64 B"              # rows by name
//! ```
//!
//! The workspace's `.cargo/config.toml` sets `CXXFLAGS` for snmalloc, which without them is built
//! with its debugging assertions and without its checks; the run tries that out first and says so
//! above the table.
//!
//! # Method
//!
//! * Every number comes from a child process of its own (this binary again, with `--child`), so
//!   no heap disturbs another and a peak of memory belongs to one allocator. The child's global
//!   allocator stays `System`; the measured one is called through `GlobalAlloc`.
//! * Rounds are interleaved: each row is run by every allocator in turn, then the next row; after
//!   the last row the next round begins. Times are medians over the rounds. A ratio is the median
//!   of the rounds' own ratios, whose two numbers were measured within a second: the machine's
//!   mood (processor clock, and in a virtual machine the distance between the two processors,
//!   which is printed as the time of an empty turn) changes more slowly than that.
//! * A pair is: free an object, allocate another, write every byte of it. The program's own
//!   work (random index, write, and where it says so a read) is in every allocator's number.
//! * The floor, for rows of 256 B and more, is `System` plus one memset at free plus one read
//!   pass at allocation: what wiping and checking memory cost at least.
//! * The estimate, to be asked for, is `System` and around it what the full policy's protections do
//!   to objects: the floor's two passes, a canary, up to 32 KiB a random one of 32 (above 4 KiB of
//!   8), and a wait behind 64 to 128 KiB of the class. It finds nothing.
//! * With two threads, each bound to a processor, the number is wall time over the pairs of one
//!   thread.
//! * Memory is the peak resident size (`VmHWM`) plus the largest page tables seen (`VmPTE`),
//!   less the same of a child that only sets up the model's own lists.
//!
//! The machine should be idle: the two-thread rows need two processors.

mod allocators;
mod estimate;
mod floor;
mod memory;
mod process;
mod report;
mod row;
mod single;
mod two_threads;

use std::process::ExitCode;
use std::time::{Duration, Instant};

use allocators::Which;
use row::Row;

const USAGE: &str = "\
usage: micro [options]
  --rounds N         rounds of the timed rows, medians are shown (default 5)
  --quick            2 rounds, 20 ms a row, no light and strict
  --filter TEXT      only rows whose name contains TEXT
  --allocators LIST  only these, by comma: system floor estimate mimalloc snmalloc casemate light
                     strict; all but the estimate unless given
  --json FILE        also write every single measurement to FILE
  --list             print the names of the rows
";

/// What the command line asks for.
struct Options {
    rounds: usize,
    time: Duration,
    filter: String,
    allocators: Vec<Which>,
    json: Option<String>,
    list: bool,
}

impl Options {
    fn parse(mut args: impl Iterator<Item = String>) -> Result<Self, String> {
        let (mut rounds, mut quick, mut allocators) = (None, false, None);
        let mut options = Options {
            rounds: 0,
            time: Duration::ZERO,
            filter: String::new(),
            allocators: Vec::new(),
            json: None,
            list: false,
        };
        while let Some(arg) = args.next() {
            let mut value = || args.next().ok_or(format!("{arg} needs a value"));
            match arg.as_str() {
                "--rounds" => {
                    let number = value()?.parse().map_err(|_| "--rounds needs a number")?;
                    rounds = Some(usize::max(number, 1));
                }
                "--quick" => quick = true,
                "--filter" => options.filter = value()?,
                "--allocators" => {
                    let list = value()?;
                    let each = list.split(',').map(|name| {
                        Which::parse(name).ok_or(format!("no allocator is called {name:?}"))
                    });
                    allocators = Some(each.collect::<Result<Vec<_>, _>>()?);
                }
                "--json" => options.json = Some(value()?),
                "--list" => options.list = true,
                // Given by `cargo bench`; this harness has no other mode.
                "--bench" => {}
                _ => return Err(format!("unknown argument {arg:?}")),
            }
        }
        options.rounds = rounds.unwrap_or(if quick { 2 } else { 5 });
        options.time = Duration::from_millis(if quick { 20 } else { 60 });
        options.allocators = allocators.unwrap_or_else(|| {
            let all = Which::ALL.iter().copied();
            let is_left_out = |which| match which {
                Which::Estimate => true,
                Which::Light | Which::Strict => quick,
                _ => false,
            };
            all.filter(|&which| !is_left_out(which)).collect()
        });
        Ok(options)
    }
}

fn main() -> ExitCode {
    let mut args = std::env::args().skip(1).peekable();
    if args.peek().is_some_and(|first| first == "--child") {
        return row::child(args.skip(1));
    }
    if args.peek().is_some_and(|first| first == "--help" || first == "-h") {
        print!("{USAGE}");
        return ExitCode::SUCCESS;
    }
    match Options::parse(args) {
        Ok(options) => bench(&options),
        Err(message) => {
            eprint!("{message}\n{USAGE}");
            ExitCode::FAILURE
        }
    }
}

/// Runs all rounds and prints the report; failure if a child failed.
fn bench(options: &Options) -> ExitCode {
    let mut rows = row::all();
    rows.retain(|row| row.name().contains(&options.filter));
    if options.list {
        for row in &rows {
            println!("{}", row.name());
        }
        return ExitCode::SUCCESS;
    }
    let start = Instant::now();
    print_header();
    if options.allocators.contains(&Which::Snmalloc) {
        println!("snmalloc:  {}", row::probe_snmalloc());
    }
    let mut results = report::Results::new(rows, options.allocators.clone());
    let mut turns = Vec::new();
    for round in 0..options.rounds {
        run_round(round, options, &mut results);
        turns.push(row::empty_turn().map_or("-".into(), |ns| format!("{ns:.0}")));
        let seconds = start.elapsed().as_secs();
        eprintln!("round {} of {} done after {seconds} s", round + 1, options.rounds);
    }
    results.print();
    println!("\nan empty turn of two threads in ns, by round: {}", turns.join(" "));
    if let Some(path) = &options.json
        && let Err(error) = std::fs::write(path, results.json())
    {
        eprintln!("cannot write {path}: {error}");
        return ExitCode::FAILURE;
    }
    println!("{} rounds in {:.0} s", options.rounds, start.elapsed().as_secs_f64());
    if results.any_failed() { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

/// Prints what the numbers depend on.
fn print_header() {
    let read = |path| std::fs::read_to_string(path).unwrap_or_default();
    let cpuinfo = read("/proc/cpuinfo");
    let processor = cpuinfo.lines().find(|line| line.starts_with("model name"));
    let processor = processor.and_then(|line| line.split(": ").nth(1)).unwrap_or("unknown");
    let count = std::thread::available_parallelism().map_or(0, usize::from);
    println!("processor: {processor}, {count} to run on");
    println!("kernel:    {}", read("/proc/sys/kernel/osrelease").trim());
    let huge = read("/sys/kernel/mm/transparent_hugepage/enabled");
    println!("huge pages: {}, load {}", huge.trim(), read("/proc/loadavg").trim());
}

/// One measurement of every row by every allocator.
fn run_round(round: usize, options: &Options, results: &mut report::Results) {
    for index in 0..results.rows().len() {
        let row = results.rows()[index];
        if round >= row.rounds() {
            continue;
        }
        let empty = match row {
            Row::Memory(_) => match row::measure(None, row, options.time) {
                Ok(kib) => kib,
                Err(error) => {
                    results.fail(index, None, error);
                    continue;
                }
            },
            _ => 0.0,
        };
        for &which in &options.allocators {
            if !row.is_for(which) || results.has_failed(index, which) {
                continue;
            }
            match row::measure(Some(which), row, options.time) {
                Ok(value) => results.add(index, which, value - empty),
                Err(error) => results.fail(index, Some(which), error),
            }
        }
    }
}
