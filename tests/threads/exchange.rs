//! Objects that are freed by another thread than made them, in every direction at once.

use crate::child;
use crate::raw::Raw;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

const THREADS: usize = 6;

/// Every thread puts objects into slots that all share, and frees or resizes what it finds there.
fn swap_shop(sizes: &'static [usize], rounds: usize) {
    let shop: Vec<Mutex<Option<Raw>>> = (0..2000).map(|_| Mutex::new(None)).collect();
    let freed = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for t in 0..THREADS {
            let (shop, freed) = (&shop, &freed);
            scope.spawn(move || {
                let mut seed = t as u64 + 1;
                for i in 0..rounds {
                    seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                    let spot = (seed >> 40) as usize % shop.len();
                    let size = sizes[i % sizes.len()] + i % 9;
                    let mut new = Raw::new(size).expect("memory");
                    if i % 11 == 0 {
                        new.resize(size + size / 3).expect("memory");
                    }
                    let found = shop[spot].lock().unwrap().replace(new);
                    if let Some(mut found) = found {
                        if i % 5 == 0 {
                            found.resize(found.size() / 2 + 1).expect("memory");
                        }
                        found.free();
                        freed.fetch_add(1, Ordering::Relaxed);
                    }
                }
            });
        }
    });
    casemate::verify().expect("every invariant");
    for left in shop {
        if let Some(object) = left.into_inner().unwrap() {
            object.free();
        }
    }
    casemate::verify().expect("every invariant");
    let stats = casemate::stats();
    println!("{} freed in the shop, {} by others", freed.into_inner(), stats.small.remote);
}

#[test]
fn small_objects() {
    child::run("exchange::small_objects", || swap_shop(&[16, 48, 100, 500, 1000, 3000], 30_000));
}

#[test]
fn middle_and_large_objects() {
    child::run("exchange::middle_and_large_objects", || {
        swap_shop(&[4096, 9000, 30_000, 70_000, 200_000], 2000);
    });
}

/// One makes, another frees: everything the maker has comes back through its inbox.
#[test]
fn a_pipeline() {
    child::run("exchange::a_pipeline", || {
        let (send, receive) = std::sync::mpsc::sync_channel::<Raw>(10_000);
        let maker = std::thread::spawn(move || {
            for i in 0..300_000 {
                send.send(Raw::new(16 + i % 240).expect("memory")).expect("a consumer");
            }
        });
        receive.iter().for_each(Raw::free);
        maker.join().expect("no panic");
        let stats = casemate::stats();
        println!("{} KiB committed after 300,000 objects", stats.small.committed / 1024);
        assert!(stats.small.committed < 64 << 20, "what came back was used again");
        casemate::verify().expect("every invariant");
    });
}
