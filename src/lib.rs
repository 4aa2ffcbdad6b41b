//! Casemate: a hardened, security-focused memory allocator.
//!
//! ```
//! #[global_allocator]
//! static HEAP: casemate::Casemate = casemate::Casemate::new();
//! # fn main() { assert_eq!("chamber".to_owned().len(), 7); }
//! ```
//!
//! Every object lives in a slot of a region that only its size class uses; what the heap knows
//! about it is kept elsewhere, behind guards, at a random address. Misuse of the heap ends the
//! process with one line that names it: see [`Kind`] for all that is found. [`protections`] tells
//! what is in force on this machine, [`stats`] what the heap holds, [`verify`] walks every
//! invariant. The policies are [`Full`] (the default), [`Light`] and [`Strict`].
//!
//! The repository's README says what it costs and when not to use it, SECURITY.md lists each claim
//! with its test and its limits, `docs/design.md` describes the architecture.
//!
//! # Layers
//!
//! Some modules are public for tests, fuzzers and those who audit them; programs need what is
//! re-exported here. What acts upon addresses is `unsafe`, or private. Dependencies point down
//! only:
//!
//! ```text
//! faces       Casemate, protections, stats, verify, interface; secure: for keys and passwords
//! heap        heap: routing, thread heaps, guests, delayed reuse, forks, statistics
//! mechanisms  slab, large, nothing, rng, canary, wipe
//! os          os: every system call
//! pure        units, size_class, record, request, bitmap, geometry, violation, policy
//! ```
#![no_std]
#[cfg(test)]
extern crate self as casemate;
#[cfg(any(test, loom))]
extern crate std;

pub mod bitmap;
pub mod policy;
pub mod record;
pub mod request;
pub mod size_class;
pub mod units;
pub mod violation;

#[cfg(not(loom))]
mod bodies;
#[cfg(not(loom))]
mod canary;
#[cfg(not(loom))]
mod copy;
#[cfg(all(test, not(loom)))]
mod failures;
#[cfg(not(loom))]
mod fatal;
#[cfg(not(loom))]
pub mod geometry;
#[cfg(not(loom))]
mod global_alloc;
#[cfg(not(loom))]
pub mod heap;
#[cfg(not(loom))]
#[doc(hidden)]
pub mod inside;
#[cfg(not(loom))]
pub mod interface;
#[cfg(not(loom))]
mod large;
#[cfg(not(loom))]
mod nothing;
#[cfg(not(any(loom, miri)))]
mod os;
#[cfg(not(loom))]
mod process;
#[cfg(not(loom))]
mod rng;
#[cfg(all(not(loom), feature = "secure"))]
pub mod secure;
#[cfg(not(loom))]
mod slab;
#[cfg(not(loom))]
mod sync;
#[cfg(not(loom))]
mod wipe;

// For the model checker's tests, which call the protocols themselves, and for the interpreter's,
// which have an operating system of their own: no program is built so.
#[cfg(any(loom, miri))]
pub mod os;
#[cfg(loom)]
pub mod slab;
#[cfg(loom)]
pub mod sync;

#[cfg(not(loom))]
pub use global_alloc::{Casemate, protections, stats, usage, verify};
#[cfg(not(loom))]
pub use heap::{ClassStats, Hook, ProtectionReport, Stats, Usage, Verified};
pub use policy::{Full, Light, Policy, Strict};
pub use violation::{Kind, Place, Violation};
