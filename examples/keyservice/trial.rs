//! Runs every misuse in a child process of this program and shows what stopped it.

use std::env;
use std::io::{self, Read, Write};
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use crate::misuse::{self, End, Misuse};
use crate::report::Paint;

/// A child that takes longer has not been stopped.
const PATIENCE: Duration = Duration::from_secs(60);
/// What the heap's own lines begin with.
const MARK: &str = "casemate: ";

/// How a child ended.
struct Ended {
    stopped: bool,
    how: String,
    line: String,
}

/// Tries all misuses; whether every one was stopped.
pub fn all(out: &mut impl Write, paint: Paint) -> io::Result<bool> {
    let program = env::current_exe()?;
    writeln!(out, "\n{}", paint.heading("Ten misuses, each in a process of its own"))?;
    let heading = format!("  {:<34}{:<13}line that stopped it", "misuse", "ended by");
    writeln!(out, "{}", paint.heading(heading))?;
    let mut stopped = 0;
    for misuse in &misuse::ALL {
        let ended = one(&program, misuse)?;
        let how = format!("{:<13}", ended.how);
        write!(out, "  {:<34}", misuse.title)?;
        if ended.stopped {
            stopped += 1;
            writeln!(out, "{}{}", paint.good(how), ended.line)?;
        } else {
            writeln!(out, "{}{}", paint.bad(how), ended.line)?;
        }
        out.flush()?;
    }
    let sum = format!("{stopped} of {} stopped", misuse::ALL.len());
    let good = stopped == misuse::ALL.len();
    if good {
        writeln!(out, "  {}", paint.good(sum))?;
    } else {
        writeln!(out, "  {}", paint.bad(sum))?;
    }
    Ok(good)
}

fn one(program: &Path, misuse: &Misuse) -> io::Result<Ended> {
    let mut child = Command::new(program)
        .args(["--misuse", misuse.name])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()?;
    let Some(status) = wait(&mut child)? else {
        return Ok(Ended {
            stopped: false,
            how: "NOT STOPPED".into(),
            line: format!("still running after {} s", PATIENCE.as_secs()),
        });
    };
    // The child is dead and wrote a line at most: the pipe holds all of it.
    let mut said = Vec::new();
    if let Some(stderr) = child.stderr.take() {
        stderr.take(64 * 1024).read_to_end(&mut said)?;
    }
    Ok(judge(misuse.end, status, &String::from_utf8_lossy(&said)))
}

/// Waits for the child; kills it, and gives `None`, when it takes too long.
fn wait(child: &mut Child) -> io::Result<Option<ExitStatus>> {
    let start = Instant::now();
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(Some(status));
        }
        if start.elapsed() > PATIENCE {
            child.kill()?;
            child.wait()?;
            return Ok(None);
        }
        thread::sleep(Duration::from_millis(2));
    }
}

/// An abort counts only with the heap's line, a fault only where a guard page is what is meant.
fn judge(end: End, status: ExitStatus, said: &str) -> Ended {
    let line = said.lines().find(|line| line.starts_with(MARK));
    match (end, status.signal(), line) {
        (End::Abort, Some(libc::SIGABRT), Some(line)) => {
            Ended { stopped: true, how: "SIGABRT".into(), line: line.to_owned() }
        }
        (End::Guard, Some(libc::SIGSEGV), _) => Ended {
            stopped: true,
            how: "SIGSEGV".into(),
            line: line.unwrap_or("(the guard page after the mapping)").to_owned(),
        },
        _ => Ended {
            stopped: false,
            how: "NOT STOPPED".into(),
            line: format!("{status}; {}", said.lines().next().unwrap_or("no line")),
        },
    }
}
