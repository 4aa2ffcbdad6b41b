//! Threads that come and go: their heaps are used again, and memory does not grow.

use crate::child;
use crate::raw::Raw;

/// Bytes that the heap has made accessible.
fn committed() -> u64 {
    let stats = casemate::stats();
    stats.small.committed + stats.large_bytes + stats.metadata
}

fn short_life(seed: usize) {
    let objects: Vec<_> =
        (0..200).map(|i| Raw::new(16 + (i * 37 + seed) % 1500).expect("memory")).collect();
    objects.into_iter().for_each(Raw::free);
}

#[test]
fn ten_thousand_one_after_the_other() {
    child::run("churn::ten_thousand_one_after_the_other", || {
        let spawn = |n: usize| {
            for i in 0..n {
                std::thread::spawn(move || short_life(i)).join().expect("no panic");
            }
        };
        // Until each heap's quarantine has its size.
        spawn(2000);
        let (heaps, bytes) = (casemate::stats().heaps, committed());
        spawn(10_000);
        let after = committed();
        println!("{heaps} heaps, {bytes} bytes; then {} heaps, {after}", casemate::stats().heaps);
        assert!(casemate::stats().heaps <= heaps + 1);
        assert!(after <= bytes + bytes / 4, "{bytes} bytes, then {after}");
        casemate::verify().expect("every invariant");
    });
}

#[test]
fn a_hundred_at_a_time() {
    child::run("churn::a_hundred_at_a_time", || {
        let mut heaps = 0;
        for round in 0..20 {
            let all: Vec<_> =
                (0..100).map(|i| std::thread::spawn(move || short_life(i + round))).collect();
            all.into_iter().for_each(|thread| thread.join().expect("no panic"));
            heaps = heaps.max(casemate::stats().heaps);
        }
        println!("{heaps} heaps");
        assert!(heaps <= 5 + 1 + 102, "one a thread at most");
        casemate::verify().expect("every invariant");
    });
}

/// However many threads have ended, no heap of theirs is left out.
#[test]
fn the_walk_has_every_heap() {
    child::run("churn::the_walk_has_every_heap", || {
        let gate = std::sync::Arc::new(std::sync::Barrier::new(150));
        let all: Vec<_> = (0..150)
            .map(|i| {
                let gate = gate.clone();
                std::thread::spawn(move || {
                    (0..20).for_each(|k| short_life(i + k));
                    gate.wait();
                })
            })
            .collect();
        // Each with its exit handlers, which the end of a scope does not wait for.
        all.into_iter().for_each(|thread| thread.join().expect("no panic"));
        let (seen, made) =
            (casemate::verify().expect("every invariant").heaps, casemate::stats().heaps);
        println!("{seen} of {made} heaps");
        // All but the table's first, which is nobody's, and this one's own thread's, if it has one.
        assert!(made > 15 && seen + 2 >= made as usize, "{seen} of {made}");
    });
}

/// What a thread leaves behind is freed by others, and taken up by its heap's next owner.
#[test]
fn objects_outlive_their_threads() {
    child::run("churn::objects_outlive_their_threads", || {
        let mut left: Vec<Raw> = Vec::new();
        let mut most = 0;
        for round in 0..300 {
            let made = std::thread::spawn(move || {
                (0..500).map(|i| Raw::new(16 + (i * 7 + round) % 600).expect("memory")).collect()
            });
            let made: Vec<Raw> = made.join().expect("no panic");
            left.extend(made);
            if left.len() > 5000 {
                left.drain(..2500).for_each(Raw::free);
            }
            if round == 50 {
                most = committed();
            }
        }
        let after = committed();
        println!("{most} bytes after 50 threads, {after} after 300");
        assert!(after <= most + most / 2, "{most}, then {after}");
        left.into_iter().for_each(Raw::free);
        casemate::verify().expect("every invariant");
    });
}

/// More threads at once than there are heaps where address space is limited.
#[test]
fn idle_threads_stay_guests() {
    child::run("churn::idle_threads_stay_guests", || {
        let before = casemate::stats().heaps;
        let gate = std::sync::Barrier::new(201);
        std::thread::scope(|scope| {
            for i in 0..200 {
                let gate = &gate;
                let body = move || {
                    let few: Vec<_> = (1..20).map(|k| Raw::new(k * i + 1).unwrap()).collect();
                    gate.wait();
                    few.into_iter().for_each(Raw::free);
                };
                std::thread::Builder::new().stack_size(64 << 10).spawn_scoped(scope, body).unwrap();
            }
            gate.wait();
        });
        // This thread may have, which made two hundred others.
        assert!(casemate::stats().heaps <= before + 1, "none earned a heap");
        casemate::verify().expect("every invariant");
    });
}
