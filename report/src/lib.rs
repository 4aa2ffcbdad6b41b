//! The report channel: how a process under the preload library tells the launcher what its heap
//! holds and what was found, even if it is sandboxed, killed, or ends by `_exit`.
//!
//! ```text
//!   launcher                                   program and its children
//!   --------                                   ------------------------
//!   memfd_create, sized and sealed             CASEMATE_REPORT=<descriptor>, inherited
//!   maps it, only reads                        library::start: looks that it is such a file,
//!                                              maps it
//!   reader::processes at any time   <-------   library::tick, violation, end: stores into the
//!                                              process's own record
//!
//!   the file
//!   +--------+----------+----------+-- ... --+-------------+-- ... --+
//!   | header | record 0 | record 1 |         | record 4032 |         |
//!   +--------+----------+----------+-- ... --+-------------+-- ... --+
//!             one a process, in order of start              kept for violations of processes
//!                                                           that found no record free
//! ```
//!
//! A record is updated in place, so what was last published outlives its process, and writing it
//! needs no system call. The file is sealed against shrinking: an access can never fault. It is
//! found by a descriptor and never by a path, so whoever sets the environment can at most have
//! another such table written to; a process with raised privileges (AT_SECURE) looks at nothing.
//!
//! Everybody who has the descriptor can write all of the table. A process that was taken over can
//! forge its record and those of others, so a report is what the processes say; the status that a
//! program ends with comes from the kernel. The launcher takes every byte for hostile.
//!
//! Limits: a program that closes inherited descriptors before it executes another (`closefrom`,
//! Python's `subprocess`) keeps reporting itself, but what it executes does not.
#![no_std]
#[cfg(test)]
extern crate std;

mod calls;
pub mod layout;
pub mod library;
pub mod mapping;
pub mod reader;
