//! Collections in secret memory.
#![expect(unsafe_code, reason = "calls the allocator by hand")]

use allocator_api2::alloc::Allocator;
use allocator_api2::boxed::Box;
use allocator_api2::vec::Vec;
use casemate::secure::{Policy, SafeAlloc, safe_query};
use hashbrown::{DefaultHashBuilder, HashMap};
use std::alloc::Layout;

fn is_secret<T>(at: *const T) -> bool {
    safe_query(at.cast()).is_some()
}

#[test]
fn a_map_keeps_its_table_in_secret_memory() {
    let mut map = HashMap::with_hasher_in(DefaultHashBuilder::default(), SafeAlloc::new());
    for i in 0..5000u32 {
        map.insert(i, [i; 8]);
    }
    for i in (0..5000).step_by(2) {
        assert_eq!(map.remove(&i), Some([i; 8]));
    }
    assert_eq!(map.len(), 2500);
    assert!(map.iter().all(|(key, value)| value == &[*key; 8]));
    map.shrink_to_fit();
    let copy = map.clone();
    assert_eq!(copy, map);
    let policy = map.allocator().policy();
    assert_eq!(policy, Policy::best_effort());
}

#[test]
fn vectors_and_boxes() {
    let mut vector = Vec::new_in(SafeAlloc::with_policy(Policy::best_effort().protectable()));
    for i in 0..10_000u64 {
        vector.push(i);
    }
    assert!(is_secret(vector.as_ptr()) && !safe_query(vector.as_ptr().cast()).unwrap().pooled);
    vector.truncate(3);
    vector.shrink_to_fit();
    assert!(is_secret(vector.as_ptr()));
    assert_eq!(vector[..], [0, 1, 2]);
    vector.clear();
    vector.shrink_to_fit();
    vector.push(1);
    let boxed = Box::new_in([7u8; 32], SafeAlloc::new());
    assert!(is_secret(&raw const *boxed));
    let nothing = Box::new_in((), SafeAlloc::new());
    drop((boxed, nothing));
}

#[test]
fn growing_and_shrinking_by_hand() {
    let alloc = SafeAlloc::new();
    let layout = |size, align| Layout::from_size_align(size, align).unwrap();
    let none = alloc.allocate(layout(0, 64)).unwrap();
    assert_eq!((none.len(), none.cast::<u8>().addr().get() % 64), (0, 0));
    // SAFETY: each block is given back with the layout that it had, once.
    unsafe {
        let some = alloc.grow(none.cast(), layout(0, 64), layout(100, 8)).unwrap();
        some.cast::<u8>().write_bytes(5, 100);
        let more = alloc.grow_zeroed(some.cast(), layout(100, 8), layout(9000, 4096)).unwrap();
        assert!(!is_secret(some.cast::<u8>().as_ptr()));
        assert_eq!(more.as_ref()[..100], [5; 100]);
        assert!(more.as_ref()[100..].iter().all(|&byte| byte == 0));
        assert_eq!(more.cast::<u8>().addr().get() % 4096, 0);
        let less = alloc.shrink(more.cast(), layout(9000, 4096), layout(10, 1)).unwrap();
        assert_eq!(less.as_ref(), [5; 10]);
        let none = alloc.shrink(less.cast(), layout(10, 1), layout(0, 1)).unwrap();
        alloc.deallocate(none.cast(), layout(0, 1));
    }
    assert!(alloc.allocate(layout(1, 2 << 20)).is_err());
}
