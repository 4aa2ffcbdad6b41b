//! The types in secure memory, from outside: what they keep, what they wipe, what they refuse.
//! Whole-process tests (dumps, scans, forks of threads) are elsewhere.

#[cfg(feature = "allocator-api2")]
mod allocator;
mod boxes;
#[path = "../environment/child.rs"]
#[expect(unsafe_code, reason = "an alarm, and what comes before exec")]
mod child;
mod features;
mod forked;
mod guarded;
mod insists;
#[path = "../environment/limit.rs"]
#[expect(unsafe_code, reason = "limits and capabilities are system calls")]
mod limit;
mod memory;
mod model;
mod password;
mod read;
mod sources;
mod strings;
mod vectors;
#[cfg(feature = "serde")]
mod with_serde;
