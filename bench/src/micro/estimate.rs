//! The estimate of what the protections' work on objects alone takes, around the system's heap.

use crate::floor::Floor as Large;
use std::alloc::System as Peer;

#[path = "../../allocators/src/estimate/heap.rs"]
mod heap;

pub use heap::Estimate;
