//! Programs that are hard on a malloc: threads, handlers, forks, loading and unloading, a malloc of
//! their own.

mod support;

use std::path::Path;
use std::process::Command;
use support::{Policy, command, compile, run};

#[test]
fn threads_and_handlers() {
    let program = compile("threads.c", "threads", &[]);
    for policy in Policy::ALL {
        run(&mut command(&program, Some(policy))).is_fine("all right");
    }
}

#[test]
fn forks() {
    let program = compile("forks.c", "forks", &[]);
    for policy in Policy::ALL {
        run(&mut command(&program, Some(policy))).is_fine("all right");
    }
}

#[test]
fn ten_thousand_loads() {
    let plugin = compile("plugin.cpp", "libplugin.so", &["-shared", "-fPIC"]);
    let program = compile("loading.c", "loading", &["-fno-builtin"]);
    // Another library under ours, and ours in a program that has another malloc.
    run(command(&program, Some(Policy::Full)).arg(&plugin).args(["10000", "plugin_size"]))
        .is_fine("all right");
    let library = Policy::Full.library();
    run(command(&program, None).arg(library).args(["10000", "malloc"])).is_fine("all right");
}

#[test]
fn bound_at_once_or_late() {
    let program = compile("threads.c", "threads_bound", &["-Wl,-z,lazy"]);
    for value in ["", "1"] {
        run(command(&program, Some(Policy::Full)).env("LD_BIND_NOW", value)).is_fine("all right");
    }
}

#[test]
fn a_malloc_of_its_own() {
    for (output, arguments) in [("own", &[][..]), ("own_wrap", &["-DWRAP"])] {
        let program = compile("own.c", output, arguments);
        for policy in Policy::ALL {
            run(&mut command(&program, Some(policy))).is_fine("all right");
        }
    }
}

/// A static program has no loader that could put a library before its own malloc.
#[test]
fn static_programs_are_not_reached() {
    for kind in ["-static", "-static-pie"] {
        let program = compile("lethal.cpp", &format!("lethal{kind}"), &[kind, "-faligned-new"]);
        let end = run(command(&program, Some(Policy::Strict)).args(["new[], delete", "100"]));
        assert!(end.out == "survived\n", "{kind}: {}{}", end.out, end.err);
    }
}

/// Whether a tool is here.
fn has(tool: &str) -> bool {
    let found = Command::new("sh").args(["-c", &format!("command -v {tool}")]).output();
    found.is_ok_and(|output| output.status.success())
}

/// valgrind takes over every malloc that it sees, this library's too, unless it is told not to.
#[test]
fn under_valgrind() {
    if !has("valgrind") {
        println!("skipped: valgrind is not installed");
        return;
    }
    let program = compile("lethal.cpp", "lethal_valgrind", &["-faligned-new"]);
    let preload = format!("LD_PRELOAD={}", Policy::Strict.library().display());
    let valgrind = |options: &[&str]| {
        let mut command = command(Path::new("valgrind"), None);
        command.args(["-q", "--trace-children=yes"]).args(options);
        // Set by a program in between: valgrind's own launcher is not to run under the library.
        command.args(["env", &preload]).arg(&program).args(["new[], delete", "100"]);
        run(&mut command)
    };
    let end = valgrind(&[]);
    assert_eq!(end.code, Some(0), "{}", end.err);
    assert!(end.err.contains("Mismatched") && !end.err.contains("casemate:"), "{}", end.err);
    let end = valgrind(&["--soname-synonyms=somalloc=nouserintercepts"]);
    assert!(end.err.contains("casemate: free by another interface"), "{}", end.err);
}
