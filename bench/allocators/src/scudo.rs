//! The workloads on scudo, in the form its crate carries.

use std::process::ExitCode;

use scudo::GlobalScudoAllocator;

#[global_allocator]
static HEAP: GlobalScudoAllocator = GlobalScudoAllocator;

fn main() -> ExitCode {
    casemate_bench_workloads::main()
}
