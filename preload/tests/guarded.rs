//! The memory functions that look their objects up: what they stop, with which words, and before
//! it happens; what they let pass; and that they otherwise do what the C library's do.
//!
//! The light policy guards none of them and the full one not those that programs call most often:
//! they are the controls.

mod support;

use heap::Kind;
use std::path::Path;
use support::{End, Policy, command, compile, run};

/// Name, and whether it reads memory that the caller names, has a length, and is fortified.
const FUNCTIONS: &[(&str, bool, bool, bool)] = &[
    ("memcpy", true, true, false),
    ("memmove", true, true, false),
    ("mempcpy", true, true, false),
    ("memset", false, true, false),
    ("bzero", false, true, false),
    ("explicit_bzero", false, true, false),
    ("strcpy", true, false, false),
    ("stpcpy", true, false, false),
    ("strcat", true, false, false),
    ("strncpy", true, true, false),
    ("stpncpy", true, true, false),
    ("strncat", true, false, false),
    ("__memcpy_chk", true, true, true),
    ("__memmove_chk", true, true, true),
    ("__mempcpy_chk", true, true, true),
    ("__memset_chk", false, true, true),
    ("__explicit_bzero_chk", false, true, true),
    ("__strcpy_chk", true, false, true),
    ("__stpcpy_chk", true, false, true),
    ("__strcat_chk", true, false, true),
    ("__strncpy_chk", true, true, true),
    ("__stpncpy_chk", true, true, true),
    ("__strncat_chk", true, false, true),
];

const SIZES: &[usize] = &[1, 8, 13, 24, 57, 100, 300, 5000, 40_000, 700_000];

/// Whether a policy guards a function.
fn guards(policy: Policy, function: &str) -> bool {
    let often = ["memcpy", "memmove", "mempcpy", "memset"].contains(&function);
    policy == Policy::Strict || (policy == Policy::Full && !often)
}

/// The policies that guard a function, and those that do not.
fn policies(function: &str) -> [Vec<Policy>; 2] {
    let (on, off) = Policy::ALL.iter().partition(|&&policy| guards(policy, function));
    [on, off]
}

fn call(program: &Path, policy: Policy, function: &str, case: &str, size: usize) -> End {
    run(command(program, Some(policy)).args([function, case, &size.to_string()]))
}

#[track_caller]
fn survives(end: &End, what: &str) {
    let fine = end.code == Some(0) && end.out == "survived\n" && end.err.is_empty();
    assert!(fine, "{what}: {:?} {:?} {}{}", end.code, end.signal, end.out, end.err);
}

/// Ended by this line and nothing else, and by `SIGABRT`.
#[track_caller]
fn stopped(end: &End, kind: Kind, what: &str) {
    let line = format!("casemate: {} (size class ", kind.message());
    let rest = end.err.strip_prefix(&line).unwrap_or("nothing");
    let is_line = rest.strip_suffix(")\n").is_some_and(|size| size.parse::<u32>().is_ok());
    let fine = end.signal == Some(libc::SIGABRT) && end.out.is_empty() && is_line;
    assert!(fine, "{what}: {:?} {:?} {}{}", end.code, end.signal, end.out, end.err);
}

fn program(name: &str) -> std::path::PathBuf {
    compile("guarded.c", name, &[])
}

#[test]
fn an_overflow_by_one_is_stopped() {
    let program = program("guarded_overflow");
    for &(function, ..) in FUNCTIONS {
        let [on, off] = policies(function);
        for policy in on {
            for &size in SIZES {
                // The same code; the first objects of a process are not sampled.
                if policy == Policy::Full && size != 100 {
                    continue;
                }
                for case in ["one more", "one more, inside", "at the end"] {
                    let end = call(&program, policy, function, case, size);
                    let what = format!("{policy:?} {function} {case} {size}");
                    stopped(&end, Kind::GuardedOverflow, &what);
                }
                for case in ["exact", "exact, inside", "exact, end", "one more, static"] {
                    let end = call(&program, policy, function, case, size);
                    survives(&end, &format!("{policy:?} {function} {case} {size}"));
                }
            }
        }
        for policy in off {
            for case in ["one more", "one more, inside", "at the end"] {
                let end = call(&program, policy, function, case, 100);
                survives(&end, &format!("control: {policy:?} {function} {case}"));
            }
        }
    }
}

#[test]
fn nothing_is_written_before_it_is_stopped() {
    let program = program("guarded_untouched");
    for &(function, ..) in FUNCTIONS {
        let [on, off] = policies(function);
        for policy in on {
            for size in [13, 100, 5000] {
                let end = call(&program, policy, function, "untouched", size);
                let what = format!("{policy:?} {function} {size}: {}", end.err);
                assert!(end.code == Some(0) && end.out == "survived\n", "{what}");
                assert!(end.err.contains(Kind::GuardedOverflow.message()), "{what}");
            }
        }
        // The control: nobody dies.
        for policy in off {
            assert_eq!(call(&program, policy, function, "untouched", 100).code, Some(4));
        }
    }
}

#[test]
fn freed_memory_is_not_written() {
    let program = program("guarded_freed");
    for &(function, ..) in FUNCTIONS {
        let [on, off] = policies(function);
        for case in ["freed", "freed by a thread"] {
            for &policy in &on {
                for size in [24, 300, 5000] {
                    let end = call(&program, policy, function, case, size);
                    let what = format!("{policy:?} {function} {case} {size}");
                    stopped(&end, Kind::GuardedWriteAfterFree, &what);
                }
            }
            for &policy in &off {
                let end = call(&program, policy, function, case, 300);
                survives(&end, &format!("control: {policy:?} {function} {case}"));
            }
        }
    }
}

