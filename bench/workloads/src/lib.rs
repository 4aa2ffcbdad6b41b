//! The workloads of the bench: Rust programs that are the same under every allocator.
//!
//! A program of `bench/allocators` names its global allocator and calls [`main`], which runs one
//! workload in a process that does nothing else and prints what it took as one line of JSON. What
//! a workload does depends on its scale alone: every allocator gets the same requests.

mod buffers;
mod catalogue;
mod channels;
mod curves;
mod fragmentation;
mod handover;
mod json;
mod lru_cache;
mod maps;
mod measure;
mod pareto;
mod patterns;
mod service;
mod source;
mod startup;
mod threads;

// The TLS key service, as `examples/keyservice` has it: its modules know each other by their
// place in the crate's root.
#[path = "../../../examples/keyservice/client.rs"]
mod client;
#[path = "../../../examples/keyservice/failure.rs"]
mod failure;
#[path = "../../../examples/keyservice/frame.rs"]
mod frame;
#[path = "../../../examples/keyservice/hostile.rs"]
mod hostile;
#[path = "../../../examples/keyservice/keys.rs"]
mod keys;
#[allow(dead_code, reason = "the bench prints no table by kind of request")]
#[path = "../../../examples/keyservice/latency.rs"]
mod latency;
#[path = "../../../examples/keyservice/protocol.rs"]
mod protocol;
#[path = "../../../examples/keyservice/random.rs"]
mod random;
#[path = "../../../examples/keyservice/server.rs"]
mod server;
#[allow(dead_code, reason = "the bench has no clients from outside")]
#[path = "../../../examples/keyservice/tls.rs"]
mod tls;

use std::process::ExitCode;

use measure::Clock;

/// What every program of `bench/allocators` does:
///
/// ```text
/// bench-ALLOCATOR --list            the workloads: name and group, a line each
/// bench-ALLOCATOR NAME SCALE        one workload; scale 1 takes about a second
/// ```
pub fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words[..] {
        ["--list"] => {
            for workload in catalogue::all() {
                println!("{}\t{}", workload.group, workload.name);
            }
            ExitCode::SUCCESS
        }
        [startup::NOTHING] => {
            println!("{}", measure::peak_kib());
            ExitCode::SUCCESS
        }
        [name, scale] => {
            let workload = catalogue::all().into_iter().find(|workload| workload.name == name);
            let (Some(workload), Ok(scale)) = (workload, scale.parse()) else {
                eprintln!("no such workload or scale: {name} {scale}");
                return ExitCode::FAILURE;
            };
            let mut clock = Clock::new(scale);
            (workload.run)(&mut clock);
            println!("{}", clock.stop());
            ExitCode::SUCCESS
        }
        _ => {
            eprintln!("usage: --list | NAME SCALE");
            ExitCode::FAILURE
        }
    }
}
