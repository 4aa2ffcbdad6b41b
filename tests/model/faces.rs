//! The same through `GlobalAlloc` on the process's heap, a process for each policy.
//!
//! A violation ends such a process: its line on standard error is part of the report.

use crate::harness::subject::Face;
use crate::sequences::try_sequences;
use casemate::{Casemate, Full, Light, Strict};
use std::process::Command;

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
