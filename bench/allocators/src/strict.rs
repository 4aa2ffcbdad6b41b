//! The workloads on Casemate with the strict policy.

use std::process::ExitCode;

use casemate::{Casemate, Strict};

#[global_allocator]
static HEAP: Casemate<Strict> = Casemate::new();

fn main() -> ExitCode {
    casemate_bench_workloads::main()
}
