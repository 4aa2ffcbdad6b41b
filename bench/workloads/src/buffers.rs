//! Buffers beyond what slabs hold.

use std::hint::black_box;

use fastrand::Rng;

use crate::measure::Clock;
use crate::pareto;

/// Buffers that grow as they are written: eight at once, to between 1 and 32 MiB.
pub fn growing(clock: &mut Clock) {
    let mut random = Rng::with_seed(7);
    let limit = |random: &mut Rng| 1_usize << random.u32(20..26);
    let mut buffers: Vec<(Vec<u8>, usize)> =
        (0..8).map(|_| (Vec::new(), limit(&mut random))).collect();
    let chunk = [0x5A; 8192];
    // Each step a chunk: 8 GiB in all.
    for _ in 0..clock.share(1 << 18) {
        let (buffer, end) = &mut buffers[random.usize(..8)];
        buffer.extend_from_slice(&chunk);
        if buffer.len() >= *end {
            black_box(&buffer);
            *buffer = Vec::new();
            *end = limit(&mut random);
        }
    }
}

/// Buffers of 128 KiB to 8 MiB, written whole and replaced at random.
pub fn replaced(clock: &mut Clock) {
    let mut random = Rng::with_seed(8);
    let size = |random: &mut Rng| pareto::size(random, 131_072.0, 8_388_608.0);
    let mut buffers: Vec<_> = (0..16).map(|_| pareto::object(size(&mut random))).collect();
    for _ in 0..clock.share(8_000) {
        let slot = random.usize(..buffers.len());
        buffers[slot] = Box::default();
        buffers[slot] = pareto::object(size(&mut random));
    }
}
