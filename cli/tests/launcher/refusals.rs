//! Programs that the library cannot be loaded into are refused with a reason.

use crate::elf;
use crate::secure::other_group;
use crate::setup::{LIBRARY, Run, Scratch, casemate, subject};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::Path;

fn refused(program: &Path) -> String {
    let ended = Run::of(casemate(&["run", "--", program.to_str().unwrap(), "exit", "0"]));
    assert!(matches!(ended.output.status.code(), Some(125 | 126)), "{:?}", ended.output);
    ended.said
}

#[test]
fn programs_of_other_kinds() {
    let scratch = Scratch::new("kinds");
    let at = |name: &str| scratch.0.join(name);
    elf::make_static(&at("static"));
    assert!(refused(&at("static")).contains("is a static program"));
    elf::make_musl(&at("musl"));
    assert!(refused(&at("musl")).contains("is linked with musl, the library with glibc"));
    elf::make_foreign(&at("foreign"));
    assert!(refused(&at("foreign")).contains("is a program for"));
    elf::make_damaged(&at("damaged"));
    assert!(refused(&at("damaged")).contains("neither an ELF program nor a script"));
}

#[test]
fn scripts_are_looked_through() {
    let scratch = Scratch::new("scripts");
    let script = |name: &str, interpreter: &Path| {
        let path = scratch.0.join(name);
        std::fs::write(&path, format!("#!{} exit\n", interpreter.display())).unwrap();
        std::fs::set_permissions(&path, PermissionsExt::from_mode(0o755)).unwrap();
        path
    };
    elf::make_static(&scratch.0.join("static"));
    let outer = script("outer", &script("inner", &scratch.0.join("static")));
    assert!(refused(&outer).contains("is a static program"));
    let looped = script("looped", &scratch.0.join("looped"));
    assert!(refused(&looped).contains("too many scripts"));
    // `exit FILE` ends with 0: the number cannot be read.
    let good = script("good", &subject());
    let ended = Run::of(casemate(&["run", "--stats", "--", good.to_str().unwrap()]));
    assert_eq!(ended.output.status.code(), Some(0), "{}", ended.said);
    assert!(ended.said.contains("heap report, 1 process\n"), "{}", ended.said);
}

/// The shell runs what names no interpreter, with its arguments, as `execvp` has it.
#[test]
fn scripts_without_an_interpreter() {
    let scratch = Scratch::new("plain");
    let make = |name: &str, contents: &[u8]| {
        let path = scratch.0.join(name);
        std::fs::write(&path, contents).unwrap();
        std::fs::set_permissions(&path, PermissionsExt::from_mode(0o755)).unwrap();
        path
    };
    let plain = make("plain", b"# no interpreter\nexit $(($1 + $2))\n");
    let ended = Run::of(casemate(&["run", "--stats", "--", plain.to_str().unwrap(), "40", "2"]));
    assert_eq!(ended.output.status.code(), Some(42), "{}", ended.said);
    assert!(ended.said.contains("heap report, 1 process\n"), "{}", ended.said);
    let data = make("data", b"\x01\x00\x02\x00\nexit 0\n");
    assert!(refused(&data).contains("neither an ELF program nor a script"));
    // The shell gets the outer one, whose first line is a comment to it.
    let ends = |program: &Path, status| {
        let ended = Run::of(casemate(&["run", "--stats", "--", program.to_str().unwrap()]));
        assert_eq!(ended.output.status.code(), Some(status), "{}", ended.said);
        assert!(ended.said.contains("heap report, 1 process\n"), "{}", ended.said);
    };
    let inner = make("inner", b"exit 3\n");
    let line = format!("#!{}\nexit 4\n", inner.display());
    ends(&make("outer", line.as_bytes()), 4);
    // An interpreter whose name the kernel does not see to its end.
    let line = format!("#!/{}bin/true\nexit 5\n", "./".repeat(130));
    ends(&make("long", line.as_bytes()), 5);
    let line = format!("#!{}\nexit 6\n", data.display());
    ends(&make("of-data", line.as_bytes()), 6);
}

