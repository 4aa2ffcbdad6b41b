//! Vectors: growth and removal leave nothing behind.

use crate::memory;
use casemate::secure::{Policy, SecretVec};
use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use zeroize::Zeroize;

const MARK: [u8; 32] = *b"mark-mark-mark-mark-mark-mark-32";

fn address<T>(vector: &SecretVec<T>) -> usize {
    vector.expose_secret().as_ptr().expose_provenance()
}

#[test]
fn growing_leaves_no_copy() {
    // No other test's: it may be given the memory that this one has freed.
    const MINE: [u8; 32] = *b"grow-mark-grow-mark-grow-mark-32";
    let mut vector = SecretVec::new();
    let mut places = Vec::new();
    for _ in 0..400 {
        let (at, len) = (address(&vector), vector.len());
        vector.extend_from_slice(&MINE);
        if len > 0 && address(&vector) != at {
            places.push((at, len.min(4096)));
        }
    }
    assert!(places.len() > 5, "it has moved");
    assert!(vector.expose_secret().chunks(32).all(|chunk| chunk == MINE));
    for (at, len) in places {
        assert!(memory::at(at, len).is_clear_of(&MINE[..8]));
    }
}

#[test]
fn what_leaves_is_wiped_at_once() {
    let mut vector = SecretVec::from(vec![MARK; 10]);
    let at = address(&vector);
    let clear = |from: usize, to: usize| {
        (from..to).all(|i| memory::at(at + 32 * i, 32) == memory::Seen::Bytes(vec![0; 32]))
    };
    assert_eq!(vector.pop(), Some(MARK));
    assert!(clear(9, 10) && !clear(8, 9));
    assert_eq!((vector.remove(0), vector.swap_remove(0)), (MARK, MARK));
    assert!(clear(7, 10) && !clear(6, 7));
    vector.truncate(5);
    assert!(clear(5, 10) && !clear(4, 5));
    let other = vector.try_split_off(4).unwrap();
    assert!(clear(4, 10) && !clear(3, 4) && other.expose_secret() == [MARK]);
    let mut kept = 0;
    vector.retain(|_| {
        kept += 1;
        kept != 2
    });
    assert!(clear(3, 10) && !clear(2, 3));
    vector.zeroize();
    assert!(vector.is_empty() && clear(0, 10) && vector.capacity() >= 10);
}

#[test]
fn a_source_is_wiped_with_all_its_room() {
    // An allocator that looks is in `sources.rs`; here, that contents and order arrive.
    let mut source = Vec::with_capacity(100);
    source.extend(0..50u32);
    let vector = SecretVec::from(source);
    assert!(vector.expose_secret().iter().copied().eq(0..50));
    let copied = SecretVec::from(&[1u8, 2][..]);
    assert!(copied == [1u8, 2][..]);
    let mut taken = [1u8, 2, 3];
    assert!(SecretVec::try_take_from(&mut taken).unwrap() == [1u8, 2, 3][..]);
    assert_eq!(taken, [0; 3]);
    let boxed = vector.into_boxed_slice();
    let at = boxed.as_ptr().cast::<u32>();
    let back = boxed.into_vec();
    assert_eq!((back.expose_secret().as_ptr(), back.len()), (at, 50));
}

struct Counted<'a>(&'a Cell<usize>, bool);

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        self.0.set(self.0.get() + 1);
        if self.1 {
            std::panic::resume_unwind(Box::new(()));
        }
    }
}

#[test]
fn elements_are_dropped_once() {
    let count = Cell::new(0);
    let mut vector: SecretVec<_> = (0..20).map(|_| Counted(&count, false)).collect();
    vector.truncate(15);
    assert_eq!(count.get(), 5);
    drop(vector.pop());
    drop(vector.remove(3));
    vector.insert(0, Counted(&count, false));
    assert_eq!(count.get(), 7);
    let other = vector.try_split_off(10).unwrap();
    drop(vector);
    assert_eq!(count.get(), 17);
    drop(other.into_boxed_slice());
    assert_eq!(count.get(), 21);
    // A conversion that fails drops them, too.
    let source: Vec<_> = (0..3).map(|_| Counted(&count, false)).collect();
    let refused = Policy::require(casemate::secure::Requirements::NO_FORK).share_with_children();
    assert!(SecretVec::try_from_vec_with(source, &refused).is_err());
    assert_eq!(count.get(), 24);
    assert!(SecretVec::new_with(&refused).try_push(Counted(&count, false)).is_err());
    assert_eq!(count.get(), 25);
}

