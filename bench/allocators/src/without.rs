//! The workloads on Casemate's full policy without some protections: what those cost.

use std::process::ExitCode;

use casemate::Casemate;
use casemate::policy::{Set, Without};

#[path = "../../without/src/names.rs"]
mod names;

#[global_allocator]
static HEAP: Casemate<Without<{ names::OFF }>> = Casemate::new();

fn main() -> ExitCode {
    casemate_bench_workloads::main()
}
