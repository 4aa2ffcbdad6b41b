//! What a program can choose about reports, what it cannot, and the page that says so.
#![expect(unsafe_code, reason = "mprotect, on the page that must not be changed")]

use crate::fault::expect;
use crate::matrix::{self, Case};
use crate::memory::{read, write};
use crate::scene::Scene;
use crate::setting::{Environment, Role, Setting, Target};
use crate::verdict::{ADDRESS, End, Exit};
use crate::{child, plan, subject};
use casemate::{Kind, Place};
use std::io::Write;
use std::ptr::with_exposed_provenance_mut;

/// These name subjects of their own.
pub const OPTIONS: &[Case] = &[
    Case { name: "a hook cannot prevent the abort", run: twice, end: hook },
    Case { name: "a hook that misuses the heap", run: twice, end: hooks },
    Case { name: "a hook that panics", run: twice, end: hook },
    Case { name: "an address that was asked for", run: twice_and_tell, end: address },
];

pub const CASES: &[Case] = &[
    Case { name: "a second heap with another policy", run: second_heap, end: second },
    Case { name: "write to the start-up page", run: write_start_up, end: start_up },
    Case { name: "write to the start-up page's end", run: write_start_up_end, end: start_up },
    Case { name: "making the start-up page writable", run: open_start_up, end: sealed },
];

#[test]
fn reports_and_the_start_up_page() {
    matrix::run(CASES);
}

#[test]
fn options() {
    let policies = ["hook", "misusing hook", "panicking hook", "addresses"];
    let mut failures = Vec::new();
    for (case, policy) in OPTIONS.iter().zip(policies) {
        for target in Target::ALL {
            for role in Role::ALL {
                let environment = Environment::Default;
                let setting = Setting { case: case.name, policy, target, role, environment };
                let end = (case.end)(&setting).expect("an end everywhere");
                failures.extend(matrix::fails(&setting, end));
            }
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

fn hook(setting: &Setting) -> Option<End> {
    Some(End::Hook(Kind::DoubleFree, setting.target.place()))
}

fn hooks(setting: &Setting) -> Option<End> {
    Some(End::Hooks(Kind::DoubleFree, setting.target.place(), Kind::ForeignPointer))
}

fn address(setting: &Setting) -> Option<End> {
    Some(End::Address(Kind::DoubleFree, setting.target.place()))
}

fn second(_: &Setting) -> Option<End> {
    Some(End::Line(Kind::SecondHeap, Place::Unknown))
}

fn start_up(setting: &Setting) -> Option<End> {
    (setting.target == Target::Middle).then_some(End::Fault)
}

fn sealed(setting: &Setting) -> Option<End> {
    (setting.target == Target::Middle).then_some(End::Holds)
}

fn twice(scene: &Scene) {
    let layout = scene.target.loose();
    let at = scene.take(layout);
    scene.here.free(at, layout);
    scene.here.free(at, layout);
}

fn twice_and_tell(scene: &Scene) {
    let layout = scene.target.loose();
    let at = scene.take(layout);
    let mut out = std::io::stdout();
    let told = writeln!(out, "\n{ADDRESS}{at:x}").and_then(|()| out.flush());
    assert!(told.is_ok());
    scene.here.free(at, layout);
    scene.here.free(at, layout);
}

/// The first heap has served already; no later than when the other needs more than what lies
/// ready, it is noticed.
fn second_heap(scene: &Scene) {
    let layout = scene.target.loose();
    for _ in 0..64 {
        subject::named("light").alloc(layout);
    }
}

fn write_start_up(_: &Scene) {
    let (at, _) = plan::start_up_page();
    expect(at);
    let same = read(at);
    write(at, same);
}

fn write_start_up_end(_: &Scene) {
    let (at, len) = plan::start_up_page();
    let last = at + len - 1;
    expect(last);
    let same = read(last);
    write(last, same);
}

/// Where the kernel can seal, not even a system call opens the page again.
fn open_start_up(_: &Scene) {
    let (at, len) = plan::start_up_page();
    let both = libc::PROT_READ | libc::PROT_WRITE;
    // SAFETY: makes a static writable, which it would be anyway, or fails.
    let opened = unsafe { libc::mprotect(with_exposed_provenance_mut(at), len, both) } == 0;
    let report = casemate::protections();
    if report.read_only && report.sealed != opened {
        child::leave(Exit::Holds);
    }
}
