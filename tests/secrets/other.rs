//! This test again, as another process that can be stopped and looked at.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, ExitStatus, Stdio};

/// Names the case to the other process.
const CASE: &str = "CASEMATE_SECRETS_CASE";
/// Begins the line by which it says that it is ready.
const READY: &str = "ready:";
/// It hangs no longer than this.
const SECONDS: u32 = 60;

/// What the case is called, in the other process.
pub fn case() -> Option<String> {
    let case = std::env::var(CASE).ok()?;
    // SAFETY: an alarm ends a process that hangs.
    unsafe { libc::alarm(SECONDS) };
    Some(case)
}

/// In the other process: says these numbers and waits until it may go on.
pub fn say_and_wait(numbers: &[usize]) {
    let words: Vec<_> = numbers.iter().map(usize::to_string).collect();
    println!("\n{READY} {}", words.join(" "));
    let mut line = String::new();
    std::io::stdin().read_line(&mut line).expect("a line");
    assert_eq!(line, "on\n", "the test is gone");
}

/// The other process. It is ended if it is dropped.
pub struct Other {
    child: Child,
    to: Option<ChildStdin>,
    from: BufReader<ChildStdout>,
}

impl Other {
    /// Starts the test called `name` again, to run this case.
    pub fn start(name: &str, case: &str, directory: &Path) -> Other {
        let mut child = Command::new(std::env::current_exe().expect("the test binary's path"))
            .args([name, "--exact", "--nocapture", "--test-threads=1"])
            .env(CASE, case)
            .env("RUST_BACKTRACE", "0")
            .current_dir(directory)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("another process");
        let to = child.stdin.take();
        let from = BufReader::new(child.stdout.take().expect("its output"));
        Other { child, to, from }
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// What it says once it is ready.
    pub fn ready(&mut self) -> Vec<usize> {
        let mut line = String::new();
        loop {
            line.clear();
            let got = self.from.read_line(&mut line).expect("its words");
            assert_ne!(got, 0, "it ended: {:?}", self.child.wait());
            if let Some(rest) = line.strip_prefix(READY) {
                return rest.split_whitespace().map(|word| word.parse().unwrap()).collect();
            }
        }
    }

    /// Lets it go on.
    pub fn go_on(&mut self) {
        self.to.as_mut().expect("its input").write_all(b"on\n").expect("it reads");
    }

    pub fn end(mut self) -> ExitStatus {
        self.to = None;
        self.child.wait().expect("its end")
    }
}

impl Drop for Other {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
