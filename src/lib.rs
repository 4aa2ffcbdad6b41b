//! Casemate: a hardened, security-focused memory allocator.
#![no_std]
#[cfg(test)]
extern crate std;
pub mod os;
pub mod policy;
pub mod units;
pub mod violation;
