//! Parent and child of a fork choose different slots.
#![expect(unsafe_code, reason = "forks")]

use crate::heap::{allocate, in_own_heap};
use std::io::{Read, Write};
use std::os::fd::FromRawFd;

fn choices() -> Vec<u8> {
    (0..200).flat_map(|_| allocate(40).addr().to_ne_bytes()).collect()
}

#[test]
fn streams_differ_after_a_fork() {
    in_own_heap(|| {
        let mut ends = [0; 2];
        // SAFETY: there is room for two descriptors.
        assert_eq!(unsafe { libc::pipe(ends.as_mut_ptr()) }, 0);
        // SAFETY: both descriptors are open and owned here; each is wrapped once.
        let [mut from, mut to] = ends.map(|end| unsafe { std::fs::File::from_raw_fd(end) });
        // SAFETY: the child only allocates, writes to the pipe and exits.
        let child = unsafe { libc::fork() };
        if child == 0 {
            let sent = to.write_all(&choices()).is_ok();
            // SAFETY: ends the child at once.
            unsafe { libc::_exit(if sent { 0 } else { 1 }) };
        }
        drop(to);
        let mine = choices();
        let mut others = Vec::new();
        from.read_to_end(&mut others).unwrap();
        // SAFETY: waits for the child just made.
        assert_eq!(unsafe { libc::waitpid(child, std::ptr::null_mut(), 0) }, child);
        assert_eq!(others.len(), mine.len());
        let word = size_of::<usize>();
        let same = mine.chunks(word).zip(others.chunks(word)).filter(|(a, b)| a == b).count();
        // Where both take up the same group, one choice in 63 agrees by chance.
        assert!(same < 40, "{same} of 200 choices agree");
    });
}
