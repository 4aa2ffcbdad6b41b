//! Layer: faces, tests only. The heap's workloads.
#![expect(unsafe_code, reason = "forks, limits, objects of no bytes")]

use super::child::{run, wait_for};
use super::objects::{Held, Named, Object};
use super::sweep::{Workload, as_it_is, sweep};
use crate::interface::{Claim, Origin, Request};
use crate::os::Linux;
use crate::os::linux::failing::{Call, Calls, Plan, disarm};
use crate::policy::{Full, Light, Strict};
use core::sync::atomic::Ordering::Relaxed;
use std::sync::mpsc::channel;
use std::vec::Vec;

/// What the heap asks of the kernel.
const HEAP: &[Call] = &[
    Call::MapAnywhere,
    Call::MapReserve,
    Call::MapPlace,
    Call::TakeAway,
    Call::Unmap,
    Call::Open,
    Call::Close,
    Call::ReadOnly,
    Call::Move,
    Call::Ask,
    Call::Seal,
    Call::WipeOnFork,
    Call::Discard,
    Call::DiscardLocked,
    Call::Dump,
    Call::NoDump,
    Call::Populate,
    Call::Guard,
    Call::Unguard,
    Call::Random,
    Call::OpenFile,
    Call::ReadFile,
    Call::CloseFile,
    Call::Limit,
    Call::AtFork,
    Call::Key,
    Call::KeyValue,
];

/// No markers: an older kernel.
const OLDER: Calls =
    Calls::NONE.and(Call::Guard).and(Call::Unguard).and(Call::Move).and(Call::Seal);

fn limit_address_space(bytes: u64) {
    let limit = libc::rlimit { rlim_cur: bytes, rlim_max: libc::RLIM_INFINITY };
    // SAFETY: the structure is valid for the call; this child's own limit.
    assert_eq!(unsafe { libc::setrlimit(libc::RLIMIT_AS, &raw const limit) }, 0);
}

fn little_address_space() {
    limit_address_space(512 << 20);
}

/// Every invariant holds and these are the live objects of the calling thread's heap, the guests'
/// and those of ended threads.
fn verify(objects: usize) {
    let seen = crate::verify().expect("every invariant");
    assert_eq!(seen.objects + seen.large, objects, "{seen:?}");
}

/// The end of every workload: nothing fails any more.
fn recover<P: Named>(mut held: Held) {
    disarm();
    held.check();
    verify(held.objects.len());
    held.free_some::<P>(2, 1);
    verify(held.objects.len());
    let before = held.objects.len();
    held.null = 0;
    held.add_all::<P>((0..300).map(|i| [16, 100, 500, 3000, 30_000][i % 5] + i));
    held.add_all::<P>([40_000, 200_000, 5_000_000]);
    held.add::<P>(4096, 4096);
    held.add::<P>(10_000, 1 << 17);
    assert_eq!(held.null, 0, "the kernel gives memory, the heap does not");
    assert_eq!(held.objects.len(), before + 305);
    held.check();
    held.free::<P>();
    verify(0);
    for _ in 0..3 {
        P::heap().trim();
        verify(0);
    }
    let seen = crate::stats();
    assert_eq!((seen.small.live, seen.large_live, seen.large_bytes), (0, 0, 0));
    if seen.forks == 0 {
        // A forked child leaves the slabs of threads that it does not have alone.
        assert_eq!(crate::process::heap::<Linux, P>().lost_slabs(), 0, "slabs that nobody has");
    }
}

fn start<P: Named>() {
    let mut held = Held::default();
    held.add::<P>(100, 8);
    held.add::<P>(100_000, 8);
    crate::stats();
    recover::<P>(held);
}

fn small<P: Named>() {
    let mut held = Held::default();
    for round in 0..4 {
        held.add_all::<P>((0..400).map(|i| [16, 60, 250, 500, 1000, 4000, 16_000][i % 7] + i / 7));
        held.free_some::<P>(3, round % 3);
        held.objects.iter_mut().step_by(5).for_each(|it| *it = it.resize::<P>(round * 777 + 20));
        if round == 2 {
            verify(held.objects.len());
        }
    }
    recover::<P>(held);
}

fn large<P: Named>() {
    let mut held = Held::default();
    for round in 0..2 {
        held.add_all::<P>([70_000, 100_000, 300_000, 1_000_000, 3_000_000]);
        held.add::<P>(200_000, 1 << 20);
        held.add::<P>(100, 1 << 18);
        for i in 0..held.objects.len() {
            let size = [4_000_000, 90_000, 500, 600_000][(i + round) % 4];
            held.objects[i] = held.objects[i].resize::<P>(size);
        }
        held.free_some::<P>(2, 0);
    }
    recover::<P>(held);
}

fn aligned<P: Named>() {
    let mut held = Held::default();
    for round in 0..3 {
        for shift in [4, 6, 8, 12, 13, 14, 16] {
            for size in [1, 64, 4096, 8192, 12_288] {
                held.add::<P>(size, 1 << shift);
            }
        }
        held.free_some::<P>(2, round % 2);
    }
    recover::<P>(held);
}

