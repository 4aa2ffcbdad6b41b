//! What `safe_query` and `secure_stats` claim, against the kernel's own account of the mappings,
//! for every backing and policy, and where the kernel refuses one protection after the other.

use crate::advice::{lock_nothing, refuse_advice};
use crate::child;
use crate::family::{Way, child_of};
use crate::filter::refuse;
use crate::maps::{self, Mapping, page};
use crate::raw::{OWN, POOL, free, protect, query, take};
use casemate::secure::{
    Access, Backing, ForkView, Policy, Protections, secure_stats, secure_verify,
};
use std::fs::File;
use std::os::unix::fs::FileExt;

/// `MADV_PAGEOUT`, Linux 5.4.
const PAGE_OUT: i32 = 21;
/// `MADV_GUARD_INSTALL`, Linux 6.13.
const GUARD_INSTALL: i32 = 102;

/// What the kernel says about a page in `/proc/self/pagemap`: guarded (bit 58, Linux 6.15).
fn is_marked(at: usize) -> bool {
    let mut word = [0; 8];
    let pages = File::open("/proc/self/pagemap").expect("the page map");
    pages.read_exact_at(&mut word, (at / page() * 8) as u64).expect("a page's word");
    u64::from_ne_bytes(word) >> 58 & 1 == 1
}

/// Whether this kernel shows guard markers at all: asked with one of the test's own.
fn marks_are_shown() -> bool {
    let (len, flags) = (page(), libc::MAP_PRIVATE | libc::MAP_ANONYMOUS);
    // SAFETY: a page of this function's own, removed again.
    unsafe {
        let at = libc::mmap(std::ptr::null_mut(), len, libc::PROT_READ, flags, -1, 0);
        assert_ne!(at, libc::MAP_FAILED);
        let before = is_marked(at.addr());
        let shown = libc::madvise(at, len, GUARD_INSTALL) == 0 && is_marked(at.addr());
        libc::munmap(at, len);
        !before && shown
    }
}

/// Whether the kernel would move the page to swap if it were asked.
fn may_be_swapped(at: usize) -> bool {
    let start = std::ptr::without_provenance_mut(at & !(page() - 1));
    // SAFETY: changes no contents.
    let done = unsafe { libc::madvise(start, page(), PAGE_OUT) };
    let error = std::io::Error::last_os_error().raw_os_error();
    assert!(done == 0 || error == Some(libc::EINVAL), "{error:?}");
    done == 0
}

fn sealed() -> usize {
    maps::of("self").iter().filter(|one| one.has("sl")).count()
}

/// All that is claimed about a buffer.
fn compare(at: usize, claims: &Protections, shown: bool) {
    let one = maps::at(at).expect("a mapping");
    let has = |flag| one.has(flag);
    let text = format!("{claims}\n{one:x?}");
    assert_eq!(has("lo"), claims.locked, "locked: {text}");
    assert_eq!(has("dd"), claims.no_dump, "not dumped: {text}");
    assert_eq!(has("dc"), claims.fork == ForkView::Excluded, "not in children: {text}");
    assert_eq!(has("wf"), claims.fork == ForkView::Wiped, "wiped in children: {text}");
    assert_eq!(one.is_hidden(), claims.backing == Backing::Secret, "hidden: {text}");
    assert_eq!(claims.locked, claims.backing != Backing::Unlocked, "{text}");
    let access = match claims.access {
        Access::NoAccess => "---",
        Access::ReadOnly => "r--",
        Access::ReadWrite => "rw-",
    };
    assert_eq!(&one.access[..3], access, "{text}");
    // All of it is in memory, none of it in swap, and the kernel may not change that.
    if claims.locked {
        assert_eq!(one.locked, (one.end - one.start) >> 10, "{text}");
        assert_eq!(one.swapped, 0, "{text}");
    }
    if claims.access != Access::NoAccess {
        assert_ne!(may_be_swapped(at), claims.locked, "{text}");
    }
    compare_guards(at, &one, claims, shown);
}

fn compare_guards(at: usize, one: &Mapping, claims: &Protections, shown: bool) {
    assert!(claims.guards);
    if !claims.pooled {
        // Nothing but the alignment between the object and the guard.
        assert_eq!((at + claims.size).next_multiple_of(page()), one.end, "{claims}");
    }
    for guard in [one.start - page(), one.end] {
        let there = maps::at(guard).expect("a guard");
        assert_eq!(&there.access[..3], "---", "{claims}\n{there:x?}");
        assert!(!shown || is_marked(guard) == claims.guard_markers, "{claims} {guard:x}");
    }
}

