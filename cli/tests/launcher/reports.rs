//! Every process is reported, however it ended and whatever it did to the report.

use crate::setup::{Run, Scratch, casemate, run, run_with};
use std::io::{BufRead, BufReader};
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// The number before this unit in the columns of sizes.
fn sizes(row: &str) -> Vec<f64> {
    let words: Vec<_> = row.split_whitespace().collect();
    let of = |pair: &[&str]| {
        let value: f64 = pair[0].parse().ok()?;
        let unit = match pair[1] {
            "B" => 1.0,
            "KiB" => 1024.0,
            "MiB" => 1024.0 * 1024.0,
            _ => return None,
        };
        Some(value * unit)
    };
    words.windows(2).filter_map(of).collect()
}

const MIB: f64 = 1024.0 * 1024.0;

#[test]
fn children_that_exit_end_at_once_or_are_killed() {
    let ended = run(&["family"]);
    assert_eq!(ended.output.status.code(), Some(0), "{}", ended.said);
    assert!(ended.said.contains("heap report, 4 processes"), "{}", ended.said);
    let forks = ended.rows("(fork)");
    assert_eq!(forks.len(), 3, "{}", ended.said);
    // Children that said nothing at their end: 4 MiB and more were live when they last did.
    for row in &forks[..2] {
        assert!(row.contains("killed or _exit"), "{row}");
        let sizes = sizes(row);
        assert!(sizes[0] >= 4.0 * MIB && sizes[1] >= 4.0 * MIB && sizes[1] < 9.0 * MIB, "{row}");
    }
    // The one that freed everything and returned.
    assert!(forks[2].contains(" exit "), "{}", forks[2]);
    let last = sizes(forks[2]);
    assert!(last[0] >= 4.0 * MIB && last[1] < last[0] - 3.0 * MIB, "{}", forks[2]);
    assert_eq!(ended.rows("exit 0").len(), 1, "{}", ended.said);
}

#[test]
fn a_program_that_executes_another_is_two_lines() {
    let ended = run(&["exec"]);
    assert_eq!(ended.output.status.code(), Some(5));
    assert_eq!(ended.rows("exec cli_subject").len(), 1, "{}", ended.said);
    assert_eq!(ended.rows("exit 5").len(), 1, "{}", ended.said);
}

#[test]
fn a_childs_violation_is_told_although_the_program_goes_on() {
    let ended = run(&["child-violates"]);
    assert_eq!(ended.output.status.code(), Some(0));
    assert!(ended.said.contains("was ended: double free"), "{}", ended.said);
    assert_eq!(ended.rows("violation").len(), 1);
}

#[test]
fn a_childs_violation_is_told_while_the_program_runs() {
    let mut command = run_with(&[], &["violate-and-wait"]);
    let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
    let began = Instant::now();
    let lines = BufReader::new(child.stderr.take().unwrap()).lines();
    let told = lines.map_while(Result::ok).any(|line| line.contains("was ended: double free"));
    assert!(told && began.elapsed() < Duration::from_secs(40));
    // SAFETY: this test's own child.
    unsafe { libc::kill(child.id() as i32, libc::SIGTERM) };
    assert_eq!(child.wait().unwrap().signal(), Some(libc::SIGTERM));
}

#[test]
fn a_program_that_closes_every_descriptor_is_reported() {
    let ended = run(&["close-all"]);
    assert_eq!(ended.output.status.signal(), Some(libc::SIGABRT));
    assert!(ended.said.contains("was ended: double free"), "{}", ended.said);
    assert!(sizes(ended.rows("violation")[0])[0] >= 4.0 * MIB, "{}", ended.said);
}

#[test]
fn a_program_in_the_strictest_sandbox_is_reported() {
    let ended = run(&["sandbox"]);
    // The sandbox forbids the calls that an abort takes.
    assert_eq!(ended.output.status.signal(), Some(libc::SIGKILL), "{}", ended.said);
    assert!(ended.said.contains("was ended: double free"), "{}", ended.said);
    assert!(sizes(ended.rows("violation")[0])[1] >= 4.0 * MIB, "{}", ended.said);
}

#[test]
fn a_full_table_counts_what_is_lost_and_keeps_violations() {
    let ended = run(&["full-table"]);
    assert_eq!(ended.output.status.code(), Some(0), "{}", ended.said);
    assert!(ended.said.contains("was ended: double free"), "{}", ended.said);
    assert!(ended.said.contains("2 processes without room in the report"), "{}", ended.said);
}

#[test]
fn a_forged_report_is_harmless() {
    let ended = run(&["forge"]);
    assert_eq!(ended.output.status.code(), Some(0));
    assert!(ended.said.contains("heap report, 4096 processes"));
    assert!(ended.said.contains("\\u{1b}]0;owned\\u{7}"));
    let obeyed = |&byte: &u8| byte != b'\n' && !(b' '..=b'~').contains(&byte);
    assert!(!ended.output.stderr.iter().any(obeyed), "{:?}", &ended.said[..500]);
}

#[test]
fn a_log_takes_what_standard_error_would() {
    let scratch = Scratch::new("log");
    let log = scratch.0.join("log");
    let path = log.to_str().unwrap();
    for times in 1..3 {
        let ended = Run::of(run_with(&["--stats", "--log", path], &["double-free"]));
        assert_eq!(ended.output.status.signal(), Some(libc::SIGABRT));
        assert_eq!(ended.said, "casemate: double free (size class 48)\n");
        let text = std::fs::read_to_string(&log).unwrap();
        assert_eq!(text.matches("was ended: double free").count(), times);
        assert_eq!(text.matches("heap report, 1 process\n").count(), times);
    }
}

/// Names that a program may define: the report is made without them.
#[test]
fn programs_with_names_of_their_own() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the checkout");
    let program = Path::new(env!("CARGO_TARGET_TMPDIR")).join("names");
    let status = Command::new("cc")
        .args(["-std=c11", "-w", "-fno-builtin", "-pthread", "-o"])
        .arg(&program)
        .arg(root.join("preload/tests/c/names.c"))
        .status()
        .expect("a C compiler");
    assert!(status.success());
    let mut command = casemate(&["run", "--stats", "--"]);
    command.arg(&program);
    let ended = Run::of(command);
    assert!(ended.output.status.success(), "{:?}\n{}", ended.output.status, ended.said);
    assert_eq!(ended.output.stdout, b"all right\n");
    assert_eq!(ended.rows("names").len(), 1, "{}", ended.said);
}
