//! The workloads on compatmalloc.

use std::process::ExitCode;

use compatmalloc::CompatMalloc;

#[global_allocator]
static HEAP: CompatMalloc = CompatMalloc;

fn main() -> ExitCode {
    casemate_bench_workloads::main()
}
