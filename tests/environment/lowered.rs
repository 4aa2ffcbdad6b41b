//! RLIMIT_AS is lowered after start-up, below what the heap has reserved.

use crate::child;
use crate::limited::{GIB, MIB, can_map, limit};
use crate::load::{self, Object};
use std::sync::{Arc, Barrier};

/// What the issue asks for: small objects to 256 MiB in total and one of 64 MiB.
fn small_and_one_large() {
    let mut objects = load::room(1 << 20);
    let mut bytes = 0;
    for i in 0.. {
        let size = [24, 200, 900, 2000, 7000][i % 5];
        objects.push(Object::new(size, 8).unwrap_or_else(|| panic!("null after {bytes} bytes")));
        bytes += size;
        if bytes >= 256 * MIB {
            break;
        }
    }
    let large = Object::new(64 * MIB, 8).expect("one of 64 MiB");
    drop(large);
    objects.clear();
    casemate::verify().expect("every invariant");
}

#[test]
fn to_one_gib_in_one_thread() {
    child::run("lowered::to_one_gib_in_one_thread", || {
        assert!(casemate::protections().reserved);
        load::everyday();
        assert!(can_map(2 * GIB));
        limit(GIB).expect("the limit is set");
        assert!(!can_map(2 * GIB), "the limit binds");
        small_and_one_large();
        load::everyday();
        println!("{}", casemate::protections());
    });
}

#[test]
fn to_one_gib_before_the_first_thread() {
    child::run("lowered::to_one_gib_before_the_first_thread", || {
        limit(GIB).expect("the limit is set");
        small_and_one_large();
        load::everyday();
    });
}

#[test]
fn then_exhaustion_gives_null_and_what_is_freed_is_usable() {
    let name = "lowered::then_exhaustion_gives_null_and_what_is_freed_is_usable";
    child::run(name, || {
        load::everyday();
        limit(GIB).expect("the limit is set");
        let mut objects = load::room(100_000);
        assert!(load::exhaust(&mut objects, 8 * MIB) >= 60);
        assert!(load::exhaust(&mut objects, 30_000) >= 10_000);
        load::everyday();
    });
}

#[test]
fn again_and_up_again() {
    child::run("lowered::again_and_up_again", || {
        limit(2 * GIB).expect("the limit is set");
        load::everyday();
        limit(GIB).expect("the limit is set");
        load::everyday();
        small_and_one_large();
        limit(libc::RLIM_INFINITY as usize).expect("the limit is lifted");
        small_and_one_large();
        drop(Object::new(3 * GIB, 8).expect("3 GiB once it is lifted"));
    });
}

#[test]
fn while_threads_allocate() {
    child::run("lowered::while_threads_allocate", || {
        // Until the heap takes notice, what else a thread's start needs cannot be had either.
        let gate = Arc::new(Barrier::new(4));
        let workers: Vec<_> = (0..4)
            .map(|t| {
                let gate = Arc::clone(&gate);
                std::thread::spawn(move || {
                    let mut objects = load::room(40_000);
                    gate.wait();
                    for i in 0..40_000 {
                        objects.push(Object::new(16 + (i * 31 + t) % 1800, 8).expect("memory"));
                        if i == 5000 && t == 0 {
                            limit(GIB).expect("the limit is set");
                        }
                    }
                })
            })
            .collect();
        workers.into_iter().for_each(|worker| worker.join().expect("no panic"));
        casemate::verify().expect("every invariant");
    });
}
