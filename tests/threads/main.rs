//! Threads: their ends, their number, objects that travel between them, and signal handlers that
//! allocate in the middle of an allocation. Every case is a process of its own.

#![expect(unsafe_code, reason = "pthread keys, signal handlers, allocations by hand")]

#[path = "../environment/child.rs"]
mod child;
mod churn;
mod ended;
mod exchange;
mod exits;
mod guests;
mod memory;
mod processor;
mod raw;
mod signals;

#[global_allocator]
static HEAP: casemate::Casemate = casemate::Casemate::new();
