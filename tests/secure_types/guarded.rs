//! No access at rest: guards, their count, sealing.

use casemate::secure::{Access, ErrorKind, GuardedBox, Policy, SafeBuffer, SecretVec};
use std::alloc::Layout;
use std::cell::Cell;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Barrier, Mutex};
use std::thread;

use crate::memory::{self, Seen};

fn access<T: ?Sized>(guarded: &GuardedBox<T>) -> Access {
    guarded.protections().unwrap().access
}

#[test]
fn guards_are_counted_in_any_order() {
    let guarded = GuardedBox::<[u8; 64]>::init_with(|value| value.fill(7));
    assert_eq!(access(&guarded), Access::NoAccess);
    let one = guarded.borrow_read_only();
    assert_eq!(access(&guarded), Access::ReadOnly);
    let (two, three) = (guarded.borrow(), guarded.borrow_read_only());
    assert_eq!(access(&guarded), Access::ReadWrite);
    let at = one.as_ptr().expose_provenance();
    assert_eq!(memory::at(at, 64), Seen::Bytes(vec![7; 64]), "the control");
    drop(one);
    assert_eq!(*three, [7; 64]);
    drop(two);
    assert_eq!(access(&guarded), Access::ReadOnly);
    assert_eq!(*three, [7; 64]);
    drop(three);
    assert_eq!(access(&guarded), Access::NoAccess);
    assert_eq!(memory::at(at, 64), Seen::Nothing);
}

#[test]
fn writing_opens_and_closes() {
    let mut guarded =
        GuardedBox::<[u8]>::try_init_slice_with_policy(10_000, &Policy::best_effort(), |all| {
            all.fill(1);
            Ok::<(), casemate::secure::SecureError>(())
        })
        .unwrap();
    guarded.borrow_mut()[9_999] = 2;
    assert_eq!(access(&guarded), Access::NoAccess);
    assert_eq!(guarded.borrow()[9_998..], [1, 2]);
    let open = guarded.try_into_secret_box().unwrap();
    assert_eq!(open.protections().unwrap().access, Access::ReadWrite);
    assert_eq!(open.expose_secret()[9_999], 2);
}

/// What a shared reference can change is open for writing.
#[test]
fn values_that_change_through_shared_references() {
    crate::child::run("guarded::values_that_change_through_shared_references", || {
        let count = GuardedBox::<[AtomicU64; 4]>::init_with(|_| ());
        let guard = count.borrow();
        assert_eq!(guard[3].fetch_add(7, Ordering::Relaxed), 0);
        thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| count.borrow()[3].fetch_add(1, Ordering::Relaxed));
            }
        });
        assert_eq!(guard[3].load(Ordering::Relaxed), 9);
        drop(guard);
        assert_eq!(access(&count), Access::NoAccess);
        let key = GuardedBox::try_new(Mutex::new([7u8; 32])).unwrap();
        key.borrow().lock().unwrap()[0] = 1;
        assert_eq!(key.borrow().lock().unwrap()[..2], [1, 7]);
        let cell = GuardedBox::try_new((Cell::new(1), [0u8; 9])).unwrap();
        cell.borrow().0.set(2);
        assert_eq!(cell.borrow().0.get(), 2);
    });
}

#[test]
fn many_threads_open_one_box() {
    let guarded = GuardedBox::<[u64; 100]>::init_with(|value| value.fill(9));
    let together = Barrier::new(4);
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                together.wait();
                for _ in 0..500 {
                    let one = guarded.borrow();
                    let two = guarded.borrow();
                    drop(one);
                    assert!(two.iter().all(|&word| word == 9));
                }
            });
        }
        // A guard may be dropped by another thread than it was made by.
        let guard = guarded.borrow();
        scope.spawn(move || assert_eq!(guard[0], 9));
    });
    assert_eq!(access(&guarded), Access::NoAccess);
}

