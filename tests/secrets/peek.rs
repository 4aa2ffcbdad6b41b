//! What others read of a process through `/proc/PID/mem` and `process_vm_readv`.

use crate::maps::page;
use crate::mark::{CONTROL, LEN, SECRET};
use crate::other::{Other, case, say_and_wait};
use crate::raw::{OWN, POOL, protect, query, take};
use crate::search;
use casemate::secure::Access;
use std::fs::OpenOptions;
use std::os::unix::fs::FileExt;
use std::path::Path;

const NAME: &str = "peek::others_read_what_is_not_hidden";

/// In the other process. Tells, for each buffer: its address, its size, where a guard is, and
/// whether it claims to be hidden and its guards to be marked; last, a vector's address.
fn be_looked_at() {
    let awake = POOL.hibernation_friendly();
    let mut words = Vec::new();
    for (policy, access) in [
        (POOL, Access::ReadWrite),
        (OWN, Access::ReadWrite),
        (OWN, Access::NoAccess),
        (awake, Access::ReadWrite),
        (awake.protectable(), Access::NoAccess),
    ] {
        let at = take(LEN, &policy);
        SECRET.write(at, LEN);
        let seen = query(at).expect("a buffer");
        let guard = if seen.pooled {
            // The chunk's: right behind the mapping that the buffer is in.
            crate::maps::at(at).expect("a mapping").end
        } else {
            protect(at, access).expect("own pages");
            at + LEN
        };
        words.extend([at, guard, seen.is_hidden().into(), seen.guard_markers.into()]);
    }
    let vector = CONTROL.vec(4096);
    words.push(vector.as_ptr().expose_provenance());
    say_and_wait(&words);
    drop(vector);
}

/// Reads another process's memory by the system call; what it gave, or the error's number.
fn copied(pid: u32, at: usize, bytes: &mut [u8]) -> Result<usize, i32> {
    let local = libc::iovec { iov_base: bytes.as_mut_ptr().cast(), iov_len: bytes.len() };
    let there = std::ptr::without_provenance_mut(at);
    let remote = libc::iovec { iov_base: there, iov_len: bytes.len() };
    // SAFETY: writes to `bytes`, which nobody else refers to.
    let got =
        unsafe { libc::process_vm_readv(pid as i32, &raw const local, 1, &raw const remote, 1, 0) };
    usize::try_from(got).map_err(|_| std::io::Error::last_os_error().raw_os_error().unwrap_or(0))
}

#[test]
fn others_read_what_is_not_hidden() {
    if case().is_some() {
        return be_looked_at();
    }
    let mut other = Other::start(NAME, "peek", Path::new("."));
    let words = other.ready();
    let (buffers, vector) = words.split_at(words.len() - 1);
    let path = format!("/proc/{}/mem", other.pid());
    let memory = OpenOptions::new().read(true).write(true).open(path).expect("its memory");
    let refusal = |error: std::io::Error| error.raw_os_error();
    let mut bytes = [0; LEN];

    memory.read_exact_at(&mut bytes, vector[0] as u64).expect("the control: a vector is read");
    assert!(CONTROL.is_all(&bytes));
    assert_eq!(copied(other.pid(), vector[0], &mut bytes), Ok(LEN));

    let mut hidden_ones = 0;
    for words in buffers.chunks(4) {
        let &[at, guard, hidden, marked] = words else { panic!("four words") };
        bytes.fill(0);
        let read = memory.read_at(&mut bytes, at as u64);
        if hidden == 1 {
            hidden_ones += 1;
            assert_eq!(read.map_err(refusal), Err(Some(libc::EIO)));
            assert_eq!(copied(other.pid(), at, &mut bytes), Err(libc::EFAULT));
            assert_eq!(memory.write_at(&[1], at as u64).map_err(refusal), Err(Some(libc::EIO)));
            assert_eq!(bytes, [0; LEN]);
        } else {
            // Locked memory is for those who may, even while it is closed.
            assert_eq!(read.expect("locked memory is read"), LEN);
            assert!(SECRET.is_all(&bytes));
        }
        // A guard of either kind faults; one that is marked refuses this way too.
        let poked = memory.write_at(&[1], guard as u64).map_err(refusal);
        if marked == 1 {
            assert_eq!(poked, Err(Some(libc::EIO)));
            assert_eq!(memory.read_at(&mut bytes, guard as u64).map_err(refusal), poked);
        } else {
            println!("no marked guards: a write to one gives {poked:?}");
        }
        assert_eq!(copied(other.pid(), guard, &mut bytes), Err(libc::EFAULT));
    }
    println!("{hidden_ones} hidden of {}", buffers.len() / 4);
    // The searches of other tests rest on this: hidden memory is refused, the rest is seen.
    assert_eq!(search::of(other.pid(), &SECRET).runs.len(), buffers.len() / 4 - hidden_ones);
    let around = search::of(other.pid(), &SECRET).refused;
    assert!(hidden_ones == 0 || around >= page(), "{around}");
    other.go_on();
    assert!(other.end().success());
}

/// Descriptors are closed at once: nothing of them is left to hand on, by `exec` or otherwise.
#[test]
fn no_descriptor_stays() {
    crate::child::run("peek::no_descriptor_stays", || {
        let held: Vec<_> = [POOL, OWN].iter().map(|policy| take(LEN, policy)).collect();
        if held.iter().all(|&at| query(at).expect("a buffer").is_hidden()) {
            assert!(crate::maps::at(held[0]).expect("a mapping").is_hidden(), "the control");
        }
        for entry in std::fs::read_dir("/proc/self/fd").expect("descriptors") {
            let to = std::fs::read_link(entry.expect("an entry").path()).unwrap_or_default();
            assert!(!to.to_string_lossy().contains("secretmem"), "{to:?}");
        }
        held.into_iter().for_each(crate::raw::free);
    });
}
