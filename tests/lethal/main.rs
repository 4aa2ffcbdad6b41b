//! Lethal tests: every misuse that Casemate claims to stop is committed in a process of its own,
//! and must end it by the right signal with exactly the right words, or at the guard's very byte.
//!
//! ```text
//! parent                                child: the same binary, told by a variable
//! matrix.rs   which cases, where ─────► child.rs        reads the setting
//! verdict.rs  how it ended       ◄───── environment.rs  makes the kernel poor
//!                                       subject.rs      the allocator, by its policy's name
//!                                       scene.rs        threads: owner, guest, another
//!                                       the case
//! ```
//!
//! | cases in | subject |
//! |---|---|
//! | `double_free` | freed twice: by one thread, by others, in a race, after a purge |
//! | `foreign` | pointers that no allocation returned |
//! | `interior` | pointers into objects, misaligned pointers |
//! | `layout` | size and alignment that are not those allocated |
//! | `corruption` | writes past the end, before the start, into neighbours |
//! | `stale` | writes after free, found at reuse and at purge |
//! | `guards` | accesses that fault, and where |
//! | `identity` | a thread's heap index overwritten |
//! | `report` | hook, addresses, a second heap, the start-up page |
//! | `hidden` | what does not kill but must hold: randomness, wiping, delay |
//! | `controls` | for every protection, the case that fails without it |
//!
//! The test binary's own allocator is the system's, so that what a test does to Casemate does not
//! touch the test.

mod child;
mod controls;
mod corruption;
mod double_free;
mod environment;
mod fault;
mod foreign;
mod guards;
mod hidden;
mod identity;
mod interior;
mod layout;
mod matrix;
mod memory;
mod plan;
mod purged;
mod report;
mod scene;
mod setting;
mod stale;
mod subject;
mod verdict;
