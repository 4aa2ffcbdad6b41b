//! Casemate runs as it is where address space is short, where it becomes short later, where the
//! kernel refuses guard markers, and where mappings run out. Every case is a process of its own,
//! so that its limits bind from before its heap's start, and none needs a privilege.

#![expect(unsafe_code, reason = "sets limits and filters, allocates by hand")]

mod alignment;
mod child;
mod exhaustion;
mod filter;
mod filtered;
mod limited;
mod load;
mod lowered;
mod mappings;
mod sandboxed;
mod window;

#[global_allocator]
static HEAP: casemate::Casemate = casemate::Casemate::new();
