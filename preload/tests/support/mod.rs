//! The libraries under test, and programs in C and C++ that run under them.
#![allow(dead_code, reason = "each test uses a part")]

use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::OnceLock;

/// A policy, by the library that has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Policy {
    Light,
    Full,
    Strict,
}

impl Policy {
    pub const ALL: [Policy; 3] = [Policy::Light, Policy::Full, Policy::Strict];

    /// The file name of its library.
    pub fn file(self) -> &'static str {
        match self {
            Policy::Light => "libcasemate_light.so",
            Policy::Full => "libcasemate.so",
            Policy::Strict => "libcasemate_strict.so",
        }
    }

    /// Its library: in `CASEMATE_LIBRARIES`, else built here, once a test program.
    pub fn library(self) -> PathBuf {
        static DIRECTORY: OnceLock<PathBuf> = OnceLock::new();
        DIRECTORY.get_or_init(directory).join(self.file())
    }
}

fn directory() -> PathBuf {
    if let Some(directory) = std::env::var_os("CASEMATE_LIBRARIES") {
        return directory.into();
    }
    build("libraries", "thin")
}

/// Builds the three libraries with this kind of link-time optimisation.
pub fn build(name: &str, optimisation: &str) -> PathBuf {
    let target = scratch(name);
    let status = Command::new(env!("CARGO"))
        .env("CARGO_PROFILE_RELEASE_LTO", optimisation)
        .args(["build", "--release", "--quiet", "--manifest-path"])
        .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.toml"))
        .args(["-p", "casemate-preload", "-p", "casemate-preload-light"])
        .args(["-p", "casemate-preload-strict", "--target-dir"])
        .arg(&target)
        .status()
        .expect("cargo runs");
    assert!(status.success(), "the libraries build");
    target.join("release")
}

/// Where tests put what they build.
pub fn scratch(name: &str) -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join(name)
}

/// A source file of `tests/c/`.
pub fn source(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/c").join(name)
}

/// Compiles a program, or with `-shared` a library, that the compiler may not reason about.
pub fn compile(file: &str, output: &str, arguments: &[&str]) -> PathBuf {
    let output = scratch(output);
    let compiler = if file.ends_with(".cpp") { "c++" } else { "cc" };
    let mut command = Command::new(compiler);
    if file.ends_with(".cpp") {
        command.arg("-std=c++17");
    }
    // Without these the compiler removes or rewrites just what is to be tested.
    command.args([
        "-O1",
        "-g",
        "-fno-builtin",
        "-fno-allocation-dce",
        "-w",
        "-pthread",
        "-U_FORTIFY_SOURCE",
    ]);
    command.args(arguments).arg(source(file)).arg("-o").arg(&output).arg("-ldl");
    let status = command.status().unwrap_or_else(|error| panic!("{compiler} is needed: {error}"));
    assert!(status.success(), "{file} compiles");
    output
}

/// Seconds after which SIGALRM ends a program that waits for ever.
const PATIENCE: libc::c_uint = 300;

/// A run of a program under a policy's library, or under none.
pub fn command(program: &Path, policy: Option<Policy>) -> Command {
    let mut command = Command::new(program);
    command.env_remove("LD_PRELOAD");
    if let Some(policy) = policy {
        let library = policy.library();
        assert!(library.exists(), "{library:?} is missing");
        command.env("LD_PRELOAD", library);
    }
    // SAFETY: `alarm` is all that the child calls; it stays in force over the `exec`.
    unsafe {
        command.pre_exec(|| {
            libc::alarm(PATIENCE);
            Ok(())
        });
    }
    command
}

/// How a program ended, and what it said.
pub struct End {
    pub code: Option<i32>,
    pub signal: Option<i32>,
    pub out: String,
    pub err: String,
}

pub fn run(command: &mut Command) -> End {
    let Output { status, stdout, stderr } = command.output().expect("the program starts");
    End {
        code: status.code(),
        signal: status.signal(),
        out: String::from_utf8_lossy(&stdout).into_owned(),
        err: String::from_utf8_lossy(&stderr).into_owned(),
    }
}

impl End {
    /// It ended well and said this on standard output at the end.
    #[track_caller]
    pub fn is_fine(&self, last: &str) {
        assert!(
            self.code == Some(0) && self.err.is_empty() && self.out.trim_end().ends_with(last),
            "code {:?}, signal {:?}\n{}\n{}",
            self.code,
            self.signal,
            self.out,
            self.err
        );
    }
}
