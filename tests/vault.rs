//! The password vault of the examples, driven from end to end.

use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::LazyLock;

/// The example's program, built by the Cargo that runs this, in the same profile.
static VAULT: LazyLock<PathBuf> = LazyLock::new(|| {
    let mut build = Command::new(env!("CARGO"));
    build.args(["build", "--quiet", "--locked", "--example", "vault"]);
    build.current_dir(env!("CARGO_MANIFEST_DIR"));
    if !cfg!(debug_assertions) {
        build.arg("--release");
    }
    // What the outer Cargo says about this test would make build scripts of others run again.
    for (name, _) in std::env::vars_os() {
        let name = name.to_string_lossy();
        if ["CARGO_PKG_", "CARGO_MANIFEST_", "CARGO_CRATE_", "CARGO_BIN_"]
            .iter()
            .any(|prefix| name.starts_with(prefix))
        {
            build.env_remove(&*name);
        }
    }
    assert!(build.status().unwrap().success());
    let test = std::env::current_exe().unwrap();
    test.parent().and_then(Path::parent).unwrap().join("examples/vault")
});

/// A folder that is removed in the end.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Folder {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(&folder).unwrap();
        Folder(folder)
    }

    fn file(&self) -> PathBuf {
        self.0.join("vault")
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn run(command: &str, file: &Path, name: Option<&str>, lines: &str) -> Output {
    let mut child = Command::new(&*VAULT)
        .arg(command)
        .arg(file)
        .args(name)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // The program may be done before it has read all.
    let _ = child.stdin.take().unwrap().write_all(lines.as_bytes());
    child.wait_with_output().unwrap()
}

#[track_caller]
fn good(output: &Output) -> String {
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    String::from_utf8(output.stdout.clone()).unwrap()
}

#[track_caller]
fn bad(output: &Output, reason: &str) {
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.lines().any(|line| line == format!("vault: {reason}")), "{said}");
    assert_eq!(output.stdout, b"");
}

#[test]
fn secrets_go_in_and_come_out() {
    let folder = Folder::new("vault_secrets");
    let file = folder.file();
    good(&run("init", &file, None, "open sesame\n"));
    assert_eq!(good(&run("list", &file, None, "open sesame\n")), "");
    let added = run("add", &file, Some("mail"), "open sesame\nhunter2\n");
    assert_eq!(good(&added), "");
    // What protects each buffer is said, and no secret.
    let said = String::from_utf8_lossy(&added.stderr).into_owned();
    for buffer in ["passphrase", "key", "derivation", "secret"] {
        let line = said.lines().find(|line| line.starts_with(buffer)).unwrap_or_default();
        assert!(line.contains("not in children") && line.contains("canaries"), "{said}");
    }
    assert!(!said.contains("hunter2") && !said.contains("sesame"), "{said}");
    good(&run("add", &file, Some("bänk"), "open sesame\nß 漢\n"));
    good(&run("add", &file, Some("mail"), "open sesame\nhunter3\n"));
    assert_eq!(good(&run("get", &file, Some("mail"), "open sesame\n")), "hunter3\n");
    assert_eq!(good(&run("get", &file, Some("bänk"), "open sesame")), "ß 漢\n");
    let names = good(&run("list", &file, None, "open sesame\n"));
    assert_eq!(names, "bänk\nmail\n");
    bad(&run("get", &file, Some("none"), "open sesame\n"), "there is no secret called none");

    let text = fs::read(&file).unwrap();
    assert!(!text.windows(7).any(|window| window == b"hunter3" || window == b"hunter2"));
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(fs::read_dir(&folder.0).unwrap().count(), 1, "nothing is left beside it");
    bad(&run("init", &file, None, "x\n"), &format!("{} is there already", file.display()));
    assert_eq!(fs::read(&file).unwrap(), text);
}

#[test]
fn whoever_has_not_the_passphrase_gets_nothing() {
    let folder = Folder::new("vault_passphrase");
    let file = folder.file();
    const REFUSED: &str = "wrong passphrase, or the file was changed";
    good(&run("init", &file, None, "right\n"));
    good(&run("add", &file, Some("name"), "right\nsecret\n"));
    bad(&run("get", &file, Some("name"), "wrong\n"), REFUSED);
    bad(&run("add", &file, Some("name"), "wrong\nx\n"), REFUSED);
    bad(&run("list", &file, None, ""), "the input ended before anything came");
    // Every part of the file is authenticated: salt, nonce, entries, tag.
    let whole = fs::read(&file).unwrap();
    for at in [16, 44, 67, 68, whole.len() - 1] {
        let mut changed = whole.clone();
        changed[at] ^= 1;
        fs::write(&file, &changed).unwrap();
        bad(&run("get", &file, Some("name"), "right\n"), REFUSED);
    }
    // What cannot be one is refused before any work is done.
    let with = |at: usize, bytes: &[u8]| {
        let mut changed = whole.clone();
        changed[at..at + bytes.len()].copy_from_slice(bytes);
        fs::write(&file, changed).unwrap();
        run("list", &file, None, "right\n")
    };
    bad(&with(0, b"C"), "not a vault");
    bad(&with(32, &[0xff; 4]), "the file asks for too much work");
    bad(&with(36, &[0xff; 4]), "the file asks for too much work");
    fs::write(&file, &whole[..83]).unwrap();
    bad(&run("list", &file, None, "right\n"), "not a vault");
    fs::write(&file, &whole).unwrap();
    assert_eq!(good(&run("get", &file, Some("name"), "right\n")), "secret\n");
}

#[test]
fn wrong_command_lines_say_how() {
    let output = run("frobnicate", Path::new("x"), None, "");
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).starts_with("usage: vault"));
}
