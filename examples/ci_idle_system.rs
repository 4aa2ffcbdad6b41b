//! For `ci/idle-threads`: the same idle threads on the C library's heap.

#[path = "ci_shared/idle.rs"]
mod idle;

fn main() {
    idle::run();
}
