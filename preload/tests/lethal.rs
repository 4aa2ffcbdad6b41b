//! Misuse through C and C++ programs: what ends them, and with which words, under each policy.
//! Where a policy lacks the protection, the case is the control: the program survives.

mod support;

use heap::Kind;
use std::path::Path;
use support::{Policy, command, compile, run};

/// How a case must end.
#[derive(Clone, Copy, Debug)]
enum Must {
    /// Under every policy by this.
    All(Kind),
    /// Under the full and strict policies.
    Full(Kind),
    /// By this where freed memory waits; as a foreign pointer where nothing is known of it any
    /// more.
    Quarantined(Kind),
    /// Under the strict policy only.
    Strict(Kind),
    /// Under every policy by a guard.
    Fault,
    /// Under none.
    Live,
}

use Must::{All, Fault, Full, Live, Quarantined, Strict};

const SMALL: &[u32] = &[1, 7, 24, 57, 100, 120];
const SLOTS: &[u32] = &[1, 8, 13, 24, 57, 100, 120, 121, 248, 300, 1000, 5000, 40_000, 700_000];
/// With the objects of no bytes.
const MATCHED: &[u32] =
    &[0, 1, 8, 13, 24, 57, 100, 120, 121, 248, 300, 1000, 5000, 40_000, 700_000, 2_000_001];
const LARGE: &[u32] = &[2_000_001, 5_000_000];
const EVERY: &[u32] =
    &[1, 8, 13, 24, 57, 100, 120, 121, 248, 300, 1000, 5000, 40_000, 700_000, 2_000_001];
const ONE: &[u32] = &[64];

const CASES: &[(&str, &[u32], Must)] = &[
    ("sized delete, more", EVERY, All(Kind::WrongSize)),
    ("sized delete, less", EVERY, All(Kind::WrongSize)),
    ("sized delete[]", EVERY, All(Kind::WrongSize)),
    ("sized aligned delete", EVERY, All(Kind::WrongSize)),
    ("free_sized", EVERY, All(Kind::WrongSize)),
    ("free_aligned_sized", EVERY, All(Kind::WrongSize)),
    ("free_aligned_sized, alignment", MATCHED, All(Kind::WrongAlignment)),
    ("aligned delete, other alignment", MATCHED, All(Kind::WrongAlignment)),
    ("aligned delete, impossible alignment", MATCHED, All(Kind::WrongAlignment)),
    ("aligned delete[], other alignment", MATCHED, All(Kind::WrongAlignment)),
    ("new, aligned delete", MATCHED, All(Kind::WrongAlignment)),
    ("new[], delete", MATCHED, Strict(Kind::WrongInterface)),
    ("new, delete[]", MATCHED, Strict(Kind::WrongInterface)),
    ("new, free", MATCHED, Strict(Kind::WrongInterface)),
    ("malloc, delete", MATCHED, Strict(Kind::WrongInterface)),
    ("new, realloc", MATCHED, Strict(Kind::WrongInterface)),
    ("aligned new, delete", MATCHED, Strict(Kind::WrongInterface)),
    ("a byte past the end", EVERY, All(Kind::Overflow)),
    ("a NUL past the end", SLOTS, All(Kind::Overflow)),
    ("a byte past the end, realloc", EVERY, All(Kind::Overflow)),
    ("a byte past the end, new", EVERY, All(Kind::Overflow)),
    ("a byte past the end, thread", EVERY, All(Kind::Overflow)),
    ("a byte before the start", SMALL, Full(Kind::Underflow)),
    ("a byte before the start", LARGE, Fault),
    ("a page past the end", LARGE, Fault),
    ("double free", SLOTS, All(Kind::DoubleFree)),
    ("double free, later", SLOTS, All(Kind::DoubleFree)),
    ("double free, thread", SLOTS, All(Kind::DoubleFree)),
    ("double delete", SLOTS, All(Kind::DoubleFree)),
    ("realloc of a freed one", SLOTS, All(Kind::DoubleFree)),
    ("usable size of a freed one", SLOTS, All(Kind::DoubleFree)),
    ("double free", LARGE, Quarantined(Kind::DoubleFree)),
    ("double free, later", LARGE, Quarantined(Kind::DoubleFree)),
    ("double free, thread", LARGE, Quarantined(Kind::DoubleFree)),
    ("double delete", LARGE, Quarantined(Kind::DoubleFree)),
    ("realloc of a freed one", LARGE, Quarantined(Kind::DoubleFree)),
    ("usable size of a freed one", LARGE, Quarantined(Kind::DoubleFree)),
    ("free of the stack", ONE, All(Kind::ForeignPointer)),
    ("free of a static", ONE, All(Kind::ForeignPointer)),
    ("realloc of the stack", ONE, All(Kind::ForeignPointer)),
    ("free of an interior", &[100, 300, 5000, 2_000_001], All(Kind::InteriorPointer)),
    ("free of a misaligned", &[100, 300, 5000, 2_000_001], All(Kind::MisalignedPointer)),
    ("write after free", &[24, 100, 300, 1000], Full(Kind::WriteAfterFree)),
    ("read of a freed large one", LARGE, Fault),
    ("write to nothing", ONE, Fault),
    ("read of nothing", ONE, Fault),
    ("write to nothing, new", ONE, Fault),
    ("double free of nothing", ONE, All(Kind::DoubleFree)),
    ("sized delete of nothing", ONE, All(Kind::WrongSize)),
    ("usable size", EVERY, Live),
    ("a byte past the usable size", SLOTS, All(Kind::Overflow)),
    ("sized delete after usable size", EVERY, Live),
    ("other class after usable size", EVERY, All(Kind::WrongSize)),
];

