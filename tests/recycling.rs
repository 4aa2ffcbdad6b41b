//! What freed large objects had serves the next ones, at other addresses and all zero, without the
//! kernel's making it once more.

#![expect(unsafe_code, reason = "forks, and looks at memory that the heap has zeroed")]

use std::sync::{Mutex, MutexGuard, PoisonError};

#[global_allocator]
static HEAP: casemate::Casemate = casemate::Casemate::new();

const MIB: usize = 1 << 20;

/// One test at a time: what one frees would serve another, and a fork has pages faulted in anew.
fn alone() -> MutexGuard<'static, ()> {
    static ONE: Mutex<()> = Mutex::new(());
    ONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Whether pages of freed objects are kept here: everywhere but on older kernels, and where address
/// space is short.
fn works() -> bool {
    drop(Box::new(1));
    let protections = casemate::protections();
    protections.guard_markers && protections.reserved
}

/// Page faults of this thread that needed no disk.
fn faults() -> i64 {
    // SAFETY: zeros are a value of it, and the kernel writes one.
    unsafe {
        let mut usage: libc::rusage = core::mem::zeroed();
        assert_eq!(libc::getrusage(libc::RUSAGE_THREAD, &raw mut usage), 0);
        usage.ru_minflt
    }
}

/// An object that was all zero, and is all `value`.
fn make(size: usize, value: u8) -> Vec<u8> {
    // Not `vec![0; n]`, which trusts the heap.
    let mut object: Vec<u8> = Vec::with_capacity(size);
    // SAFETY: the heap hands out memory that is initialised.
    let is_zero = |byte: &core::mem::MaybeUninit<u8>| unsafe { byte.assume_init() == 0 };
    assert!(object.spare_capacity_mut().iter().all(is_zero));
    object.resize(size, value);
    object
}

#[test]
fn a_page_is_faulted_in_once() {
    let _alone = alone();
    if !works() {
        println!("skipped: no guard markers, or no reserved address space");
        return;
    }
    for size in [2 * MIB, 4 * MIB, 7 * MIB + 5, 16 * MIB] {
        let first = make(size, 7);
        let address = first.as_ptr().addr();
        drop(first);
        let before = faults();
        let second = make(size, 9);
        let pages = size as i64 / 4096;
        // Page tables are faulted for.
        assert!(faults() - before < pages / 2, "{size}: {} of {pages}", faults() - before);
        assert_ne!(address, second.as_ptr().addr());
        casemate::verify().unwrap();
    }
}

fn mappings() -> usize {
    std::fs::read_to_string("/proc/self/maps").expect("this process's mappings").lines().count()
}

/// Moved at each step it would be a mapping more each time, all of which the next step moves.
#[test]
fn what_grows_in_small_steps_is_few_mappings() {
    let _alone = alone();
    for step in [4096, 65_536] {
        let mut object = make(3 * MIB, 1);
        let before = mappings();
        let mut moves = 0;
        for i in 0..1500 {
            let (address, size) = (object.as_ptr().addr(), object.len());
            object.reserve_exact(step);
            let added = object.spare_capacity_mut();
            // SAFETY: the heap hands out memory that is initialised.
            assert!(added.iter().all(|byte| unsafe { byte.assume_init() } == 0), "{i}");
            object.resize(size + step, i as u8);
            moves += usize::from(object.as_ptr().addr() != address);
            if i % 100 == 0 {
                casemate::verify().unwrap();
            }
        }
        assert!(moves < 50 && mappings() < before + 50, "{moves} moves, {before} mappings before");
        let (first, grown) = object.split_at(3 * MIB);
        assert!(first.iter().all(|&byte| byte == 1));
        assert!(grown.chunks(step).enumerate().all(|(i, part)| part.iter().all(|&b| b == i as u8)));
    }
}

/// What it gave up and takes again is zero.
#[test]
fn what_shrinks_and_grows_again_stays() {
    let _alone = alone();
    let mut object = make(5 * MIB, 1);
    let address = object.as_ptr().addr();
    for i in 0..100 {
        let (small, large) = (2 * MIB + i * 1111, 4 * MIB + i * 777);
        object.truncate(small);
        object.shrink_to_fit();
        object.reserve_exact(large - small);
        assert_eq!(object.as_ptr().addr(), address, "{i}");
        // SAFETY: the heap hands out memory that is initialised.
        let is_zero = |byte: &core::mem::MaybeUninit<u8>| unsafe { byte.assume_init() } == 0;
        assert!(object.spare_capacity_mut().iter().all(is_zero), "{i}");
        object.resize(large, 1);
        casemate::verify().unwrap();
    }
    assert!(object.iter().all(|&byte| byte == 1));
}

#[test]
fn what_grows_keeps_its_contents() {
    let _alone = alone();
    for end in [3 * MIB, 9 * MIB, 24 * MIB] {
        let mut object: Vec<u8> = Vec::new();
        let mut i = 0u32;
        while object.len() < end {
            object.extend_from_slice(&i.to_ne_bytes());
            i += 1;
        }
        let words = object.chunks_exact(4).map(|word| u32::from_ne_bytes(word.try_into().unwrap()));
        assert!(words.eq(0..i));
        object.truncate(MIB);
        object.shrink_to_fit();
        let rest = make(2 * MIB, 1);
        assert_eq!(object.capacity() + rest.len(), 3 * MIB);
    }
    casemate::verify().unwrap();
}

