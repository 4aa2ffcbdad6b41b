//! A cache that forgets what was longest unused, of objects in a Pareto mix of sizes.

use std::hint::black_box;
use std::num::NonZeroUsize;

use fastrand::Rng;
use lru::LruCache;

use crate::measure::Clock;
use crate::pareto;

const ENTRIES: NonZeroUsize = NonZeroUsize::new(20_000).unwrap();

pub fn run(clock: &mut Clock) {
    let mut random = Rng::with_seed(4);
    let mut cache = LruCache::new(ENTRIES);
    for _ in 0..clock.share(2_000_000) {
        // Squared, so that some are asked for far more often.
        let key = (random.f64().powi(2) * 80_000.0) as u64;
        if cache.get(&key).is_none() {
            let size = pareto::size(&mut random, 32.0, 65_536.0);
            cache.put(key, pareto::object(size));
        }
    }
    black_box(cache);
}