/// Every policy, size and access; what the buffers claimed.
fn everything() -> Vec<Protections> {
    let (shown, seals) = (marks_are_shown(), sealed());
    let locked = maps::status("VmLck") << 10;
    let awake = POOL.hibernation_friendly();
    let mut all = Vec::new();
    for policy in [
        POOL,
        OWN,
        awake,
        awake.protectable(),
        POOL.share_with_children(),
        Policy::best_effort().share_with_children().protectable(),
    ] {
        let held: Vec<_> = [32, 500, 4096, 6000, 300_000].map(|size| take(size, &policy)).into();
        for &at in &held {
            let claims = query(at).expect("a buffer");
            compare(at, &claims, shown);
            all.push(claims);
            if !claims.pooled {
                for access in [Access::ReadOnly, Access::NoAccess, Access::ReadWrite] {
                    protect(at, access).expect("own pages");
                    let claims = query(at).expect("a buffer");
                    assert_eq!(claims.access, access);
                    compare(at, &claims, shown);
                }
            }
        }
        // What is counted as locked is what the kernel charges.
        let charged = (maps::status("VmLck") << 10) - locked;
        assert_eq!(secure_stats().locked_bytes, charged, "{}", secure_stats());
        held.into_iter().for_each(free);
    }
    let claims = all.first().expect("some");
    assert_eq!(sealed() > seals, claims.sealed_metadata, "{claims}");
    secure_verify().expect("every invariant");
    println!("{}", secure_stats());
    all
}

#[test]
fn as_the_machine_gives_it() {
    child::run("flags::as_the_machine_gives_it", || {
        let all = everything();
        all.iter().for_each(|claims| println!("{claims}"));
        println!("markers: {}; shown: {}", all[0].guard_markers, marks_are_shown());
    });
}

#[test]
fn without_memfd_secret() {
    child::run("flags::without_memfd_secret", || {
        refuse(&[libc::SYS_memfd_secret], libc::ENOSYS).expect("the filter");
        assert!(everything().iter().all(|claims| claims.backing != Backing::Secret));
    });
}

#[test]
fn without_locks() {
    child::run("flags::without_locks", || {
        lock_nothing().expect("fewer rights, and nothing to be locked");
        assert!(everything().iter().all(|claims| claims.backing == Backing::Unlocked));
    });
}

#[test]
fn without_exclusion_from_forks() {
    child::run("flags::without_exclusion_from_forks", || {
        refuse_advice(libc::MADV_DONTFORK).expect("the filter");
        let all = everything();
        assert!(all.iter().all(|claims| claims.fork != ForkView::Excluded));
        assert!(all.iter().any(|claims| claims.fork == ForkView::Wiped));
    });
}

#[test]
fn without_exclusion_from_dumps() {
    child::run("flags::without_exclusion_from_dumps", || {
        refuse_advice(libc::MADV_DONTDUMP).expect("the filter");
        // Hidden memory is never dumped.
        let all = everything();
        assert!(all.iter().all(|claims| claims.no_dump == claims.is_hidden()));
    });
}

#[test]
fn without_markers() {
    child::run("flags::without_markers", || {
        refuse_advice(GUARD_INSTALL).expect("the filter");
        assert!(!marks_are_shown());
        assert!(everything().iter().all(|claims| !claims.guard_markers));
    });
}

#[test]
fn without_seals() {
    child::run("flags::without_seals", || {
        refuse(&[libc::SYS_mseal], libc::ENOSYS).expect("the filter");
        assert!(everything().iter().all(|claims| !claims.sealed_metadata));
    });
}

/// A child's copy is what it is in the child.
#[test]
fn copies_in_children() {
    child::run("flags::copies_in_children", || {
        let shown = marks_are_shown();
        let at = take(6000, &POOL.share_with_children());
        compare(at, &query(at).expect("a buffer"), shown);
        for way in [Way::Handlers, Way::Raw] {
            child_of(way, || {
                let claims = query(at).expect("the child's copy");
                assert!(!claims.locked && claims.no_dump, "{claims}");
                compare(at, &claims, shown);
                // The child's own are whole.
                let own = take(6000, &POOL);
                compare(own, &query(own).expect("a buffer"), shown);
                0
            })
            .unwrap_or_else(|why| panic!("{way:?}: {why}"));
        }
        free(at);
    });
}

/// The control of `may_be_swapped`, and of the flags' names.
#[test]
fn ordinary_memory_has_none_of_it() {
    child::run("flags::ordinary_memory_has_none_of_it", || {
        let vector = vec![1u8; 1 << 20];
        let at = vector.as_ptr().addr() + (1 << 19);
        assert!(may_be_swapped(at));
        let one = maps::at(at).expect("a mapping");
        assert!(["lo", "dd", "dc", "wf", "sl"].iter().all(|flag| !one.has(flag)), "{one:x?}");
        assert!(one.has("rd") && one.has("wr") && one.resident > 0);
    });
}
