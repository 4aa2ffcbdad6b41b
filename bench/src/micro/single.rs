//! One thread: random replacement among live objects of one size.

use std::alloc::GlobalAlloc;
use std::time::{Duration, Instant};

use crate::allocators::{Heap, Object};

/// A xorshift generator: cheap next to what is measured, the same sequence for every allocator.
pub struct Random(u64);

impl Random {
    /// A generator of its own sequence for each `seed`.
    pub fn new(seed: u64) -> Self {
        Random(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }

    /// The next 64 bits.
    #[inline(always)]
    pub fn bits(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    /// A number below `end`, which is below 2^32.
    #[inline(always)]
    pub fn below(&mut self, end: usize) -> usize {
        (((self.bits() >> 32) * end as u64) >> 32) as usize
    }

    /// A number from `first` to `last`, both included.
    #[inline(always)]
    pub fn range(&mut self, first: usize, last: usize) -> usize {
        first + self.below(last - first + 1)
    }
}

/// The time of one pair in nanoseconds.
pub fn run<A: GlobalAlloc>(heap: Heap<A>, size: usize, live: usize, time: Duration) -> f64 {
    let mut random = Random::new(1);
    let mut objects: Vec<Option<Object<A>>> = Vec::with_capacity(live);
    objects.extend((0..live).map(|_| Some(heap.allocate(size))));

    // Reading the clock is small beside a batch.
    let batch = ((256 << 10) / size).clamp(4, 1024);
    let mut replace = |pairs: usize| {
        for _ in 0..pairs {
            let slot = &mut objects[random.below(live)];
            if let Some(object) = slot.take() {
                heap.free(object);
            }
            *slot = Some(heap.allocate(size));
        }
    };

    // As many pairs as there are objects, but no fewer than what fills caches and quarantines,
    // and no more than the time allows.
    let start = Instant::now();
    let mut warm = 0;
    while (warm < live || start.elapsed() < time / 4) && start.elapsed() < time * 2 {
        replace(batch);
        warm += batch;
    }

    let start = Instant::now();
    let mut pairs = 0;
    loop {
        replace(batch);
        pairs += batch;
        let elapsed = start.elapsed();
        if elapsed >= time {
            return elapsed.as_nanos() as f64 / pairs as f64;
        }
    }
}
