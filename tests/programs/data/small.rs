//! A small program: counts words that it makes itself, in several threads.

use std::collections::{BTreeMap, HashMap};
use std::thread;

/// A pseudo-random sequence.
pub struct Sequence(u64);

impl Iterator for Sequence {
    type Item = u64;

    fn next(&mut self) -> Option<u64> {
        self.0 = self.0.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        Some(self.0 >> 33)
    }
}

/// Words made from a sequence.
pub fn words(seed: u64, count: usize) -> Vec<String> {
    let mut numbers = Sequence(seed);
    let mut letter = || char::from(b'a' + (numbers.next().unwrap() % 26) as u8);
    (0..count).map(|i| (0..1 + i % 5).map(|_| letter()).collect()).collect()
}

/// How often each occurs.
pub fn count(words: &[String]) -> BTreeMap<String, usize> {
    let mut counts = HashMap::new();
    for word in words {
        *counts.entry(word.clone()).or_insert(0) += 1;
    }
    counts.into_iter().collect()
}

fn main() {
    let threads: Vec<_> =
        (0..4).map(|seed| thread::spawn(move || count(&words(seed, 100_000)))).collect();
    for thread in threads {
        let counts = thread.join().unwrap();
        let most = counts.iter().max_by_key(|(word, count)| (**count, word.len())).unwrap();
        println!("{} {most:?}", counts.len());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_lost() {
        let words = words(1, 10_000);
        assert_eq!(count(&words).values().sum::<usize>(), words.len());
    }

    #[test]
    #[should_panic(expected = "gone")]
    fn panics_unwind() {
        let _kept = words(2, 1000);
        panic!("gone");
    }
}
