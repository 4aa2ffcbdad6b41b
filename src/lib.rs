//! Casemate: a hardened, security-focused memory allocator.
#![no_std]
#[cfg(any(test, loom))]
extern crate std;

pub mod bitmap;
pub mod policy;
pub mod record;
pub mod request;
pub mod size_class;
pub mod slab;
pub mod sync;
pub mod units;
pub mod violation;

#[cfg(not(loom))]
pub mod canary;
#[cfg(not(loom))]
mod fatal;
#[cfg(not(loom))]
pub mod geometry;
#[cfg(not(loom))]
mod global_alloc;
#[cfg(not(loom))]
pub mod heap;
#[cfg(not(loom))]
pub mod large;
#[cfg(not(loom))]
pub mod os;
#[cfg(not(loom))]
mod process;
#[cfg(not(loom))]
pub mod rng;
#[cfg(not(loom))]
pub mod wipe;

#[cfg(not(loom))]
pub use global_alloc::{Casemate, protections, stats, verify};
#[cfg(not(loom))]
pub use heap::{ClassStats, Hook, ProtectionReport, Stats, Verified};
pub use policy::{Full, Light, Policy, Strict};
#[cfg(not(loom))]
#[doc(hidden)]
pub use process::start_up_page;
pub use violation::{Kind, Place, Violation};