#[test]
fn a_destructor_that_panics_stops_no_wiping() {
    let count = Cell::new(0);
    let mut vector: SecretVec<_> = (0..4).map(|i| Counted(&count, i == 1)).collect();
    let at = vector.expose_secret().as_ptr().expose_provenance();
    let size = size_of::<Counted<'_>>();
    let unwound = catch_unwind(AssertUnwindSafe(|| vector.truncate(0)));
    assert!(unwound.is_err() && vector.is_empty());
    assert_eq!(count.get(), 4);
    assert_eq!(memory::at(at, 4 * size), memory::Seen::Bytes(vec![0; 4 * size]));
}

#[test]
fn retaining_keeps_the_order_and_drops_once_whatever_panics() {
    let count = Cell::new(0);
    let make = |panics: usize| -> SecretVec<(usize, Counted<'_>)> {
        count.set(0);
        (0..10).map(|i| (i, Counted(&count, i == panics))).collect()
    };
    let numbers = |vector: &SecretVec<(usize, Counted<'_>)>| -> Vec<usize> {
        vector.expose_secret().iter().map(|element| element.0).collect()
    };
    let mut vector = make(10);
    vector.retain(|element| element.0 % 3 == 1);
    assert_eq!((numbers(&vector), count.get()), (vec![1, 4, 7], 7));
    vector.retain(|_| true);
    assert_eq!((numbers(&vector), count.get()), (vec![1, 4, 7], 7));
    vector.retain(|_| false);
    assert_eq!((vector.len(), count.get()), (0, 10));
    // In the question: the element in question is kept.
    let mut vector = make(10);
    let asked = |element: &(usize, Counted<'_>)| match element.0 {
        4 => std::panic::resume_unwind(Box::new(())),
        i => i % 2 == 1,
    };
    assert!(catch_unwind(AssertUnwindSafe(|| vector.retain(asked))).is_err());
    assert_eq!((numbers(&vector), count.get()), (vec![1, 3, 4, 5, 6, 7, 8, 9], 2));
    let (at, size) = (vector.expose_secret().as_ptr(), size_of::<(usize, Counted<'_>)>());
    let behind = at.wrapping_add(8).expose_provenance();
    assert_eq!(memory::at(behind, 2 * size), memory::Seen::Bytes(vec![0; 2 * size]));
    drop(vector);
    assert_eq!(count.get(), 10);
    // In a destructor: the element is gone.
    let mut vector = make(4);
    let odd = |element: &(usize, Counted<'_>)| element.0 % 2 == 1;
    assert!(catch_unwind(AssertUnwindSafe(|| vector.retain(odd))).is_err());
    assert_eq!((numbers(&vector), count.get()), (vec![1, 3, 5, 6, 7, 8, 9], 3));
    drop(vector);
    assert_eq!(count.get(), 10);
    let mut nothings: SecretVec<()> = (0..10).map(|_| ()).collect();
    let mut left = 3;
    nothings.retain(|()| {
        left -= 1;
        left >= 0
    });
    assert_eq!(nothings.len(), 3);
}

#[test]
fn sizes_that_cannot_be_are_errors() {
    let mut vector = SecretVec::<u64>::new();
    assert!(vector.try_reserve(usize::MAX).is_err());
    assert!(vector.try_reserve_exact(usize::MAX / 8).is_err());
    vector.push(1);
    assert!(vector.try_reserve(usize::MAX).is_err());
    assert_eq!(vector.expose_secret(), [1]);
    let mut nothings = SecretVec::<()>::new();
    for _ in 0..1000 {
        nothings.push(());
    }
    assert_eq!((nothings.len(), nothings.capacity()), (1000, usize::MAX));
    assert_eq!((nothings.pop(), nothings.remove(5), nothings.len()), (Some(()), (), 998));
}

#[test]
fn the_policy_stays_when_it_grows() {
    let mut vector = SecretVec::<u8>::new_with(&Policy::best_effort().protectable());
    assert!(vector.protections().is_none());
    for size in [10, 100, 10_000] {
        vector.resize_zeroed(size);
        assert!(!vector.protections().unwrap().pooled);
    }
    vector.resize_zeroed(3);
    vector.try_shrink_to_fit().unwrap();
    assert!(vector.capacity() == 3 && !vector.protections().unwrap().pooled);
    let copy = vector.try_clone().unwrap();
    assert!(copy == vector && !copy.protections().unwrap().pooled);
}

#[test]
fn a_hint_is_not_believed() {
    struct Boaster;
    impl Iterator for Boaster {
        type Item = u8;
        fn next(&mut self) -> Option<u8> {
            None
        }
        fn size_hint(&self) -> (usize, Option<usize>) {
            (usize::MAX, None)
        }
    }
    assert!(Boaster.collect::<SecretVec<u8>>().is_empty());
}
