//! The workloads on Casemate's full policy without one protection: what that one costs.
//!
//! Which one is told at compile time, by `CASEMATE_WITHOUT`: its name in [`Set::EACH`].

use std::process::ExitCode;

use casemate::Casemate;
use casemate::policy::{Set, Without};

#[global_allocator]
static HEAP: Casemate<Without<OFF>> = Casemate::new();

const OFF: u32 = match option_env!("CASEMATE_WITHOUT") {
    Some(name) => bits(name),
    None => Set::NONE.bits(),
};

/// The bit of the protection called `name`.
const fn bits(name: &str) -> u32 {
    let mut i = 0;
    while i < Set::EACH.len() {
        if same(Set::EACH[i].0.as_bytes(), name.as_bytes()) {
            return Set::EACH[i].1.bits();
        }
        i += 1;
    }
    panic!("no protection has the name in CASEMATE_WITHOUT")
}

const fn same(one: &[u8], other: &[u8]) -> bool {
    let mut i = 0;
    while i < one.len() && i < other.len() && one[i] == other[i] {
        i += 1;
    }
    i == one.len() && i == other.len()
}

fn main() -> ExitCode {
    casemate_bench_workloads::main()
}