fn judge(program: &Path, policy: Policy, case: &str, size: u32, must: Must) -> Result<(), String> {
    let kind = match must {
        All(kind) => Some(kind),
        Quarantined(_) if policy == Policy::Light => Some(Kind::ForeignPointer),
        Quarantined(kind) => Some(kind),
        Full(kind) if policy != Policy::Light => Some(kind),
        Strict(kind) if policy == Policy::Strict => Some(kind),
        _ => None,
    };
    let end = run(command(program, Some(policy)).args([case, &size.to_string()]));
    let fine = match (kind, must) {
        (Some(kind), _) => {
            let line = format!("casemate: {}", kind.message());
            let rest = end.err.strip_prefix(&line).unwrap_or("nothing");
            let is_line = rest == "\n" || (rest.starts_with(" (") && rest.ends_with(")\n"));
            end.signal == Some(libc::SIGABRT) && is_line && rest.matches('\n').count() == 1
        }
        (None, Fault) => end.signal == Some(libc::SIGSEGV) && end.err.is_empty(),
        (None, _) => end.code == Some(0) && end.out == "survived\n" && end.err.is_empty(),
    };
    if fine {
        return Ok(());
    }
    Err(format!(
        "{policy:?}, {case}, {size} bytes: must be {must:?}: code {:?}, signal {:?}: {}{}",
        end.code, end.signal, end.out, end.err
    ))
}

#[test]
fn misuse_ends_the_program() {
    let program = compile("lethal.cpp", "lethal_cpp", &["-faligned-new"]);
    let (mut children, mut failures) = (0, Vec::new());
    for policy in Policy::ALL {
        for &(case, sizes, must) in CASES {
            for &size in sizes {
                children += 1;
                failures.extend(judge(&program, policy, case, size, must).err());
            }
        }
    }
    println!("{} cases, {children} children", CASES.len());
    assert!(failures.is_empty(), "{} failed:\n{}", failures.len(), failures.join("\n"));
}

/// The control of all: without the library most of this goes unnoticed.
#[test]
fn without_the_library_programs_survive() {
    let program = compile("lethal.cpp", "lethal_cpp_control", &["-faligned-new"]);
    for (case, size) in [
        ("sized delete, more", 100),
        ("new[], delete", 100),
        ("a byte past the end", 1001),
        ("write after free", 300),
        ("usable size", 100),
    ] {
        let end = run(command(&program, None).args([case, &size.to_string()]));
        assert!(end.code == Some(0) && end.out == "survived\n", "{case}: {}", end.err);
    }
}