/// Splits a mapping page by page until the process may have no more; where it is.
fn take_all_mappings() -> (*mut u8, usize) {
    // SAFETY: a mapping of our own, inaccessible or readable, and never looked at.
    unsafe {
        let len = 4096 * 1_000_000;
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE;
        let all = libc::mmap(core::ptr::null_mut(), len, libc::PROT_NONE, flags, -1, 0);
        assert_ne!(all, libc::MAP_FAILED);
        let all: *mut u8 = all.cast();
        let readable =
            |i: usize| libc::mprotect(all.add(8192 * i).cast(), 4096, libc::PROT_READ) == 0;
        (all, (0..500_000).take_while(|&i| readable(i)).count())
    }
}

/// In a child: its limit of mappings is reached, then more and more of them are to be had. What is
/// moved mapping by mapping stops in between then (Linux 6.17).
#[test]
fn what_cannot_grow_for_want_of_mappings_keeps_its_contents() {
    for_want_of_mappings(0, || {
        let mut object = Vec::new();
        for _ in 0..4 {
            assert!(grow(&mut object, MIB + 300_000));
        }
        object
    });
}

/// The same of one that the program itself has split, of which the heap knows nothing.
#[test]
fn nor_does_what_the_program_split() {
    for first in 0..12 {
        for_want_of_mappings(first, || {
            // Kept pages would be mappings of their own, which the heap knows.
            casemate::interface::Interface::<casemate::Full>::new(|_| {}, |_| {}, || {}).trim();
            let mut object = Vec::new();
            assert!(grow(&mut object, 2 * MIB));
            for part in [1, 3, 5] {
                let at = object.as_mut_ptr().wrapping_add(part * 65_536);
                // SAFETY: advice on a part of the object, which changes no contents.
                let split = unsafe { libc::madvise(at.cast(), 65_536, libc::MADV_DONTDUMP) };
                assert_eq!(split, 0);
            }
            object
        });
    }
}

/// Gives an object more bytes if they are to be had; its contents are as they were.
fn grow(object: &mut Vec<u8>, more: usize) -> bool {
    let byte = |i: usize| (i / 512) as u8 | 1;
    let done = object.try_reserve_exact(more).is_ok();
    assert!(object.iter().enumerate().all(|(i, &value)| value == byte(i)));
    let capacity = object.capacity();
    object.extend((object.len()..capacity).map(byte));
    done
}

/// `first`: how many times a mapping or two come free before growth is tried.
fn for_want_of_mappings(first: usize, begin: fn() -> Vec<u8>) {
    let _alone = alone();
    let limit = std::fs::read_to_string("/proc/sys/vm/max_map_count").unwrap_or_default();
    if limit.trim().parse().is_ok_and(|most: usize| most > 500_000) {
        println!("skipped: a million mappings are allowed");
        return;
    }
    // SAFETY: the child uses the heap, which Casemate allows, and ends.
    let child = unsafe { libc::fork() };
    assert!(child >= 0);
    if child == 0 {
        // SAFETY: ends this child should it hang.
        unsafe { libc::alarm(60) };
        let well = std::panic::catch_unwind(|| {
            let mut object = begin();
            let (all, taken) = take_all_mappings();
            assert!((1..500_000).contains(&taken), "{taken}: the limit binds");
            let mut grown = 0;
            for i in 0..40 {
                // SAFETY: as there; joined with its neighbours it is two mappings less.
                unsafe {
                    libc::mprotect(all.add(8192 * (taken - 1 - i)).cast(), 4096, libc::PROT_NONE)
                };
                let more = object.len() / 2 + MIB;
                grown += usize::from(i >= first && grown < 3 && grow(&mut object, more));
            }
            assert!(grown > 0, "nothing grew in the end");
        });
        // SAFETY: ends the child.
        unsafe { libc::_exit(i32::from(well.is_err())) }
    }
    let mut status = 0;
    // SAFETY: our own child; a valid place for its status.
    assert_eq!(unsafe { libc::waitpid(child, &raw mut status, 0) }, child);
    assert_eq!(status, 0);
}

#[test]
fn a_child_has_its_own() {
    let _alone = alone();
    drop(make(6 * MIB, 1));
    // SAFETY: the child uses the heap, which Casemate allows, and ends.
    let child = unsafe { libc::fork() };
    assert!(child >= 0);
    if child == 0 {
        let well = std::panic::catch_unwind(|| {
            let object = make(6 * MIB, 2);
            drop(object);
            drop(make(3 * MIB, 3));
        });
        // SAFETY: ends the child.
        unsafe { libc::_exit(i32::from(well.is_err())) }
    }
    let object = make(6 * MIB, 4);
    let mut status = 0;
    // SAFETY: our own child; a valid place for its status.
    assert_eq!(unsafe { libc::waitpid(child, &raw mut status, 0) }, child);
    assert_eq!(status, 0);
    assert!(object.iter().all(|&byte| byte == 4));
}

#[test]
fn sizes_that_alternate_get_each_others_pages() {
    let _alone = alone();
    let mut held: Vec<Vec<u8>> = Vec::new();
    for round in 0..200usize {
        let size = 65_536 << (round * 7 % 8);
        held.push(make(size + round, round as u8));
        if held.len() > 6 {
            let object = held.swap_remove(round % 6);
            assert!(object.iter().all(|&byte| byte == object[0]));
        }
    }
    casemate::verify().unwrap();
}
