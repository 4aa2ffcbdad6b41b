//! The workloads on the system allocator, wiped at free by zeroizing-alloc.

use std::alloc::System;
use std::process::ExitCode;

use zeroizing_alloc::ZeroAlloc;

#[global_allocator]
static HEAP: ZeroAlloc<System> = ZeroAlloc(System);

fn main() -> ExitCode {
    casemate_bench_workloads::main()
}
