//! What attacks run in, shared by the test and by `examples/gauntlet`.
//!
//! ```text
//! parent                                 child: the same binary, before main
//! scenario.rs  what is expected ───────► child.rs    limits, signals
//! outcome.rs   how it ended     ◄─────── heap.rs     naive.rs, glibc.rs or casemate.rs
//! statistics.rs  how sure                field.rs    what an attack has at hand
//!                                        the attack, with memory.rs
//! ```

pub mod casemate;
pub mod child;
pub mod field;
#[cfg(target_env = "gnu")]
pub mod glibc;
pub mod heap;
pub mod memory;
pub mod naive;
pub mod outcome;
pub mod scenario;
pub mod statistics;
pub mod summary;