/// The kernel does not heed such marks of scripts.
#[test]
fn scripts_gain_no_privileges() {
    let scratch = Scratch::new("marked");
    let path = scratch.0.join("marked");
    std::fs::write(&path, "#!/bin/sh\nexit 7\n").unwrap();
    if std::os::unix::fs::chown(&path, Some(65534), None).is_err() {
        println!("skipped: giving a file to another user is not allowed here");
        return;
    }
    std::fs::set_permissions(&path, PermissionsExt::from_mode(0o4755)).unwrap();
    let ended = Run::of(casemate(&["run", "--", path.to_str().unwrap()]));
    assert_eq!(ended.output.status.code(), Some(7), "{}", ended.said);
}

#[test]
fn programs_that_gain_privileges() {
    let scratch = Scratch::new("privileges");
    let program = scratch.0.join("setuid");
    std::fs::copy(subject(), &program).unwrap();
    if std::os::unix::fs::chown(&program, Some(65534), None).is_err() {
        println!("skipped: giving a file to another user is not allowed here");
        return;
    }
    std::fs::set_permissions(&program, PermissionsExt::from_mode(0o4755)).unwrap();
    let said = refused(&program);
    assert!(said.contains("gains privileges") && said.contains("setuid"), "{said}");
}

/// May be executed, but not read: what it gains is said of it all the same.
#[test]
fn unreadable_programs_that_gain_privileges() {
    let scratch = Scratch::new("unreadable");
    let place = |from: &Path, name: &str, mode: u32| {
        let path = scratch.0.join(name);
        std::fs::copy(from, &path).unwrap();
        std::fs::set_permissions(&path, PermissionsExt::from_mode(mode)).unwrap();
        path
    };
    std::fs::set_permissions(&scratch.0, PermissionsExt::from_mode(0o755)).unwrap();
    // Copies: another user may not get to where these were built.
    let launcher = place(Path::new(env!("CARGO_BIN_EXE_casemate")), "casemate", 0o755);
    let library = place(&LIBRARY, "libcasemate.so", 0o755);
    let program = place(&subject(), "subject", 0o111);
    // SAFETY: returns a number.
    let root = unsafe { libc::getuid() } == 0;
    let said = |status| {
        let mut command = std::process::Command::new(&launcher);
        command.arg("run").arg("--lib").arg(&library).arg("--").arg(&program).args(["exit", "7"]);
        if root {
            command.uid(65534).gid(65534);
        }
        let ended = Run::of(command);
        assert_eq!(ended.output.status.code(), Some(status), "{}", ended.said);
        ended.said
    };
    said(7);
    let mode = if root {
        0o4111
    } else if let Some(group) = other_group() {
        std::os::unix::fs::chown(&program, None, Some(group)).unwrap();
        0o2111
    } else {
        println!("skipped: neither root nor in a second group");
        return;
    };
    std::fs::set_permissions(&program, PermissionsExt::from_mode(mode)).unwrap();
    assert!(said(125).contains("gains privileges"));
}

#[test]
fn libraries_that_are_none() {
    let scratch = Scratch::new("libraries");
    let with = |path: &Path| {
        let path = path.to_str().unwrap();
        let ended = Run::of(casemate(&["run", "--lib", path, "--", "true"]));
        assert_eq!(ended.output.status.code(), Some(125), "{}", ended.said);
        ended.said
    };
    assert!(with(Path::new("/nowhere/libcasemate.so")).contains("No such file"));
    let text = scratch.0.join("text.so");
    std::fs::write(&text, "no library").unwrap();
    assert!(with(&text).contains("is no shared object"));
    assert!(with(&subject()).contains("without malloc"));
    let open = scratch.0.join("open.so");
    std::fs::copy(&*LIBRARY, &open).unwrap();
    std::fs::set_permissions(&open, PermissionsExt::from_mode(0o666)).unwrap();
    assert!(with(&open).contains("everybody may write to it"));
    // The loader would look for another file, and run the program without any.
    for name in ["a b.so", "a$LIB.so", "a${ORIGIN}.so"] {
        let odd = scratch.0.join(name);
        std::fs::copy(&*LIBRARY, &odd).unwrap();
        assert!(with(&odd).contains("blanks, colons or dollar signs"));
    }
    // And one that is.
    let good = scratch.0.join("good.so");
    std::fs::copy(&*LIBRARY, &good).unwrap();
    let ended = Run::of(casemate(&["run", "--lib", good.to_str().unwrap(), "--", "true"]));
    assert_eq!(ended.output.status.code(), Some(0), "{}", ended.said);
}
