//! Layer: mechanisms. Slabs: the states of a group of slots, the memory of a slot, and where
//! slabs come from.

#[cfg(not(loom))]
pub mod ground;
pub mod group;
pub mod inbox;
pub mod lock;
#[cfg(not(loom))]
pub mod memory;
#[cfg(not(loom))]
pub mod meta;
#[cfg(not(loom))]
mod opening;
#[cfg(not(loom))]
mod orphans;
pub mod pool;
#[cfg(not(loom))]
pub mod provider;
#[cfg(not(loom))]
pub mod recycler;
#[cfg(not(loom))]
pub mod used;
#[cfg(not(loom))]
pub mod window;
