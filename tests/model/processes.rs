//! The tests, a process each: a process has one policy through its face, and address space for
//! one heap that finds all of it free.
//!
//! Where a violation ends such a process, its line on standard error is part of the report.

use crate::faces::Face;
use crate::harness::run::Summary;
use crate::harness::subject::Own;
use crate::sequences::try_sequences;
use casemate::{Casemate, Full, Light, Strict};
use std::process::Command;

/// Tells the child what to test.
const SUBJECT: &str = "CASEMATE_MODEL_SUBJECT";

static FULL: Casemate<Full> = Casemate::new();
static LIGHT: Casemate<Light> = Casemate::new();
static STRICT: Casemate<Strict> = Casemate::new();

#[test]
#[ignore = "the children's body"]
fn child() {
    let summary = match std::env::var(SUBJECT).as_deref() {
        Ok("full heap") => try_sequences(1000, Own::<Full>::new),
        Ok("light heap") => try_sequences(500, Own::<Light>::new),
        Ok("strict heap") => try_sequences(500, Own::<Strict>::new),
        Ok("full face") => try_sequences(400, || Face::new(&FULL)),
        Ok("light face") => try_sequences(200, || Face::new(&LIGHT)),
        Ok("strict face") => try_sequences(150, || Face::new(&STRICT)),
        // For memcheck (`ci/valgrind`), under which everything takes thirty times as long.
        Ok("full heap in brief") => try_sequences(40, Own::<Full>::new),
        // Run by `--ignored` itself.
        _ => return,
    };
    println!("{summary:?}");
    is_what_it_should_be(&summary);
}

fn is_what_it_should_be(summary: &Summary) {
    assert!(summary.actions > summary.sequences * 30);
    assert!(summary.large * 100 <= summary.sequences + 100);
    assert!(summary.shared_rounds > summary.sequences);
    assert!(summary.foreign * 5 > summary.actions && summary.ended * 8 > summary.sequences);
}

fn holds(subject: &str) {
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "processes::child", "--include-ignored", "--nocapture"])
        .env(SUBJECT, subject)
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{}\n{text}\n{errors}", output.status);
    let summary = text.lines().find(|line| line.starts_with("Summary"));
    println!("{subject}: {}", summary.expect("the child ran nothing"));
}

#[test]
fn sequences_hold_under_the_full_policy() {
    holds("full heap");
}

#[test]
fn sequences_hold_under_the_light_policy() {
    holds("light heap");
}

#[test]
fn sequences_hold_under_the_strict_policy() {
    holds("strict heap");
}

#[test]
fn the_full_face_holds() {
    holds("full face");
}

#[test]
fn the_light_face_holds() {
    holds("light face");
}

#[test]
fn the_strict_face_holds() {
    holds("strict face");
}
