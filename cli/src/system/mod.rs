//! Every system call that `std` has no safe form of.

pub mod environment;
pub mod limits;
pub mod process;
pub mod signals;
pub mod streams;
