//! Forks, in programs with one thread and with many that are in the middle of everything: the
//! child's heap works, and what parent and child draw from then on differs. Every case is a
//! process of its own. `ci/fork-storm` does the same tens of thousands of times.

#![expect(unsafe_code, reason = "fork, _Fork, clone, and allocations by hand")]

#[path = "../../examples/ci_shared/bare_thread.rs"]
mod bare_thread;
#[path = "../environment/child.rs"]
mod child;
mod exec;
mod family;
mod handlers;
mod interrupted;
mod load;
#[path = "../threads/processor.rs"]
mod processor;
#[path = "../threads/raw.rs"]
mod raw;
mod without;

#[global_allocator]
static HEAP: casemate::Casemate = casemate::Casemate::new();
