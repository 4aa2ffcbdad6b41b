//! Everything that is printed on request: doctor, demo, completions, manual pages, help.

use crate::setup::{Run, Scratch, casemate};

fn printed(arguments: &[&str]) -> String {
    let ended = Run::of(casemate(arguments));
    assert_eq!(ended.output.status.code(), Some(0), "{:?}", ended.output);
    String::from_utf8(ended.output.stdout).unwrap()
}

#[test]
fn the_doctor_finds_everything_in_order() {
    for policy in ["light", "full", "strict"] {
        let text = printed(&["doctor", "--policy", policy]);
        for words in [
            &format!("policy: {policy}\n"),
            "this machine (Linux ",
            "limits:",
            "vm.max_map_count",
            "ok    frees an object twice: stopped: double free",
            "ok    runs past a large object: stopped: fault at inaccessible memory",
            "Everything works.",
        ] {
            assert!(text.contains(words), "{words}: {text}");
        }
        assert!(!text.contains("FAIL"), "{text}");
    }
}

#[test]
fn the_doctor_sees_a_limit() {
    let mut command = casemate(&["doctor"]);
    let before = || {
        let limit = libc::rlimit { rlim_cur: 4 << 30, rlim_max: 4 << 30 };
        // SAFETY: the structure is borrowed for the call.
        unsafe { libc::setrlimit(libc::RLIMIT_AS, &raw const limit) };
        Ok(())
    };
    // SAFETY: async-signal-safe.
    unsafe { std::os::unix::process::CommandExt::pre_exec(&mut command, before) };
    let text = String::from_utf8(command.output().unwrap().stdout).unwrap();
    assert!(text.contains("no   address space is reserved at start-up"), "{text}");
    assert!(text.contains("address space (RLIMIT_AS): 4.0 GiB"), "{text}");
    assert!(text.contains("Everything works."), "{text}");
}

#[test]
fn the_doctor_fails_on_a_library_that_protects_nothing() {
    // A shared object with malloc, but not Casemate's.
    let libc = std::fs::read_to_string("/proc/self/maps").unwrap();
    let Some(libc) = libc
        .lines()
        .find_map(|line| line.split_whitespace().nth(5).filter(|path| path.ends_with("libc.so.6")))
    else {
        println!("skipped: no libc.so.6");
        return;
    };
    let ended = Run::of(casemate(&["doctor", "--lib", libc]));
    assert_eq!(ended.output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&ended.output.stdout).contains("FAILED"));
}

#[test]
fn the_demo_shows_both_sides() {
    let text = printed(&["demo"]);
    assert!(text.contains("17 of 17 stopped or without harm under Casemate."), "{text}");
    let harmed = text.lines().filter(|line| line.contains("NOT NOTICED")).count();
    assert!(harmed >= 5, "the system's heap notices little: {text}");
    for line in text.lines().filter(|line| line.contains("NOT NOTICED")) {
        let with = line.rsplit("  ").next().unwrap();
        assert!(with.starts_with("stopped") || with.starts_with("no harm"), "{line}");
    }
}

#[test]
fn completions_for_every_shell() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let text = printed(&["completions", shell]);
        assert!(text.contains("casemate") && text.contains("policy"), "{shell}");
        assert!(text.contains("doctor"), "{shell}");
    }
}

#[test]
fn manual_pages() {
    let text = printed(&["man"]);
    assert!(text.contains(".TH casemate 1") && text.contains("casemate\\-run(1)"), "{text}");
    let scratch = Scratch::new("man");
    printed(&["man", "--directory", scratch.0.to_str().unwrap()]);
    let page = std::fs::read_to_string(scratch.0.join("casemate-run.1")).unwrap();
    assert!(page.contains("\\-\\-stats") && page.contains("Exit status"), "{page}");
    assert!(!scratch.0.join("casemate-misuse-program.1").exists());
}

#[test]
fn help_and_version() {
    let help = printed(&["--help"]);
    assert!(help.contains("casemate run -- python3") && !help.contains("misuse-program"));
    let run = printed(&["run", "--help"]);
    assert!(run.contains("Exit status:") && run.contains("--policy"));
    assert_eq!(printed(&["--version"]), format!("casemate {}\n", env!("CARGO_PKG_VERSION")));
}
