//! For `ci/idle-threads`: idle threads on Casemate.

#[path = "ci_shared/idle.rs"]
mod idle;

#[global_allocator]
static HEAP: casemate::Casemate = casemate::Casemate::new();

fn main() {
    idle::run();
}