#[test]
fn an_overread_is_stopped() {
    let program = program("guarded_reads");
    for &(function, ..) in FUNCTIONS.iter().filter(|function| function.1) {
        let [on, off] = policies(function);
        for policy in on {
            for &size in SIZES {
                let what = format!("{policy:?} {function} {size}");
                survives(&call(&program, policy, function, "read exact", size), &what);
                let end = call(&program, policy, function, "read one more", size);
                stopped(&end, Kind::GuardedOverread, &what);
            }
            let end = call(&program, policy, function, "read freed", 300);
            stopped(&end, Kind::GuardedReadAfterFree, &format!("{policy:?} {function}"));
        }
        for policy in off {
            for case in ["read one more", "read freed"] {
                let end = call(&program, policy, function, case, 300);
                survives(&end, &format!("control: {policy:?} {function} {case}"));
            }
        }
    }
}

#[test]
fn what_may_be_used_may_be_written() {
    let program = program("guarded_right");
    for &(function, _, has_length, _) in FUNCTIONS {
        for size in [1, 57, 100, 1000, 5000, 700_000, 3_000_001] {
            for case in ["grown", "usable", "no byte"] {
                let end = call(&program, Policy::Strict, function, case, size);
                survives(&end, &format!("{function} {case} {size}"));
            }
        }
        let of = |case, size| call(&program, Policy::Strict, function, case, size);
        let end = of("one more, usable", 57);
        stopped(&end, Kind::GuardedOverflow, &format!("{function} past the usable size"));
        if has_length {
            // glibc's own check is against a room without a bound here.
            let end = of("huge", 57);
            stopped(&end, Kind::GuardedOverflow, &format!("{function} of -8 bytes"));
        }
        // Zero bytes have an address that faults; large objects are followed by a guard, and what
        // is before it is found when they are freed.
        let end = of("nothing", 57);
        assert_eq!(end.signal, Some(libc::SIGSEGV), "{function} to nothing: {}", end.err);
        let end = of("one more", 3_000_001);
        survives(&end, &format!("limit: {function} past a large object, before its guard"));
    }
}

/// glibc's own check comes first and keeps its words, with the library and without.
#[test]
fn fortified_forms_keep_their_check() {
    let program = program("guarded_room");
    for &(function, .., fortified) in FUNCTIONS {
        if fortified {
            for policy in [None, Some(Policy::Light), Some(Policy::Full), Some(Policy::Strict)] {
                let of = |case| run(command(&program, policy).args([function, case, "100"]));
                let end = of("room");
                let words = "*** buffer overflow detected ***: terminated\n";
                let what = format!("{policy:?} {function}: {}", end.err);
                assert!(end.signal == Some(libc::SIGABRT) && end.err == words, "{what}");
                survives(&of("room, exact"), &what);
            }
        }
    }
}

/// As a distribution compiles programs.
#[test]
fn a_fortified_program() {
    let options = ["-O2", "-fbuiltin", "-D_FORTIFY_SOURCE=2"];
    let program = compile("fortified.c", "fortified", &options);
    let symbols = std::process::Command::new("nm").arg("-u").arg(&program).output();
    let symbols = String::from_utf8(symbols.expect("nm (binutils) is needed").stdout).unwrap();
    for name in ["__memcpy_chk", "__memset_chk", "__strcpy_chk", "__strcat_chk", "__memmove_chk"] {
        assert!(symbols.contains(name), "the program calls {name}:\n{symbols}");
    }
    let of = |policy, case: &str| run(command(&program, policy).arg(case));
    for policy in [None, Some(Policy::Light), Some(Policy::Full), Some(Policy::Strict)] {
        of(policy, "right").is_fine("all right");
        let end = of(policy, "known");
        assert_eq!(end.signal, Some(libc::SIGABRT), "{policy:?}: {}", end.err);
        assert!(end.err.starts_with("*** buffer overflow detected ***"), "{}", end.err);
    }
    // No room is known for this memset: it is a plain one.
    stopped(&of(Some(Policy::Strict), "unknown"), Kind::GuardedOverflow, "unknown");
    survives(&of(Some(Policy::Full), "unknown"), "control");
    survives(&of(Some(Policy::Light), "unknown"), "control");
    for policy in [Policy::Full, Policy::Strict] {
        stopped(&of(Some(policy), "stale"), Kind::GuardedWriteAfterFree, "stale");
    }
    survives(&of(Some(Policy::Light), "stale"), "control");
}

/// Random calls against the plainest code: results, contents, what lies around, page ends.
#[test]
fn they_do_what_the_c_librarys_do() {
    let program = compile("semantics.c", "semantics", &[]);
    for seed in ["1", "2"] {
        run(command(&program, None).arg(seed)).is_fine("all right");
        for policy in Policy::ALL {
            run(command(&program, Some(policy)).arg(seed)).is_fine("all right");
        }
    }
}

/// Objects that come and go in several threads, which copy between them all the time: no alarm.
#[test]
fn no_false_alarm_in_threads() {
    let program = compile("copying.c", "copying", &["-O2"]);
    for policy in [Policy::Full, Policy::Strict] {
        run(&mut command(&program, Some(policy))).is_fine("all right");
    }
}