#[test]
fn destructors_find_the_value_open() {
    struct Counted<'a>(&'a Cell<u32>, u32);
    impl Drop for Counted<'_> {
        fn drop(&mut self) {
            self.0.set(self.0.get() + self.1);
        }
    }
    let count = Cell::new(0);
    let guarded = GuardedBox::try_new(Counted(&count, 5)).unwrap();
    assert_eq!(guarded.borrow().1, 5);
    drop(guarded);
    assert_eq!(count.get(), 5);
    // A guard that is leaked keeps it open; dropping the box is not stopped by it.
    let guarded = GuardedBox::try_new(Counted(&count, 2)).unwrap();
    std::mem::forget(guarded.borrow());
    assert_eq!(access(&guarded), Access::ReadWrite);
    drop(guarded);
    assert_eq!(count.get(), 7);
}

/// Nobody can hold a guard of a box that is given away by value.
#[test]
fn a_leaked_guard_stops_no_conversion() {
    for leak in [
        |guarded: &mut GuardedBox<[u8; 64]>| std::mem::forget(guarded.borrow_read_only()),
        |guarded: &mut GuardedBox<[u8; 64]>| std::mem::forget(guarded.borrow_mut()),
    ] {
        let mut guarded = GuardedBox::<[u8; 64]>::init_with(|value| value.fill(7));
        leak(&mut guarded);
        let mut open = guarded.try_into_secret_box().unwrap();
        assert_eq!(open.protections().unwrap().access, Access::ReadWrite);
        open.expose_secret_mut()[0] = 8;
        assert_eq!(open.expose_secret()[..2], [8, 7]);
    }
}

#[test]
fn a_buffer_has_an_access_at_rest() {
    let mut buffer = SafeBuffer::protectable(5000).unwrap();
    let state = |buffer: &SafeBuffer| buffer.protections().unwrap().access;
    assert_eq!(
        (buffer.len(), buffer.rest(), state(&buffer)),
        (5000, Access::ReadWrite, Access::ReadWrite)
    );
    buffer.borrow_mut().fill(3);
    buffer.set_rest(Access::ReadOnly).unwrap();
    assert_eq!(state(&buffer), Access::ReadOnly);
    assert_eq!(buffer.try_borrow_mut().map(drop).unwrap_err().kind(), ErrorKind::Protect);
    assert_eq!(buffer.borrow()[4999], 3);
    assert_eq!(state(&buffer), Access::ReadOnly);
    buffer.set_rest(Access::NoAccess).unwrap();
    buffer.borrow_mut()[0] = 4;
    assert_eq!(buffer.borrow()[0], 4);
    assert_eq!(state(&buffer), Access::NoAccess);
    assert_eq!(format!("{buffer:?}"), "SafeBuffer(5000 bytes, NoAccess at rest)");
    buffer.set_rest(Access::ReadWrite).unwrap();
    assert_eq!(buffer.borrow()[..2], [4, 3]);
}

#[test]
fn a_pooled_buffer_is_always_open() {
    let mut buffer = SafeBuffer::new(32).unwrap();
    assert_eq!(buffer.set_rest(Access::NoAccess).unwrap_err().kind(), ErrorKind::Pooled);
    assert_eq!(buffer.rest(), Access::ReadWrite);
    buffer.borrow_mut()[31] = 1;
    assert_eq!(*buffer.borrow(), [&[0; 31][..], &[1]].concat());
}

#[test]
fn layouts() {
    for (size, align) in [(0, 1), (1, 1), (100, 4096), (3 << 20, 1 << 20)] {
        let layout = Layout::from_size_align(size, align).unwrap();
        let mut buffer = SafeBuffer::with_layout(layout, &Policy::best_effort()).unwrap();
        assert_eq!((buffer.len(), buffer.is_empty()), (size, size == 0));
        assert_eq!(buffer.as_ptr().addr() % align, 0);
        assert!(buffer.borrow().iter().all(|&byte| byte == 0));
        buffer.borrow_mut().fill(0xff);
    }
    let layout = Layout::from_size_align(1, 2 << 20).unwrap();
    let refused = SafeBuffer::with_layout(layout, &Policy::best_effort()).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Layout);
}

#[test]
fn a_failed_start_leaves_nothing_open() {
    let failed = GuardedBox::<[u8; 16]>::try_init_with(|_| Err(casemate::secure::ReadError::Ended));
    assert!(failed.is_err());
    let nothing = GuardedBox::try_new(()).unwrap();
    *nothing.borrow();
    drop(SecretVec::<u8>::new());
}
