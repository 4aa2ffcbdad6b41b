//! Freed memory is given back after a while, not at once: that of slots which have a slab to
//! themselves, which get it again, all zero, when their turn comes; and empty slabs of small slots
//! that were not needed while much was freed.

use casemate::ClassStats;

#[global_allocator]
static HEAP: casemate::Casemate = casemate::Casemate::new();

const SIZE: usize = 100_000;

fn class() -> ClassStats {
    class_of(SIZE)
}

fn class_of(size: usize) -> ClassStats {
    let stats = casemate::stats();
    let classes = stats.class.iter();
    *classes.filter(|class| class.slot > size).min_by_key(|class| class.slot).expect("a class")
}

fn make() -> Vec<u8> {
    // Not `vec![0; n]`, which trusts the heap: what it hands out is looked at.
    let mut object: Vec<u8> = Vec::with_capacity(SIZE);
    assert!(object.spare_capacity_mut().iter().all(|byte| {
        // Every byte of a slot is zero when it is handed out.
        #[expect(unsafe_code, reason = "the heap hands out memory that it has zeroed")]
        // SAFETY: the allocation is initialised, by the heap.
        unsafe {
            byte.assume_init() == 0
        }
    }));
    object.resize(SIZE, 7);
    object
}

#[test]
fn memory_of_a_class_that_is_not_used_any_more() {
    // A thread gets a heap of its own once it has used the heap for a while.
    drop((0..1000).map(Box::new).collect::<Vec<_>>());
    drop((0..4).map(|_| make()).collect::<Vec<_>>());
    let before = class();
    assert!(
        before.live == 0 && before.slabs == 4 && before.committed == 4 * before.slot as u64,
        "{before:?}"
    );
    // Others are used: 70 MB are freed, one object after the other.
    for _ in 0..100 {
        drop(std::hint::black_box(vec![1u8; 700_000]));
    }
    let after = class();
    assert_eq!(after.committed, 0, "the one that was made last, too: {after:?}");
    assert_eq!(after.quarantined, before.committed, "they wait still");
    assert_eq!(after.slabs, before.slabs, "where they are");
    casemate::verify().unwrap();
    for _ in 0..40 {
        let object = make();
        assert_eq!(object[SIZE - 1], 7);
    }
    let reused = class();
    assert!(reused.committed > 0 && reused.slabs < before.slabs + 30, "{reused:?}");
    casemate::verify().unwrap();
}

#[test]
fn slabs_that_are_used_in_turn_stay_and_others_go() {
    const BYTES: usize = 600;
    let cycle = || {
        let objects: Vec<_> = (0..20_000).map(|i| Box::new([i as u8; BYTES])).collect();
        std::hint::black_box(&objects);
    };
    for _ in 0..3 {
        cycle();
    }
    let before = class_of(BYTES);
    assert!(before.committed > 20_000 * BYTES as u64, "{before:?}");
    for _ in 0..20 {
        cycle();
    }
    let same = class_of(BYTES);
    // At once it would be nearly all slabs in each cycle. Some are more than the next one needs.
    assert!(same.purged - before.purged < before.slabs / 2, "{before:?} {same:?}");
    assert!(same.committed < before.committed * 3 / 2, "{before:?} {same:?}");
    // 200 MB of another class: more than twice what was in use at once, several times over.
    for _ in 0..2000 {
        let objects: Vec<_> = (0..100).map(|i| Box::new([i as u8; 1000])).collect();
        std::hint::black_box(&objects);
    }
    let after = class_of(BYTES);
    assert!(after.committed < before.committed / 4, "{before:?} {after:?}");
    casemate::verify().unwrap();
    cycle();
    casemate::verify().unwrap();
}

/// What was freed long ago has waited, whatever its group waited for when it was queued.
#[test]
fn what_one_burst_frees_serves_the_next() {
    const BYTES: usize = 900;
    let make = |count| (0..count).map(|i| Box::new([i as u8; BYTES])).collect::<Vec<_>>();
    let mut objects = make(20_000);
    // In no order: each group has some in use until the end.
    let mut random = 1u64;
    for last in (1..objects.len()).rev() {
        random = random.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(1);
        objects.swap(last, (random >> 33) as usize % (last + 1));
    }
    objects.truncate(2000);
    let before = class_of(BYTES);
    let next = make(14_000);
    let after = class_of(BYTES);
    assert!(after.committed < before.committed * 11 / 10, "{before:?} {after:?}");
    casemate::verify().unwrap();
    drop((objects, next));
    casemate::verify().unwrap();
}

#[test]
fn what_a_burst_leaves_is_bounded() {
    const BYTES: usize = 1500;
    let objects: Vec<_> = (0..200_000).map(|i| Box::new([i as u8; BYTES])).collect();
    let most = class_of(BYTES);
    assert!(most.committed > 300_000_000, "{most:?}");
    drop(objects);
    let left = class_of(BYTES);
    // The first objects are a guest heap's, which takes notice when it is used again.
    assert!(left.live < 200 && left.committed < 140 << 20, "{left:?}");
    casemate::verify().unwrap();
}
