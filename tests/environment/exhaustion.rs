//! The kernel gives less and less: limits on address space of many sizes from before the start, and
//! filters that refuse a call from some moment of a program's life on. What the crate's own failure
//! injection (`src/failures/`) does call by call, seen from outside, in the library as shipped.

use crate::child::{self, Prepare};
use crate::filter::{ANSWER, EQUAL, LOAD, install, step};
use crate::limited::{MIB, limit};
use crate::load::{self, Object};

/// From now on a system call fails.
fn refuse(call: libc::c_long, errno: i32) {
    let mut program = [
        step(LOAD, 0, 0, 0),
        step(EQUAL, 0, 1, call as u32),
        step(ANSWER, 0, 0, libc::SECCOMP_RET_ERRNO | errno as u32),
        step(ANSWER, 0, 0, libc::SECCOMP_RET_ALLOW),
    ];
    install(&mut program).expect("the filter is installed");
}

/// Allocates, resizes by replacing, and frees objects of many sizes; nulls are counted.
fn churn(objects: &mut Vec<Object>, rounds: usize) -> usize {
    let mut null = 0;
    for round in 0..rounds {
        for i in 0..60 {
            let size = [16, 90, 500, 4000, 20_000, 100_000, 3_000_000][(round + i) % 7] + i;
            match Object::new(size, 1 << (i % 8)) {
                Some(object) if objects.len() < objects.capacity() => objects.push(object),
                Some(object) => drop(object),
                None => null += 1,
            }
        }
        // Each object looks whether its contents are still there when it is freed.
        objects.truncate(objects.len() / 2);
    }
    null
}

/// Everything is still in order, and what was freed can be had again.
fn settle(objects: &mut Vec<Object>) {
    casemate::verify().expect("every invariant");
    let had = load::fill(objects, 200, 8, 2000);
    objects.clear();
    casemate::verify().expect("every invariant");
    assert!(load::fill(objects, 200, 8, 2000) >= had / 2);
    objects.clear();
    let seen = casemate::stats();
    assert_eq!(seen.large_live, 0, "large objects are lost");
}

/// Ends a child that is done: the test harness would ask for memory that is not to be had.
fn leave() {
    println!("{}", child::DONE);
    // SAFETY: ends the process; nothing is left to be done in it.
    unsafe { libc::_exit(0) };
}

/// Runs a case in children, one for each number; a child that cannot even start says so by SIGABRT
/// and fails the test, so the numbers begin where a Rust program runs.
fn each(name: &str, numbers: &[usize], prepare: Prepare, body: impl Fn(usize)) {
    let variable = format!("CASEMATE_NUMBER_{}", name.replace("::", "_"));
    if let Ok(number) = std::env::var(&variable) {
        return child::run(name, || body(number.parse().expect("a number")));
    }
    for number in numbers {
        // SAFETY: nobody in this process asks for the environment but by the standard library,
        // which has a lock for it.
        unsafe { std::env::set_var(&variable, number.to_string()) };
        child::run_after(name, prepare, || unreachable!("in a child"));
    }
}

#[test]
fn limits_of_many_sizes() {
    let name = "exhaustion::limits_of_many_sizes";
    let sizes = [96, 128, 160, 200, 256, 320, 400, 512, 700, 1024, 2048];
    each(
        name,
        &sizes,
        || Ok(()),
        |size| {
            // The heap has hardly begun: what it reserved is more than this.
            let (mut objects, mut held) = (load::room(4000), load::room(8192));
            limit(size * MIB).expect("the limit is set");
            let null = churn(&mut objects, 20);
            let had = load::fill(&mut held, 4 << 20, 8, size / 4);
            println!("{size} MiB: {null} nulls, then {had} objects of 4 MiB");
            assert!(had < size / 4, "the limit binds");
            held.clear();
            settle(&mut objects);
            leave();
        },
    );
}

/// Moments of the program's life, in rounds of [`churn`].
const MOMENTS: [usize; 4] = [0, 1, 3, 10];
const REFUSED: [(libc::c_long, i32); 8] = [
    (libc::SYS_mmap, libc::ENOMEM),
    (libc::SYS_mmap, libc::EPERM),
    (libc::SYS_munmap, libc::EPERM),
    (libc::SYS_mprotect, libc::ENOMEM),
    (libc::SYS_mprotect, libc::EACCES),
    (libc::SYS_madvise, libc::EINVAL),
    (libc::SYS_madvise, libc::ENOMEM),
    (libc::SYS_mremap, libc::ENOMEM),
];

#[test]
fn calls_that_fail_from_some_moment_on() {
    let name = "exhaustion::calls_that_fail_from_some_moment_on";
    let all: Vec<_> = (0..MOMENTS.len() * REFUSED.len()).collect();
    each(
        name,
        &all,
        || Ok(()),
        |number| {
            let (call, errno) = REFUSED[number % REFUSED.len()];
            let moment = MOMENTS[number / REFUSED.len()];
            let mut objects = load::room(4000);
            let before = churn(&mut objects, moment);
            assert_eq!(before, 0, "memory is there");
            refuse(call, errno);
            let null = churn(&mut objects, 20);
            println!("call {call} gives {errno} after {moment} rounds: {null} nulls");
            if call == libc::SYS_mmap {
                assert!(null > 0, "the filter binds");
            }
            settle(&mut objects);
            leave();
        },
    );
}

/// Slots with slabs to themselves count, too.
#[test]
fn a_trim_that_gives_memory_back_says_so() {
    child::run("exhaustion::a_trim_that_gives_memory_back_says_so", || {
        let heap = casemate::interface::Interface::<casemate::Full>::new(|_| {}, |_| {}, || {});
        let mut objects = load::room(100);
        // A thread has a heap of its own after some allocations.
        (0..1000).for_each(|_| drop(Object::new(8, 8)));
        load::fill(&mut objects, 40_000, 8, 100);
        objects.clear();
        let before = casemate::stats().small;
        assert!(heap.trim());
        let after = casemate::stats().small;
        let given = after.purged - before.purged;
        assert!(given >= 90 && after.committed < before.committed, "{before:?} {after:?}");
    });
}
