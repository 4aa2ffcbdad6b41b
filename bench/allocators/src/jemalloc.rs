//! The workloads on jemalloc.

use std::process::ExitCode;

use tikv_jemallocator::Jemalloc;

#[global_allocator]
static HEAP: Jemalloc = Jemalloc;

fn main() -> ExitCode {
    casemate_bench_workloads::main()
}
