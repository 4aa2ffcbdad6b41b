//! A process with raised privileges reads nothing from the environment.

use crate::setup::{Scratch, subject};
use casemate_report::layout::{State, VARIABLE};
use casemate_report::{mapping, reader};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

/// Runs the library's start-up in this program: what it says of AT_SECURE, and the records taken.
fn records(program: &Path, user: Option<u32>) -> (String, usize) {
    let file = mapping::create().expect("a file");
    let table = mapping::open(file).expect("its table");
    let mut command = Command::new(program);
    command.arg("start-library").env(VARIABLE, file.to_string()).env_remove("LD_PRELOAD");
    if let Some(user) = user {
        command.uid(user).gid(user);
    }
    let before = move || {
        // SAFETY: numbers; async-signal-safe.
        unsafe { libc::fcntl(file, libc::F_SETFD, 0) };
        Ok(())
    };
    // SAFETY: as above.
    unsafe { command.pre_exec(before) };
    let output = command.output().expect("the program starts");
    let taken = reader::processes(table).count();
    assert!(reader::processes(table).all(|process| process.state == State::Running));
    (String::from_utf8(output.stdout).unwrap().trim().to_owned(), taken)
}

/// A group of this process other than its own.
pub fn other_group() -> Option<u32> {
    let mut groups = [0; 256];
    // SAFETY: as many as there is room for; otherwise numbers.
    unsafe {
        let count = libc::getgroups(groups.len() as i32, groups.as_mut_ptr());
        let groups = groups.get(..usize::try_from(count).ok()?)?;
        groups.iter().copied().find(|&group| group != libc::getgid())
    }
}

#[test]
fn raised_privileges_close_the_channel() {
    let scratch = Scratch::new("secure");
    std::fs::set_permissions(&scratch.0, PermissionsExt::from_mode(0o755)).unwrap();
    let program = scratch.0.join("subject");
    std::fs::copy(subject(), &program).unwrap();
    std::fs::set_permissions(&program, PermissionsExt::from_mode(0o755)).unwrap();
    // SAFETY: returns a number.
    let root = unsafe { libc::getuid() } == 0;
    let user = root.then_some(65534);
    let (said, taken) = records(&program, user);
    assert_eq!((said.as_str(), taken), ("secure 0", 1), "the control");
    let mode = if root {
        0o4755
    } else if let Some(group) = other_group() {
        std::os::unix::fs::chown(&program, None, Some(group)).unwrap();
        0o2755
    } else {
        println!("skipped: neither root nor in a second group");
        return;
    };
    std::fs::set_permissions(&program, PermissionsExt::from_mode(mode)).unwrap();
    let (said, taken) = records(&program, user);
    if said == "secure 0" {
        println!("skipped: no privileges are given here (nosuid, no_new_privs)");
        return;
    }
    assert_eq!((said.as_str(), taken), ("secure 1", 0));
}

#[test]
fn descriptors_of_other_files_are_left_alone() {
    let scratch = Scratch::new("descriptor");
    let path = scratch.0.join("file");
    std::fs::write(&path, vec![b'x'; casemate_report::layout::BYTES]).unwrap();
    let file = std::fs::OpenOptions::new().read(true).write(true).open(&path).unwrap();
    let status = Command::new(subject())
        .arg("start-library")
        .env(VARIABLE, "0")
        .stdin(file)
        .stdout(std::process::Stdio::null())
        .status()
        .unwrap();
    assert!(status.success());
    assert!(std::fs::read(&path).unwrap().iter().all(|&byte| byte == b'x'));
}
