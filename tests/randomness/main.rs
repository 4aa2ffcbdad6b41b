//! How random the heap is: slot choice, placement and canaries across processes, reuse, forks.
//!
//! Statistical tests fail with a probability below 1e-9 where nothing is wrong, and are not
//! repeated. The tests' own allocator is the system's.

mod estimate;
mod facts;
mod flushing;
mod forks;
mod fresh;
mod heap;
mod mechanisms;
mod processes;
mod reuse;
mod slabs;
mod slots;
mod statistics;
