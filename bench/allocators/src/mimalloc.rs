//! The workloads on mimalloc: as it comes, or with its feature `secure`.

use std::process::ExitCode;

use mimalloc::MiMalloc;

#[global_allocator]
static HEAP: MiMalloc = MiMalloc;

fn main() -> ExitCode {
    casemate_bench_workloads::main()
}
