//! The workloads on snmalloc: as it comes, or with its feature `check`.

use std::process::ExitCode;

use snmalloc_rs::SnMalloc;

#[global_allocator]
static HEAP: SnMalloc = SnMalloc;

fn main() -> ExitCode {
    casemate_bench_workloads::main()
}
