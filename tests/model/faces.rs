//! The same through `GlobalAlloc` on the process's heap, a process for each policy.
//!
//! A violation ends such a process: its line on standard error is part of the report.

#![expect(unsafe_code, reason = "calls an allocator by its unsafe interface")]

use crate::harness::subject::{Outcome, Subject};
use crate::sequences::try_sequences;
use casemate::policy::Set;
use casemate::{Casemate, Full, Light, Policy, Strict, Verified};
use std::alloc::{GlobalAlloc, Layout};
use std::process::Command;

/// The process's heap. A process can have one policy only.
#[derive(Clone, Copy)]
pub struct Face<P: Policy>(&'static Casemate<P>);

impl<P: Policy> Face<P> {
    /// The process's heap by this face.
    pub fn new(face: &'static Casemate<P>) -> Self {
        Face(face)
    }
}

impl<P: Policy + Copy> Subject for Face<P> {
    const ZERO: bool = P::SET.has(Set::WIPE);

    fn allocate(&self, layout: Layout, zeroed: bool) -> Outcome<*mut u8> {
        // SAFETY: no layout of a sequence has size 0.
        Ok(unsafe { if zeroed { self.0.alloc_zeroed(layout) } else { self.0.alloc(layout) } })
    }

    unsafe fn free(&self, object: *mut u8, layout: Layout) -> Outcome<()> {
        // SAFETY: the caller's obligations are the same.
        unsafe { self.0.dealloc(object, layout) };
        Ok(())
    }

    unsafe fn reallocate(&self, object: *mut u8, layout: Layout, size: usize) -> Outcome<*mut u8> {
        // SAFETY: the caller's obligations are the same.
        Ok(unsafe { self.0.realloc(object, layout, size) })
    }

    fn verify(&self) -> Outcome<Verified> {
        casemate::verify().map_err(|violation| format!("the heap found {violation:?}"))
    }

    fn leave(&self) {
        // The face arranges that by itself when the thread ends.
    }
}

/// Names the policy in the child.
const POLICY: &str = "CASEMATE_MODEL_POLICY";

static FULL: Casemate<Full> = Casemate::new();
static LIGHT: Casemate<Light> = Casemate::new();
static STRICT: Casemate<Strict> = Casemate::new();

#[test]
#[ignore = "the children's body"]
fn child() {
    let summary = match std::env::var(POLICY).as_deref() {
        Ok("full") => try_sequences(150, || Face::new(&FULL)),
        Ok("light") => try_sequences(150, || Face::new(&LIGHT)),
        Ok("strict") => try_sequences(150, || Face::new(&STRICT)),
        // Run by `--ignored` itself.
        _ => return,
    };
    println!("{summary:?}");
}

fn in_a_process(policy: &str) {
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "faces::child", "--include-ignored", "--nocapture"])
        .env(POLICY, policy)
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{}\n{text}\n{errors}", output.status);
    assert!(text.contains("Summary"), "{text}");
}

#[test]
fn the_full_face_holds() {
    in_a_process("full");
}

#[test]
fn the_light_face_holds() {
    in_a_process("light");
}

#[test]
fn the_strict_face_holds() {
    in_a_process("strict");
}
