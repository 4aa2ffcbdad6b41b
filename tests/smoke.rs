//! A program that runs on Casemate: collections, threads, growth, ends of threads.

use std::collections::{BTreeMap, HashMap};

#[global_allocator]
static HEAP: casemate::Casemate = casemate::Casemate::new();

#[test]
fn collections_work() {
    let mut map = HashMap::new();
    let mut tree = BTreeMap::new();
    for i in 0..20_000u64 {
        map.insert(i, i.to_string());
        tree.insert(i.to_string(), vec![i as u8; (i % 3000) as usize]);
    }
    for i in (0..20_000u64).step_by(3) {
        assert_eq!(map.remove(&i), Some(i.to_string()));
        let value = tree.remove(&i.to_string()).unwrap();
        assert_eq!(value.len(), (i % 3000) as usize);
        assert!(value.iter().all(|&b| b == i as u8));
    }
    assert_eq!(map.len(), tree.len());
}

#[test]
fn vectors_grow_through_all_sizes() {
    let mut v: Vec<u32> = Vec::new();
    for i in 0..8_000_000u32 {
        v.push(i);
    }
    assert!(v.iter().enumerate().all(|(i, &x)| i as u32 == x));
    v.truncate(100);
    v.shrink_to_fit();
    assert_eq!(v, (0..100).collect::<Vec<_>>());
}

#[test]
fn threads_free_each_others_objects() {
    let (send, receive) = std::sync::mpsc::channel::<Vec<u8>>();
    let makers: Vec<_> = (0..4)
        .map(|t| {
            let send = send.clone();
            std::thread::spawn(move || {
                for i in 0..20_000usize {
                    send.send(vec![t as u8; i % 700]).unwrap();
                }
            })
        })
        .collect();
    drop(send);
    let total: usize = receive.iter().map(|v| v.len()).sum();
    assert_eq!(total, 4 * (0..20_000usize).map(|i| i % 700).sum::<usize>());
    for maker in makers {
        maker.join().unwrap();
    }
}

#[test]
fn the_heap_verifies_and_reports() {
    let held: Vec<Vec<u8>> = (0..3000).map(|i| vec![1; i % 5000]).collect();
    let seen = casemate::verify().unwrap();
    assert!(seen.heaps >= 4 && seen.objects > 100, "{seen:?}");
    let stats = casemate::stats();
    assert!(stats.small.live > 1000 && stats.small.guards > 0);
    println!("{stats}\n{}", casemate::protections());
    let usage = casemate::usage();
    assert!(usage.live_objects > 1000 && usage.live_bytes >= usage.live_objects * 16);
    assert!(usage.allocated >= usage.live_objects && usage.committed >= usage.live_bytes);
    assert!(usage.guards > 0 && usage.heaps >= 4, "{usage:?}");
    drop(held);
    casemate::verify().unwrap();
}
