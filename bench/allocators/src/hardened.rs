//! The workloads on hardened_malloc: as it comes, or in its light form.

use std::process::ExitCode;

use hardened_malloc::HardenedMalloc;

#[global_allocator]
static HEAP: HardenedMalloc = HardenedMalloc;

fn main() -> ExitCode {
    casemate_bench_workloads::main()
}
