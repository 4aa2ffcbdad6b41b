//! Mappings run out: with guards by `mprotect` each slab takes two, and `vm.max_map_count` is
//! 65,530 by default.

use crate::child;
use crate::filter::refuse_markers;
use crate::load::{self, Object};

/// Mappings of this process.
fn mappings() -> usize {
    std::fs::read("/proc/self/maps").expect("maps").iter().filter(|&&b| b == b'\n').count()
}

fn most() -> usize {
    let text = std::fs::read_to_string("/proc/sys/vm/max_map_count").expect("the limit");
    text.trim().parse().expect("a number")
}

#[test]
fn guards_are_thinned_before_mappings_run_out() {
    let name = "mappings::guards_are_thinned_before_mappings_run_out";
    child::run_after(
        name,
        || refuse_markers(libc::EINVAL),
        || {
            let most = most();
            if most > 1 << 20 {
                println!("skipped: vm.max_map_count is {most}");
                return;
            }
            // A slab of its own for each, of which only the ends are touched.
            let count = most;
            let mut objects = load::room(count);
            assert_eq!(load::fill(&mut objects, 4096, 4096, count), count, "none fails");
            let seen = casemate::protections();
            let used = mappings();
            println!(
                "{count} slabs, {used} of {most} mappings, {} without guard",
                seen.unguarded_slabs
            );
            assert!(seen.unguarded_slabs > 0, "thinning has started");
            assert!(seen.unguarded_slabs < count as u64 / 3 * 2, "and no sooner than needed");
            assert!(used < most, "there is room for the program's own");
            // Everything else goes on: other sizes, large objects, threads.
            load::everyday();
            objects.clear();
            casemate::verify().expect("every invariant");
            load::everyday();
            println!("{}", casemate::protections());
        },
    );
}

/// The program itself uses every mapping that there is.
fn use_up_mappings() -> usize {
    let page = 4096;
    let len = 2 * (most() + 10) * page;
    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE;
    // SAFETY: a range of our own that nothing refers to; protections in it alternate, so every
    // page becomes a mapping until the kernel refuses.
    unsafe {
        let at = libc::mmap(std::ptr::null_mut(), len, libc::PROT_NONE, flags, -1, 0);
        assert_ne!(at, libc::MAP_FAILED);
        (0..len / page)
            .step_by(2)
            .take_while(|i| libc::mprotect(at.byte_add(i * page), page, libc::PROT_READ) == 0)
            .count()
    }
}

/// The heap under that, and after it.
fn none_left() {
    none_left_after(|| ());
}

/// The same, with something done first that makes the heap give way.
fn none_left_after(first: fn()) {
    if most() > 1 << 20 {
        println!("skipped: vm.max_map_count is {}", most());
        return;
    }
    load::everyday();
    let mut objects = load::room(100_000);
    // Slabs of this thread's own: those that are there may all be in other threads' use.
    load::fill(&mut objects, 100, 8, 4000);
    objects.clear();
    use_up_mappings();
    first();
    let had = load::fill(&mut objects, 100, 8, 100_000);
    println!("{had} small objects without a mapping left");
    assert!(had >= 3000, "what was had before can be had again");
    // Null is an answer, a crash is not; what is there can be freed and had again.
    for size in [16, 300, 5000, 50_000, 1 << 20] {
        drop(Object::new(size, 8));
    }
    objects.clear();
    assert!(load::fill(&mut objects, 100, 8, 100_000) >= had / 2);
    objects.clear();
    casemate::verify().expect("every invariant");
}

#[test]
fn a_program_that_uses_all_of_them() {
    child::run("mappings::a_program_that_uses_all_of_them", none_left);
}

/// A request that cannot be served makes every heap give way; what they give up must not need a
/// mapping to be used again.
#[test]
fn giving_way_loses_no_slab() {
    child::run("mappings::giving_way_loses_no_slab", || {
        none_left_after(|| (0..3).for_each(|_| drop(Object::new(8 << 20, 8))));
    });
}

#[test]
fn a_trim_loses_no_slab() {
    child::run("mappings::a_trim_loses_no_slab", || {
        none_left_after(|| {
            let heap = casemate::interface::Interface::<casemate::Full>::new(|_| {}, |_| {}, || {});
            heap.trim();
        });
    });
}

#[test]
fn a_program_that_uses_all_of_them_without_markers() {
    let name = "mappings::a_program_that_uses_all_of_them_without_markers";
    child::run_after(name, || refuse_markers(libc::EINVAL), none_left);
}
