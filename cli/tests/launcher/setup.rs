//! Where everything is, and running it.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::LazyLock;

/// Cargo's target directory.
static TARGET: LazyLock<PathBuf> = LazyLock::new(|| {
    let launcher = Path::new(env!("CARGO_BIN_EXE_casemate"));
    launcher.ancestors().nth(2).expect("target/profile/casemate").to_owned()
});

/// The library, up to date: built once for all tests, as the launcher itself would.
pub static LIBRARY: LazyLock<PathBuf> = LazyLock::new(|| {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the checkout");
    let status = Command::new(env!("CARGO"))
        .args(["build", "--release", "--quiet", "--package", "casemate-preload"])
        .args(["--package", "casemate-preload-light", "--package", "casemate-preload-strict"])
        .arg("--manifest-path")
        .arg(root.join("Cargo.toml"))
        .arg("--target-dir")
        .arg(&*TARGET)
        .status()
        .expect("cargo");
    assert!(status.success(), "the library does not build");
    TARGET.join("release/libcasemate.so")
});

/// The program under test.
pub fn subject() -> PathBuf {
    let beside = Path::new(env!("CARGO_BIN_EXE_casemate")).with_file_name("examples");
    beside.join("cli_subject")
}

/// `casemate` with these arguments.
pub fn casemate(arguments: &[&str]) -> Command {
    LazyLock::force(&LIBRARY);
    let mut command = Command::new(env!("CARGO_BIN_EXE_casemate"));
    command.args(arguments).stdin(Stdio::null());
    command.env_remove("LD_PRELOAD");
    command
}

/// `casemate run` with these options, of the subject with these arguments.
pub fn run_with(options: &[&str], arguments: &[&str]) -> Command {
    let mut command = casemate(&["run"]);
    command.args(options).arg("--").arg(subject()).args(arguments);
    command
}

/// The same with `--stats`, to its end.
pub fn run(arguments: &[&str]) -> Run {
    Run::of(run_with(&["--stats"], arguments))
}

/// What came of it.
pub struct Run {
    pub output: Output,
    pub said: String,
}

impl Run {
    pub fn of(mut command: Command) -> Run {
        let output = command.output().expect("the launcher starts");
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        Run { output, said }
    }

    /// The lines of the heap report for processes whose line contains this.
    pub fn rows(&self, what: &str) -> Vec<&str> {
        let report = self.said.split("heap report").nth(1).unwrap_or_default();
        report.lines().skip(2).filter(|line| line.contains(what)).collect()
    }
}

/// A directory of this test's own, removed at its end.
pub struct Scratch(pub PathBuf);

impl Scratch {
    pub fn new(name: &str) -> Scratch {
        let path = std::env::temp_dir().join(format!("casemate-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&path).expect("a directory");
        Scratch(path)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
