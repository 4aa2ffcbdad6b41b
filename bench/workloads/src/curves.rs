//! The simplest programs, for the curves: what one object costs by its size, and by the number of
//! threads that do the same.

use std::hint::black_box;
use std::thread;

use fastrand::Rng;
use serde_json::json;

use crate::measure::Clock;
use crate::pareto;

/// Random replacement among 1,000 objects of `size` bytes, or 32 MiB of them.
pub fn size(clock: &mut Clock, size: usize) {
    let live = 1_000.min((32 << 20) / size);
    // As long for every size, about: half of it is a price by the object, half one by the byte.
    let pairs = clock.share(8_000_000_000 / (400 + 3 * size));
    let mut random = Rng::with_seed(10);
    let mut objects: Vec<_> = (0..live).map(|_| pareto::object(size)).collect();
    clock.start();
    for _ in 0..pairs {
        let slot = random.usize(..live);
        objects[slot] = Box::default();
        objects[slot] = pareto::object(size);
    }
    clock.more.insert("units".into(), json!(pairs));
    black_box(objects);
}

/// `count` threads, each of which replaces objects of 16 to 512 B; a fixed number in all.
pub fn threads(clock: &mut Clock, count: usize) {
    let pairs = clock.share(8_000_000) / count;
    clock.start();
    thread::scope(|scope| {
        for seed in 0..count as u64 {
            scope.spawn(move || {
                let mut random = Rng::with_seed(seed);
                let mut objects: Vec<_> = (0..1_000).map(|_| pareto::object(64)).collect();
                for _ in 0..pairs {
                    let slot = random.usize(..objects.len());
                    let size = random.usize(16..512);
                    objects[slot] = pareto::object(size);
                }
                black_box(objects);
            });
        }
    });
    clock.more.insert("units".into(), json!(pairs * count));
}
