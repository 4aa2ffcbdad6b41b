//! The rows of the table, and the child process that measures one of them.

use std::alloc::GlobalAlloc;
use std::process::{Command, ExitCode};
use std::time::Duration;

use crate::allocators::{self, Heap, Which};
use crate::memory::Model;
use crate::two_threads::TwoThreads;
use crate::{memory, process, single, two_threads};

/// A child that takes longer is ended and counts as failed.
const CHILD_SECONDS: u32 = 60;

const SIZES: &[usize] = &[
    16, 32, 48, 64, 96, 128, 256, 512, 1000, 1024, 2048, 4096, 8192, 16_384, 32_768, 65_536,
    131_072, 262_144, 524_288, 1_048_576,
];
const LIVE: &[usize] = &[1, 100, 10_000, 200_000];
const MAX_BYTES: usize = 512 << 20;

/// The groups with targets of their own.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Group {
    Small,
    Large,
    TwoThreads,
    Memory,
}

/// A row: one workload.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Row {
    Single { size: usize, live: usize },
    TwoThreads(TwoThreads),
    Memory(Model),
}

/// Every row in the table's order.
pub fn all() -> Vec<Row> {
    let single = SIZES.iter().flat_map(|&size| {
        LIVE.iter()
            .filter(move |&&live| size * live <= MAX_BYTES)
            .map(move |&live| Row::Single { size, live })
    });
    single
        .chain(TwoThreads::ALL.iter().copied().map(Row::TwoThreads))
        .chain(Model::ALL.iter().copied().map(Row::Memory))
        .collect()
}

impl Row {
    /// The name, which is also how a child is told what to run.
    pub fn name(self) -> String {
        match self {
            Row::Single { size, live } if size >= 2048 => {
                format!("single {} KiB x {live}", size / 1024)
            }
            Row::Single { size, live } => format!("single {size} B x {live}"),
            Row::TwoThreads(workload) => format!("two threads {}", workload.name()),
            Row::Memory(model) => format!("memory {}", model.name()),
        }
    }

    /// The group its ratio counts for.
    pub fn group(self) -> Group {
        match self {
            Row::Single { size, .. } if size <= 128 => Group::Small,
            Row::Single { .. } => Group::Large,
            Row::TwoThreads(_) => Group::TwoThreads,
            Row::Memory(_) => Group::Memory,
        }
    }

    /// Whether `which` runs this row: the floor only where its ratio is a target.
    pub fn is_for(self, which: Which) -> bool {
        which != Which::Floor || self.group() == Group::Large
    }

    /// The most rounds that are worth their time: memory hardly varies.
    pub fn rounds(self) -> usize {
        if self.group() == Group::Memory { 2 } else { usize::MAX }
    }
}

/// What a child runs: a row, for about `time`.
pub struct Program {
    row: Row,
    time: Duration,
}

impl Program {
    /// The result: nanoseconds per pair, or KiB for a memory row.
    pub fn run<A: GlobalAlloc + Sync>(&self, heap: Heap<A>) -> f64 {
        match self.row {
            Row::Single { size, live } => single::run(heap, size, live, self.time),
            // These vary more.
            Row::TwoThreads(workload) => two_threads::run(heap, workload, 2 * self.time),
            Row::Memory(model) => memory::run(heap, model),
        }
    }
}

/// Runs `row` in a child; without an allocator, what of a memory row is not the allocator's.
pub fn measure(which: Option<Which>, row: Row, time: Duration) -> Result<f64, String> {
    let which = which.map_or("none", Which::name);
    number(&[which, &row.name(), &time.as_micros().to_string()])
}

/// [`two_threads::empty_turn`] in a child.
pub fn empty_turn() -> Result<f64, String> {
    number(&["empty-turn"])
}

/// The number that a child with these arguments prints.
fn number(args: &[&str]) -> Result<f64, String> {
    let output = command()?.args(args).output().map_err(|error| error.to_string())?;
    let stderr = String::from_utf8_lossy(&output.stderr);
    if !output.status.success() {
        return Err(format!("{}: {}", output.status, stderr.trim().lines().next().unwrap_or("")));
    }
    let stdout = String::from_utf8_lossy(&output.stdout);
    stdout.trim().parse().map_err(|_| format!("no number but {stdout:?}"))
}

/// Whether snmalloc's checks are compiled in, from what becomes of a double free in a child.
pub fn probe_snmalloc() -> String {
    let output = match command().map(|mut command| command.arg("probe").output()) {
        Ok(Ok(output)) => output,
        Ok(Err(error)) => return error.to_string(),
        Err(error) => return error,
    };
    let stderr = String::from_utf8_lossy(&output.stderr);
    if output.status.success() {
        "NOT COMPARABLE: built without checks, see .cargo/config.toml".into()
    } else if stderr.contains("assert fail") {
        "NOT COMPARABLE: built with debugging assertions, see .cargo/config.toml".into()
    } else {
        "built with checks (a double free ends the process)".into()
    }
}

fn command() -> Result<Command, String> {
    let exe = std::env::current_exe().map_err(|error| error.to_string())?;
    let mut command = Command::new(exe);
    command.arg("--child");
    Ok(command)
}

/// The child: prints one number.
pub fn child(args: impl Iterator<Item = String>) -> ExitCode {
    process::end_process_after(CHILD_SECONDS);
    let args: Vec<_> = args.collect();
    let args: Vec<_> = args.iter().map(String::as_str).collect();
    let (which, name, micros) = match args[..] {
        ["probe"] => {
            allocators::double_free_snmalloc();
            return ExitCode::SUCCESS;
        }
        ["empty-turn"] => {
            println!("{}", two_threads::empty_turn());
            return ExitCode::SUCCESS;
        }
        [which, name, micros] => (which, name, micros),
        _ => return ExitCode::FAILURE,
    };
    let row = all().into_iter().find(|row| row.name() == name);
    let (Some(row), Ok(micros)) = (row, micros.parse()) else {
        return ExitCode::FAILURE;
    };
    let program = Program { row, time: Duration::from_micros(micros) };
    let result = match (Which::parse(which), row) {
        (Some(which), _) => which.run(&program),
        (None, Row::Memory(model)) => memory::run_without_allocator(model),
        (None, _) => return ExitCode::FAILURE,
    };
    println!("{result}");
    ExitCode::SUCCESS
}