/// Threads that earn heaps, free what others allocated, and end.
fn threads<P: Named>() {
    let mut kept = Held::default();
    kept.add_all::<P>((0..200).map(|i| 30 + i * 3));
    for _ in 0..2 {
        let (give, take) = channel::<Vec<Object>>();
        let workers: Vec<_> = (0..3)
            .map(|number| {
                let give = give.clone();
                std::thread::spawn(move || {
                    let mut held = Held::default();
                    held.add_all::<P>((0..300).map(|i| 16 + (i * 37 + number * 11) % 3000));
                    held.add::<P>(150_000, 8);
                    held.free_some::<P>(2, 0);
                    give.send(std::mem::take(&mut held.objects)).expect("a receiver");
                })
            })
            .collect();
        drop(give);
        let mut theirs: Vec<_> = take.into_iter().flatten().collect();
        workers.into_iter().for_each(|worker| worker.join().expect("no panic"));
        let rest = theirs.split_off(theirs.len() / 2);
        theirs.into_iter().for_each(Object::free::<P>);
        let other = std::thread::spawn(|| rest.into_iter().for_each(Object::free::<P>));
        other.join().expect("no panic");
        verify(kept.objects.len());
    }
    kept.check();
    recover::<P>(kept);
    let heaps = crate::stats().heaps;
    // A new thread earns a heap of its own when there is none to adopt.
    let (ready, wait) = channel();
    let (go, stay) = channel::<()>();
    let worker = std::thread::spawn(move || {
        let mut held = Held::default();
        held.add_all::<P>((0..100).map(|i| 50 + i));
        ready.send(held.null).expect("a receiver");
        let _ = stay.recv();
        held.free::<P>();
    });
    assert_eq!(wait.recv(), Ok(0));
    assert!(crate::stats().heaps >= heaps);
    drop(go);
    worker.join().expect("no panic");
    verify(0);
}

/// Memory goes back and is taken again, that of slots which wait in quarantine too.
fn trim<P: Named>() {
    let mut held = Held::default();
    for round in 0..3 {
        held.add_all::<P>((0..1500).map(|i| [24, 200, 2000, 9000][i % 4] + round));
        held.add_all::<P>([500_000; 9]);
        held.free_some::<P>(1, 0);
        let mut other = Held::default();
        other.add_all::<P>((0..40).map(|i| 60 * i + 1));
        P::heap().trim();
        other.check();
        held = other;
    }
    recover::<P>(held);
}

/// The limit on address space comes down while the heap is in use: what is reserved is given up.
fn lowered<P: Named>() {
    let mut held = Held::default();
    held.add_all::<P>((0..600).map(|i| [24, 200, 2000, 9000][i % 4]));
    limit_address_space(700 << 20);
    held.add_all::<P>((0..900).map(|i| [30, 300, 3000, 19_000, 150_000][i % 5]));
    held.free_some::<P>(2, 0);
    disarm();
    held.check();
    verify(held.objects.len());
    // What could not be unmapped when the limit came counts against it for good.
    limit_address_space(libc::RLIM_INFINITY);
    recover::<P>(held);
}

/// Children, by `fork` and by the bare call: each uses what it inherited and its own.
fn forks<P: Named>() {
    let mut held = Held::default();
    held.add_all::<P>((0..300).map(|i| [24, 200, 2000][i % 3]));
    held.add_all::<P>([100_000; 3]);
    for bare in [false, true] {
        // SAFETY: the child goes on alone and ends by `_exit`.
        let pid = unsafe {
            match bare {
                false => libc::fork(),
                true => libc::syscall(libc::SYS_clone, libc::SIGCHLD, 0, 0, 0, 0) as libc::pid_t,
            }
        };
        assert!(pid >= 0, "fork");
        if pid == 0 {
            // SAFETY: this child's own.
            unsafe { libc::alarm(20) };
            held.check();
            held.free_some::<P>(3, 0);
            held.add_all::<P>((0..200).map(|i| [24, 200, 2000, 70_000][i % 4]));
            let noticed = !bare || crate::protections().raw_fork_noticed;
            if noticed {
                recover::<P>(held);
            }
            // SAFETY: without exit handlers.
            unsafe { libc::_exit(0) };
        }
        wait_for(pid);
        held.add_all::<P>((0..100).map(|i| 40 + i));
    }
    recover::<P>(held);
}

/// Objects of no bytes.
fn nothing<P: Named>() {
    let request = |align| Request { size: 0, align, origin: Origin::Malloc };
    let mut some = Vec::new();
    for round in 0..600usize {
        let align = 16 << (round % 4);
        let at = P::heap().allocate(request(align));
        assert!(at.addr() % align == 0 && !some.contains(&(at, align)) || at.is_null());
        if !at.is_null() {
            some.push((at, align));
        }
        if round % 3 == 0
            && let Some((at, align)) = some.pop()
        {
            // SAFETY: allocated above, of no bytes; so for those below.
            unsafe { P::heap().free(at, Claim::exact(request(align))) };
        }
    }
    disarm();
    let grown = Request { size: 50, ..request(16) };
    for (i, (at, align)) in some.into_iter().enumerate() {
        if i % 2 == 0 && align == 16 {
            // SAFETY: as above; the answer is freed by nobody else.
            unsafe {
                let object = P::heap().reallocate(at, Claim::exact(request(align)), grown);
                assert!(!object.is_null());
                P::heap().free(object, Claim::exact(grown));
            }
        } else {
            // SAFETY: as above.
            unsafe { P::heap().free(at, Claim::exact(request(align))) };
        }
    }
    recover::<P>(Held::default());
}

