//! `casemate doctor`: which protections this machine gives, what binds, and a self-test.

use crate::options;
use crate::run::library::{self, Library};
use crate::system::limits::{self, Limit};
use crate::table::bytes;
use crate::trial::{self, Outcome};
use crate::{Failure, misuse};
use casemate::Kind;
use casemate::policy::Set;
use casemate_report::layout::in_force;
use casemate_report::reader::Process;
use std::process::ExitCode;

/// Prints everything; fails if the self-test does.
pub fn doctor(options: &options::Doctor) -> Result<ExitCode, Failure> {
    let library = library::find(&options.heap)?;
    println!("library: {}", library.path.display());
    let (outcome, report) = trial::run("none", Some(&library))?;
    let Some(process) = report.filter(|_| matches!(outcome, Outcome::Harmless(_))) else {
        println!("  FAILED  a correct program on this library: {}", outcome.words());
        return Ok(ExitCode::FAILURE);
    };
    protections(&process);
    binding_limits(&process);
    let good = self_test(&library, &process)?;
    println!("{}", if good { "Everything works." } else { "Some of it does not work." });
    Ok(if good { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// A line: in force or not, what, and what to do about it.
fn item(on: bool, what: &str, advice: &str) {
    println!("  {}  {what}", if on { "yes" } else { "no " });
    if !on && !advice.is_empty() {
        println!("       {advice}");
    }
}

fn protections(process: &Process) {
    println!("\npolicy: {}", process.policy.unwrap_or("unknown"));
    for (name, one) in Set::EACH {
        item(process.protections & one.bits() != 0, name, "");
    }
    let kernel = limits::kernel();
    let version = kernel.map_or_else(|| "unknown".into(), |(a, b)| format!("{a}.{b}"));
    println!("\nthis machine (Linux {version}):");
    let has = |bit| process.in_force & bit != 0;
    let newer = |least: (u32, u32), refused: &'static str, needs: &'static str| {
        if kernel.is_some_and(|version| version >= least) { refused } else { needs }
    };
    item(
        has(in_force::MARKERS),
        "guards in the page table: any number, without mappings",
        newer(
            (6, 13),
            "the kernel has them but refuses: a system call filter, or locked memory (mlockall)",
            "needs Linux 6.13; until then guards cost mappings: raise vm.max_map_count",
        ),
    );
    item(
        has(in_force::SEALED),
        "the page with secrets is sealed against every change of its protection",
        newer(
            (6, 10),
            "the kernel has mseal but refuses: a system call filter, or a container's",
            "needs Linux 6.10; until then it is read-only",
        ),
    );
    item(has(in_force::READ_ONLY), "the page with secrets is read-only", "mprotect was refused");
    item(
        has(in_force::RAW_FORK),
        "forks that bypass the C library are noticed",
        "needs Linux 4.14 and a system call filter that allows madvise",
    );
    item(
        has(in_force::AES),
        "canaries by the processor's AES instructions",
        "this processor, or virtual machine, shows none: canaries are made by SipHash, slower",
    );
    item(
        has(in_force::SPACE_RESERVED),
        "address space is reserved at start-up",
        "a limit on address space binds (ulimit -v, RLIMIT_AS): memory is mapped as needed, and \
         fewer random bits remain",
    );
    println!("       2^{} bytes of address space for a size class", process.region_bits);
}

fn binding_limits(process: &Process) {
    println!("\nlimits:");
    let or_none = |limit: Option<u64>| limit.map_or_else(|| "unlimited".into(), bytes);
    let show = |name: &str, value: String, advice: Option<&str>| {
        println!("  {name}: {value}");
        if let Some(advice) = advice {
            println!("       {advice}");
        }
    };
    let space = limits::limit(Limit::AddressSpace);
    show(
        "address space (RLIMIT_AS)",
        or_none(space),
        space.map(|_| "binds: `ulimit -v unlimited`, or LimitAS=infinity in a systemd unit"),
    );
    let locked = limits::limit(Limit::LockedMemory);
    show(
        "locked memory (RLIMIT_MEMLOCK)",
        or_none(locked),
        locked.map(|_| {
            "matters to programs that call mlockall: without the privilege it compares the whole \
             reservation with this limit; LimitMEMLOCK=infinity, or `ulimit -v` to reserve nothing"
        }),
    );
    let core = limits::limit(Limit::CoreFile);
    show(
        "core files (RLIMIT_CORE)",
        or_none(core),
        (core != Some(0)).then_some("a core file holds the program's memory, secrets too"),
    );
    let markers = process.in_force & in_force::MARKERS != 0;
    if let Some(count) = limits::setting("vm.max_map_count") {
        let low = !markers && count < 1 << 20;
        show(
            "mappings (vm.max_map_count)",
            count.to_string(),
            low.then_some(
                "binds: guards cost mappings here; `sysctl vm.max_map_count=1048576` keeps all of \
                 them in large programs",
            ),
        );
    }
    if let Some(mode) = limits::setting("vm.overcommit_memory") {
        let words = ["0 (heuristic)", "1 (always)", "2 (strict accounting)"];
        let shown = words.get(mode as usize).map_or_else(|| mode.to_string(), |&w| w.to_owned());
        show(
            "overcommit (vm.overcommit_memory)",
            shown,
            (mode == 2).then_some(
                "reservations are inaccessible and not counted; what is committed is, as with \
                 any heap",
            ),
        );
    }
    if let Some(mode) = limits::setting("kernel.randomize_va_space") {
        show(
            "address randomisation (kernel.randomize_va_space)",
            mode.to_string(),
            (mode < 2).then_some(
                "not full: the heap draws its own addresses, but stacks and libraries are easier \
                 to find; `sysctl kernel.randomize_va_space=2`",
            ),
        );
    }
}

/// What the self-test expects of a misuse.
enum Expected {
    /// One of these.
    Found(&'static [Kind]),
    Fault,
    /// Wiped: only where the policy does that.
    Harmless(Set),
}

const TESTS: &[(&str, Expected)] = &[
    ("double-free", Expected::Found(&[Kind::DoubleFree])),
    ("overflow-by-one", Expected::Found(&[Kind::Overflow])),
    ("underflow", Expected::Found(&[Kind::Underflow, Kind::Overflow])),
    ("free-stack", Expected::Found(&[Kind::ForeignPointer])),
    ("free-interior", Expected::Found(&[Kind::InteriorPointer])),
    ("large-overflow", Expected::Fault),
    ("large-stale", Expected::Fault),
    ("uninitialised", Expected::Harmless(Set::WIPE)),
    ("write-after-free", Expected::Found(&[Kind::WriteAfterFree, Kind::WriteAfterFreePurge])),
];

fn self_test(library: &Library, process: &Process) -> Result<bool, Failure> {
    println!("\nself-test:");
    let mut good = true;
    let has = |set: Set| process.protections & set.bits() == set.bits();
    for (name, expected) in TESTS {
        let needs = match expected {
            Expected::Harmless(set) => *set,
            Expected::Found([Kind::WriteAfterFree, ..]) => Set::REUSE_CHECK,
            Expected::Found([Kind::Underflow, ..]) => Set::NEIGHBOUR,
            Expected::Found(_) | Expected::Fault => Set::NONE,
        };
        let what = misuse::find(name).map_or(*name, |misuse| misuse.what);
        if !has(needs) {
            println!("  --    {what}: not in this policy");
            continue;
        }
        let (outcome, _) = trial::run(name, Some(library))?;
        let passed = match (expected, &outcome) {
            (Expected::Found(kinds), Outcome::Found(Some(kind), _)) => kinds.contains(kind),
            // Its slab had been given back already.
            (Expected::Found([Kind::WriteAfterFree, ..]), Outcome::Fault) => true,
            (Expected::Fault, Outcome::Fault) => true,
            (Expected::Harmless(_), Outcome::Harmless(_)) => true,
            _ => false,
        };
        good &= passed;
        let shown = match &outcome {
            Outcome::Fault => "stopped: fault at inaccessible memory".into(),
            other => other.words(),
        };
        println!("  {}  {what}: {shown}", if passed { "ok  " } else { "FAIL" });
    }
    println!();
    Ok(good)
}
