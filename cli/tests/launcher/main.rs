//! The launcher end to end: `casemate` as it is built, the library as it is built for release, and
//! a program (`examples/cli_subject.rs`) that ends in every way.

#![expect(unsafe_code, reason = "sends signals, makes programs of every kind")]

mod elf;
mod ends;
mod pages;
mod refusals;
mod reports;
mod secure;
mod setup;
mod signals;
