//! No two processes agree on where anything is, or on canaries.
#![expect(unsafe_code, reason = "reads the canary behind an object")]

use crate::heap::{allocate, in_own_heap};
use std::collections::HashSet;
use std::process::Command;

const CHILDREN: usize = 32;
const CHILD: &str = "CASEMATE_RANDOMNESS_CHILD";

/// What a child says of itself: addresses of objects, distances to libc, a canary.
fn facts() -> Vec<usize> {
    in_own_heap(|| {
        let [small, middle, medium] = [24, 1000, 60_000].map(|size| allocate(size).addr());
        let large = allocate(4 << 20).addr();
        let libc = (libc::getpid as *const ()).addr();
        let watched = allocate(24);
        // SAFETY: 24 bytes and their canary share a slot of 32 bytes, which is mapped.
        let canary = unsafe { watched.add(24).cast::<u64>().read() };
        vec![
            small,
            middle,
            medium,
            large,
            small.abs_diff(middle),
            small.abs_diff(large),
            small.abs_diff(libc),
            large.abs_diff(libc),
            canary as usize,
        ]
    })
}

#[test]
fn child() {
    if std::env::var_os(CHILD).is_some() {
        for fact in facts() {
            println!("fact {fact}");
        }
    }
}

#[test]
fn no_two_processes_agree() {
    let mut seen: Vec<HashSet<usize>> = vec![HashSet::new(); facts().len()];
    for _ in 0..CHILDREN {
        let output = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "processes::child", "--nocapture"])
            .env(CHILD, "1")
            .output()
            .unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        let facts: Vec<usize> = text
            .lines()
            .filter_map(|line| line.rsplit_once("fact "))
            .map(|(_, fact)| fact.parse().unwrap())
            .collect();
        assert_eq!(facts.len(), seen.len(), "{text}");
        for (set, fact) in seen.iter_mut().zip(facts) {
            set.insert(fact);
        }
    }
    // 22 random bits in the least random of them: two of 32 agree with p < 1.2e-4 if only a
    // region's offset were random; with the bases, 34 bits and more each, p < 1e-7 for one fact.
    for (i, set) in seen.iter().enumerate() {
        let least = if i == 4 { CHILDREN - 2 } else { CHILDREN };
        assert!(set.len() >= least, "fact {i}: {} of {CHILDREN} differ", set.len());
    }
}
