//! Maps of strings that grow, are changed at random and shrink.

use std::collections::{BTreeMap, HashMap};
use std::hash::BuildHasherDefault;
use std::hash::DefaultHasher;
use std::hint::black_box;

use fastrand::Rng;

use crate::measure::Clock;
use crate::pareto;

/// Keys in use at once.
const KEYS: u64 = 60_000;

fn key(random: &mut Rng) -> String {
    let number = random.u64(..KEYS);
    format!("/records/{:x}/{number}", number.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 20)
}

fn value(random: &mut Rng) -> String {
    let length = pareto::size(random, 8.0, 2048.0);
    "v".repeat(length)
}

/// A B-tree: its nodes are objects of a few hundred bytes.
pub fn tree(clock: &mut Clock) {
    let mut random = Rng::with_seed(2);
    let mut map = BTreeMap::new();
    for _ in 0..clock.share(900_000) {
        let key = key(&mut random);
        if random.u8(..) < 150 {
            map.insert(key, value(&mut random));
        } else {
            map.remove(&key);
        }
    }
    black_box(map);
}

/// A hash map: one table that doubles, and the strings.
pub fn hash(clock: &mut Clock) {
    let mut random = Rng::with_seed(3);
    // With fixed keys, so that all see the same collisions.
    let mut map: HashMap<_, _, BuildHasherDefault<DefaultHasher>> = HashMap::default();
    for _ in 0..clock.share(1_500_000) {
        let key = key(&mut random);
        if random.u8(..) < 150 {
            map.insert(key, value(&mut random));
        } else {
            map.remove(&key);
        }
    }
    black_box(map);
}
