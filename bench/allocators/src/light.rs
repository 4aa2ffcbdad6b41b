//! The workloads on Casemate with the light policy.

use std::process::ExitCode;

use casemate::{Casemate, Light};

#[global_allocator]
static HEAP: Casemate<Light> = Casemate::new();

fn main() -> ExitCode {
    casemate_bench_workloads::main()
}