const fn work(name: &'static str, run: fn(), runs: u64) -> Workload {
    Workload { name, prepare: as_it_is, run, never: Calls::NONE, runs }
}

const fn older(workload: Workload) -> Workload {
    Workload { never: OLDER, ..workload }
}

const fn short(workload: Workload) -> Workload {
    Workload { prepare: little_address_space, ..workload }
}

#[test]
fn the_heap_starts_and_serves() {
    let workloads = [
        work("start", start::<Full>, 10),
        work("start, strict", start::<Strict>, 0),
        short(work("start, little address space", start::<Full>, 6)),
        work("small", small::<Full>, 6),
        work("small, strict", small::<Strict>, 6),
        older(work("small, no markers", small::<Full>, 6)),
        short(work("small, little address space", small::<Full>, 6)),
        work("small, light", small::<Light>, 0),
        work("aligned", aligned::<Full>, 5),
        work("nothing", nothing::<Full>, 5),
        short(work("nothing, little address space", nothing::<Full>, 4)),
    ];
    sweep("failures::heap::the_heap_starts_and_serves", &workloads, &[]);
}

#[test]
fn large_objects_and_memory_given_back() {
    let workloads = [
        work("large", large::<Full>, 6),
        older(work("large, no markers", large::<Full>, 5)),
        short(work("large, little address space", large::<Full>, 5)),
        work("large, strict", large::<Strict>, 0),
        work("trim", trim::<Full>, 6),
        older(work("trim, no markers", trim::<Strict>, 5)),
        short(work("trim, little address space", trim::<Full>, 0)),
        work("lowered", lowered::<Full>, 6),
    ];
    sweep("failures::heap::large_objects_and_memory_given_back", &workloads, HEAP);
}

#[test]
fn threads_and_children() {
    let workloads = [
        work("threads", threads::<Full>, 5),
        work("threads, strict", threads::<Strict>, 0),
        older(short(work("threads, little address space", threads::<Full>, 4))),
        work("forks", forks::<Full>, 6),
        older(work("forks, strict", forks::<Strict>, 4)),
    ];
    let expected = [Call::AtFork, Call::Key, Call::KeyValue, Call::WipeOnFork, Call::Random];
    sweep("failures::heap::threads_and_children", &workloads, &expected);
}

/// An object that grows again and again, each time to a new place.
fn growing() {
    let mut object = Object::new::<Full>(200_000, 8, 3).expect("memory");
    for size in (1..12).map(|i| 400_000 * i) {
        let grown = object.resize::<Full>(size);
        assert_eq!(grown.size(), size, "there is memory");
        object = grown;
    }
    object.free::<Full>();
    verify(0);
}

#[test]
fn what_grows_does_so_where_moves_fail_late() {
    // For want of memory, and at the second mapping of a range (Linux 5.7 to 6.16).
    for error in 0..2 {
        for more in [0, 1, u64::MAX] {
            let calls = Calls::only(Call::Move);
            let plan = Plan { calls, first: 1, more, error, half: true, ..Plan::NOTHING };
            let (record, ended) = run(&work("growing", growing, 1), &plan);
            assert_eq!(ended, Ok(()), "{plan:?}");
            let failed = record.failed[Call::Move as usize].load(Relaxed);
            assert!(failed > 0 || !crate::protections().guard_markers, "{plan:?}");
        }
    }
}

/// A double free.
fn misuse() {
    let object = Object::new::<Full>(40, 8, 1).expect("memory");
    object.free::<Full>();
    object.free_again::<Full>();
}

#[test]
fn the_end_comes_whatever_fails() {
    const LINE: &str = "casemate: double free (size class 48)\n";
    let all = |calls: &[Call]| calls.iter().fold(Calls::NONE, |set, &call| set.and(call));
    for (calls, status, words) in [
        (Calls::NONE, libc::SIGABRT, LINE),
        (all(&[Call::Write]), libc::SIGABRT, ""),
        // The status that a shell shows for SIGABRT.
        (all(&[Call::Kill]), 128 + libc::SIGABRT, LINE),
        (all(&[Call::Who, Call::Kill]), 128 + libc::SIGABRT, LINE),
        (all(&[Call::Kill, Call::Exit]), libc::SIGILL, LINE),
        (all(&[Call::Write, Call::Who, Call::Kill, Call::Exit]), libc::SIGILL, ""),
    ] {
        let plan = Plan { never: calls, ..Plan::NOTHING };
        let (_, ended) = run(&work("the end", misuse, 1), &plan);
        assert_eq!(ended, Err((status, words.into())), "{calls:?}");
    }
}
