//! Guard markers are refused: from the start, and from some later moment on.

use crate::child;
use crate::filter::{markers_work, refuse_markers};
use crate::limited::{MIB, limit};
use crate::load::{self, Object};

/// Whether an access to this address is answered with EFAULT when the kernel makes it.
fn is_guarded(at: usize) -> bool {
    let mut ends = [0; 2];
    // SAFETY: the kernel reads one byte at the address or refuses to; a pipe of our own.
    unsafe {
        assert_eq!(libc::pipe(ends.as_mut_ptr()), 0);
        let wrote = libc::write(ends[1], std::ptr::without_provenance(at), 1);
        libc::close(ends[0]);
        libc::close(ends[1]);
        wrote == -1
    }
}

/// The end of a slab is met within its stride: pages of 4 to 64 KiB, slabs of 32 KiB or more.
fn expect_guard_behind(object: &Object) {
    let page = 4096;
    let end = object.address() + (1 << 18);
    let mut at = (object.address() | (page - 1)) + 1;
    while !is_guarded(at) {
        at += page;
        assert!(at < end, "no guard behind {:#x}", object.address());
    }
}

fn guards_hold() {
    for size in [32, 480, 2000, 8000, 30_000] {
        let objects: Vec<_> = (0..200).map(|_| Object::new(size, 8).expect("memory")).collect();
        objects.iter().for_each(expect_guard_behind);
    }
}

fn from_the_start() {
    assert!(!markers_work(), "the filter binds");
    let seen = casemate::protections();
    println!("{seen}");
    assert!(!seen.guard_markers && seen.unguarded_slabs == 0, "{seen}");
    load::everyday();
    guards_hold();
    let seen = casemate::protections();
    assert!(!seen.guard_markers && seen.unguarded_slabs == 0, "{seen}");
}

#[test]
fn refused_from_the_start() {
    let filter = || refuse_markers(libc::EINVAL);
    child::run_after("filtered::refused_from_the_start", filter, from_the_start);
}

#[test]
fn forbidden_from_the_start() {
    let filter = || refuse_markers(libc::EPERM);
    child::run_after("filtered::forbidden_from_the_start", filter, from_the_start);
}

#[test]
fn refused_where_address_space_is_short_too() {
    let name = "filtered::refused_where_address_space_is_short_too";
    let prepare = || refuse_markers(libc::EINVAL).and_then(|()| limit(512 * MIB));
    child::run_after(name, prepare, || {
        from_the_start();
        let mut objects = load::room(200_000);
        load::exhaust(&mut objects, 3000);
    });
}

/// The filter comes while slabs with markers are in use, free and given back.
fn later(errno: i32) {
    if !markers_work() {
        println!("skipped: this kernel has no guard markers to take away");
        return;
    }
    load::everyday();
    assert!(casemate::protections().guard_markers);
    let held: Vec<_> = (0..3000).map(|i| Object::new(16 + i % 3000, 8).expect("memory")).collect();
    refuse_markers(errno).expect("the filter is installed");
    assert!(!markers_work(), "the filter binds");
    load::everyday();
    guards_hold();
    drop(held);
    // Enough to want new slabs of every size, whatever was free.
    let mut objects = load::room(300_000);
    for size in [16, 100, 1000, 10_000] {
        load::fill(&mut objects, size, 8, (24 << 20) / size);
    }
    objects.iter().step_by(997).for_each(expect_guard_behind);
    objects.clear();
    load::everyday();
    let seen = casemate::protections();
    println!("{seen}");
    assert!(!seen.guard_markers, "{seen}");
    assert_eq!(seen.unguarded_slabs, 0, "{seen}");
}

#[test]
fn refused_later() {
    child::run("filtered::refused_later", || later(libc::EINVAL));
}

#[test]
fn forbidden_later() {
    child::run("filtered::forbidden_later", || later(libc::EPERM));
}
