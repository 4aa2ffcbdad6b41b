//! Address space is short from the start: RLIMIT_AS of 4 GiB and of 512 MiB.

use crate::child;
use crate::load::{self, Object};

pub const MIB: usize = 1 << 20;
pub const GIB: usize = 1 << 30;

/// Limits this process's address space.
pub fn limit(bytes: usize) -> std::io::Result<()> {
    let limit = libc::rlimit { rlim_cur: bytes as u64, rlim_max: libc::RLIM_INFINITY };
    // SAFETY: the structure is valid for the call.
    match unsafe { libc::setrlimit(libc::RLIMIT_AS, &raw const limit) } {
        0 => Ok(()),
        _ => Err(std::io::Error::last_os_error()),
    }
}

/// Whether a plain mapping of this many bytes is to be had.
pub fn can_map(bytes: usize) -> bool {
    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE;
    // SAFETY: the kernel chooses a free range, which is removed again at once.
    unsafe {
        let at = libc::mmap(std::ptr::null_mut(), bytes, libc::PROT_NONE, flags, -1, 0);
        at != libc::MAP_FAILED && libc::munmap(at, bytes) == 0
    }
}

/// The lowest rung: nothing is reserved, all else is in force.
fn expect_lowest_rung() {
    let seen = casemate::protections();
    println!("{seen}");
    assert!(!seen.reserved, "{seen}");
    assert!(seen.read_only && seen.set == casemate::policy::Set::FULL, "{seen}");
    assert_eq!(seen.unguarded_slabs, 0, "{seen}");
}

#[test]
fn without_a_limit_address_space_is_reserved() {
    child::run("limited::without_a_limit_address_space_is_reserved", || {
        let seen = casemate::protections();
        println!("{seen}");
        assert!(seen.reserved && seen.region_bits >= 34, "{seen}");
        load::everyday();
    });
}

#[test]
fn four_gib_from_the_start() {
    child::run_after(
        "limited::four_gib_from_the_start",
        || limit(4 * GIB),
        || {
            assert!(!can_map(4 * GIB) && can_map(2 * GIB), "the limit binds");
            expect_lowest_rung();
            load::everyday();
            // Written only at the ends, so that the memory behind it stays little.
            let mut objects = load::room(100_000);
            assert!(load::exhaust(&mut objects, 16 * MIB) >= 200);
            assert!(load::exhaust(&mut objects, 200_000) >= 10_000);
            load::everyday();
            expect_lowest_rung();
        },
    );
}

#[test]
fn half_a_gib_from_the_start() {
    child::run_after(
        "limited::half_a_gib_from_the_start",
        || limit(512 * MIB),
        || {
            assert!(!can_map(512 * MIB), "the limit binds");
            expect_lowest_rung();
            load::everyday();
            let mut objects = load::room(1 << 20);
            let used: usize = [(4 * MIB, 80), (40_000, 6000), (1000, 200_000), (500, 400_000)]
                .iter()
                .map(|&(size, least)| {
                    let n = load::exhaust(&mut objects, size);
                    assert!(n >= least, "size {size}: {n}");
                    usize::from(n > 0)
                })
                .sum();
            assert_eq!(used, 4);
            load::everyday();
            expect_lowest_rung();
        },
    );
}

#[test]
fn threads_go_on_where_memory_is_exhausted() {
    let name = "limited::threads_go_on_where_memory_is_exhausted";
    child::run_after(
        name,
        || limit(512 * MIB),
        || {
            let barrier = std::sync::Barrier::new(3);
            std::thread::scope(|scope| {
                for size in [500, 5000, 3 * MIB] {
                    let barrier = &barrier;
                    scope.spawn(move || {
                        let mut objects = load::room(300_000);
                        barrier.wait();
                        for _ in 0..3 {
                            load::fill(&mut objects, size, 16, usize::MAX);
                            let half = objects.len() / 2;
                            objects.truncate(half);
                        }
                    });
                }
            });
            // For which the heap gives back what it kept: the C library's new threads need address
            // space of their own, and ask nobody.
            let object = load::Object::new(64 * MIB, 16).expect("memory");
            drop(object);
            load::everyday();
        },
    );
}

/// What was large and is freed is no reason to give up small objects' waits for a large request.
#[test]
fn a_request_that_fails_ends_no_wait() {
    child::run_after(
        "limited::a_request_that_fails_ends_no_wait",
        || limit(4 * GIB),
        || {
            let mut near: Vec<_> = (0..400).map(|_| Object::new(100, 8).expect("memory")).collect();
            let watched = near[200].address();
            near.sort_by_key(|object| object.address().abs_diff(watched));
            let kept = near.split_off(141);
            near.into_iter().for_each(drop);
            for _ in 0..3 {
                drop(Object::new(900 * MIB, 8).expect("address space"));
            }
            let large = Object::new(2 * GIB, 8).expect("address space");
            assert!(!can_map(2500 * MIB), "the limit binds");
            assert!(load::is_null(2500 * MIB, 8));
            let mut others = Vec::with_capacity(20_000);
            others.extend((0..20_000).map(|_| Object::new(100, 8).expect("memory")));
            assert!(others.iter().all(|object| object.address() != watched), "an ended wait");
            drop((large, kept));
        },
    );
}

/// What is freed at a limit serves the next, without a look at all that there is each time: that
/// would take minutes here.
#[test]
fn at_the_limit_what_is_freed_serves() {
    child::run_after(
        "limited::at_the_limit_what_is_freed_serves",
        || limit(512 * MIB),
        || {
            let mut objects = load::room(4 << 20);
            let made = load::fill(&mut objects, 100, 8, 4 << 20);
            assert!(made > 1 << 20 && load::is_null(100, 8), "{made}");
            let (mut random, mut refused) = (1usize, 0);
            for _ in 0..300_000 {
                random = random.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(1);
                objects.swap_remove((random >> 33) % objects.len());
                match Object::new(100, 8) {
                    Some(object) => objects.push(object),
                    None => refused += 1,
                }
            }
            // As many as must lie behind a free.
            assert!(refused <= 64, "{refused}");
            casemate::verify().unwrap();
        },
    );
}
