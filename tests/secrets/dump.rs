//! Core dumps: real ones where the machine's setting writes them to the current directory, or to
//! the one that `ci/core-dump` says; and by the kernel's flags everywhere.

use crate::mark::{CONTROL, SECRET};
use crate::other::{Other, case, say_and_wait};
use crate::raw::{OWN, POOL, free, take, touch};
use crate::search;
use casemate::secure::{GuardedBox, SecretString, SecretVec};
use std::fs::{self, File};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};

/// Set by `ci/core-dump`: where dumps are written, which then must be there.
const CORES: &str = "CASEMATE_CORES";

/// Secrets of every kind, and two vectors, one of which is freed.
fn hold() {
    let awake = POOL.hibernation_friendly();
    let shared = POOL.share_with_children();
    for policy in [POOL, OWN, awake, awake.protectable(), shared] {
        for size in [64, 6400, 300_032] {
            SECRET.write(take(size, &policy), size);
        }
    }
    let text = String::from_utf8(SECRET.vec(640)).expect("ASCII");
    std::mem::forget((SecretVec::from(SECRET.vec(640)), SecretString::from(text)));
    std::mem::forget(GuardedBox::<[u8; 192]>::init_with(|bytes| SECRET.fill(bytes)));
    std::mem::forget(CONTROL.vec(4096));
    drop(CONTROL.vec(4096));
    // Searches do not see the closed ones that are hidden.
    assert!(search::own(&SECRET).runs.len() > 15);
}

type Case = (&'static str, i32, fn());

const ENDS: [Case; 3] = [
    ("abort", libc::SIGABRT, || std::process::abort()),
    ("violation", libc::SIGABRT, || {
        let at = take(64, &POOL);
        free(at);
        free(at);
    }),
    ("fault", libc::SIGSEGV, || touch(take(64, &OWN) + 64)),
];

/// In the other process: dumps as much as can be asked for, and ends.
fn be_dumped(end: fn()) {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: a valid structure.
    unsafe {
        libc::getrlimit(libc::RLIMIT_CORE, &raw mut limit);
        limit.rlim_cur = libc::RLIM_INFINITY;
        let most = libc::rlimit { rlim_cur: libc::RLIM_INFINITY, rlim_max: libc::RLIM_INFINITY };
        if libc::setrlimit(libc::RLIMIT_CORE, &raw const most) != 0 {
            limit.rlim_cur = limit.rlim_max;
            libc::setrlimit(libc::RLIMIT_CORE, &raw const limit);
        }
    }
    // All kinds of mappings, those of files too.
    fs::write("/proc/self/coredump_filter", "0x1ff").expect("the filter");
    hold();
    say_and_wait(&[(limit.rlim_cur > 64 << 20).into()]);
    end();
}

/// Where a dump will be, if the machine's setting lets that be known; else why not.
fn place(own: &Path) -> Result<PathBuf, String> {
    if let Some(cores) = std::env::var_os(CORES) {
        return Ok(cores.into());
    }
    let pattern = fs::read_to_string("/proc/sys/kernel/core_pattern").unwrap_or_default();
    match pattern.trim() {
        "" => Err("no dumps are written".to_owned()),
        pattern if pattern.contains(['|', '/']) => Err(format!("core_pattern is {pattern}")),
        _ => Ok(own.to_owned()),
    }
}

/// The dump of this process, taken out of the directory.
fn dump_in(directory: &Path, pid: u32) -> Option<(File, PathBuf)> {
    let names = fs::read_dir(directory).expect("the directory");
    let paths = names.map(|entry| entry.expect("an entry").path());
    let named = |path: &PathBuf| {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        name == "core" || name.contains(&pid.to_string())
    };
    let path = paths.into_iter().find(named)?;
    Some((File::open(&path).expect("a dump"), path))
}

#[test]
fn dumps_hold_no_secrets() {
    if let Some(wanted) = case() {
        let found = ENDS.iter().find(|(name, ..)| *name == wanted);
        return be_dumped(found.expect("a known case").2);
    }
    for (name, signal, _) in ENDS {
        let own = PathBuf::from(env!("CARGO_TARGET_TMPDIR"))
            .join(format!("dump-{name}-{}", std::process::id()));
        fs::create_dir_all(&own).expect("a directory");
        let mut other = Other::start("dump::dumps_hold_no_secrets", name, &own);
        let (allowed, pid) = (other.ready()[0] == 1, other.pid());

        // What the kernel would write: all that is not excluded.
        let dumped = |mark| search::search(&pid.to_string(), mark, |one| !one.has("dd"));
        assert!(dumped(&SECRET).is_clear(), "{name}");
        assert!(!dumped(&CONTROL).is_clear(), "{name}: the control");

        other.go_on();
        let status = other.end();
        assert_eq!(status.signal(), Some(signal), "{name}");
        let place = if allowed { place(&own) } else { Err("RLIMIT_CORE forbids it".to_owned()) };
        match place {
            Err(why) => println!("{name}: no dump to look at here: {why}; see ci/core-dump"),
            Ok(place) => {
                assert!(status.core_dumped(), "{name}: the kernel wrote a dump");
                let (file, path) = dump_in(&place, pid).expect("the dump");
                let control = search::in_file(&file, &CONTROL);
                let whole = control.runs.iter().any(|run| run.len == 4096);
                assert!(whole, "{name}: the control: a vector is in the dump: {control:x?}");
                let secret = search::in_file(&file, &SECRET);
                assert!(secret.is_clear(), "{name}: {:x?}", secret.runs);
                println!("{name}: nothing in {} bytes of dump", secret.read);
                fs::remove_file(path).expect("the dump removed");
            }
        }
        fs::remove_dir_all(&own).expect("the directory removed");
    }
}
