//! Freed slots that have a slab to themselves give their memory back after a while, and get it
//! again, all zero, when their turn comes.

use casemate::ClassStats;

#[global_allocator]
static HEAP: casemate::Casemate = casemate::Casemate::new();

const SIZE: usize = 100_000;

fn class() -> ClassStats {
    let stats = casemate::stats();
    let classes = stats.class.iter();
    *classes.filter(|class| class.slot > SIZE).min_by_key(|class| class.slot).expect("a class")
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
    // Others are used: 100 MB are freed, one object after the other.
    for _ in 0..150 {
        drop(std::hint::black_box(vec![1u8; 700_000]));
    }
    let after = class();
    // The one that was made last is not queued before the next one is.
    assert_eq!(after.committed * 4, before.committed, "{after:?}");
    assert_eq!(after.quarantined * 4, 3 * before.committed, "they wait still");
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
