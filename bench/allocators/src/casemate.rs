//! The workloads on Casemate with the full policy.

use std::process::ExitCode;

use casemate::Casemate;

#[global_allocator]
static HEAP: Casemate = Casemate::new();

fn main() -> ExitCode {
    casemate_bench_workloads::main()
}
