//! The whole memory of forked children: of what the parent holds, only what it shares is there.

use crate::advice::refuse_advice;
use crate::child;
use crate::family::{Way, child_of};
use crate::filter::refuse;
use crate::mark::{CONTROL, SECRET, SHARED};
use crate::raw::{OWN, POOL, free, query, take, try_free};
use crate::search::own;
use casemate::secure::{ForkView, Freed, SafeBuffer, SecretVec, secure_verify};

const WAYS: [Way; 3] = [Way::Handlers, Way::Underscore, Way::Raw];

fn nothing_but_what_is_shared() {
    let awake = POOL.hibernation_friendly();
    let mut held = Vec::new();
    for policy in [POOL, OWN, awake, awake.protectable()] {
        for size in [64, 4096, 70_016] {
            let at = take(size, &policy);
            SECRET.write(at, size);
            assert_ne!(query(at).expect("a buffer").fork, ForkView::Copied);
            held.push(at);
        }
    }
    let vector = SecretVec::from(SECRET.vec(640));
    let mut buffer = SafeBuffer::protectable(640).expect("memory");
    SECRET.fill(&mut buffer.borrow_mut());
    let shared = take(640, &POOL.share_with_children());
    SHARED.write(shared, 640);
    let ordinary = CONTROL.vec(4096);
    assert_eq!(own(&SECRET).runs.len(), held.len() + 2, "{:x?}", own(&SECRET).runs);

    for way in WAYS {
        // Handles of the parent's, as the child has them.
        let handles = (&vector, &buffer);
        child_of(way, || {
            // Before the child has called anything of secure memory's, and after.
            assert!(own(&SECRET).is_clear(), "{:x?}", own(&SECRET).runs);
            assert!(own(&SHARED).is_only(shared, 640));
            assert!(own(&CONTROL).is_only(ordinary.as_ptr().addr(), 4096), "the control");
            held.iter().for_each(|&at| assert_eq!(try_free(at), Ok(Freed::Inherited)));
            // SAFETY: this process's copies of the parent's handles, which are not used again.
            drop(unsafe { (std::ptr::read(handles.0), std::ptr::read(handles.1)) });
            free(shared);
            let mine = SecretVec::from(CONTROL.vec(6400));
            drop(mine);
            assert!(own(&SECRET).is_clear() && own(&SHARED).is_clear());
            assert!(own(&CONTROL).is_only(ordinary.as_ptr().addr(), 4096));
            secure_verify().expect("every invariant");
            0
        })
        .unwrap_or_else(|why| panic!("{way:?}: {why}"));
        // The parent's are as they were.
        assert_eq!(own(&SECRET).runs.len(), held.len() + 2);
        assert!(own(&SHARED).is_only(shared, 640));
        secure_verify().expect("every invariant");
    }
    held.into_iter().for_each(free);
    free(shared);
    drop((vector, buffer));
    assert!(own(&SECRET).is_clear() && own(&SHARED).is_clear());
}

#[test]
fn children_see_what_is_shared() {
    child::run("children::children_see_what_is_shared", nothing_but_what_is_shared);
}

#[test]
fn without_memfd_secret() {
    child::run("children::without_memfd_secret", || {
        refuse(&[libc::SYS_memfd_secret], libc::ENOSYS).expect("the filter");
        nothing_but_what_is_shared();
    });
}

/// Where pages cannot be kept out of a child, they are zeros there.
#[test]
fn wiped_instead_of_excluded() {
    child::run("children::wiped_instead_of_excluded", || {
        refuse_advice(libc::MADV_DONTFORK).expect("the filter");
        nothing_but_what_is_shared();
    });
}
