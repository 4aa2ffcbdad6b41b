//! The workloads on the system allocator: what everything else is measured against.

use std::alloc::System;
use std::process::ExitCode;

#[global_allocator]
static HEAP: System = System;

fn main() -> ExitCode {
    casemate_bench_workloads::main()
}
