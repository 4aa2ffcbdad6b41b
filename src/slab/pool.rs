//! Layer: mechanisms. Heaps whose thread has ended, waiting for another: a bitmap.
//!
//! A bitmap and not a list, so that several threads can take from it without a tagged head: a
//! bit is published with Release by the thread that leaves and claimed by one read-modify-write
//! of the thread that wants it.

use crate::sync::{AtomicU64, Ordering};

/// A set of heap indices, 64 to a word.
pub struct Pool<'m> {
    words: &'m [AtomicU64],
}

impl<'m> Pool<'m> {
    /// The pool kept in these words.
    pub const fn new(words: &'m [AtomicU64]) -> Self {
        Pool { words }
    }

    /// Puts a heap in. Whoever takes it sees everything done to it before.
    pub fn publish(&self, index: usize) {
        if let Some(word) = self.words.get(index / 64) {
            word.fetch_or(1 << (index % 64), Ordering::Release);
        }
    }

    /// Takes some heap out, the caller's alone from then on.
    pub fn take(&self) -> Option<usize> {
        for (i, word) in self.words.iter().enumerate() {
            let mut seen = word.load(Ordering::Relaxed);
            while seen != 0 {
                let bit = seen & seen.wrapping_neg();
                if word.fetch_and(!bit, Ordering::Acquire) & bit != 0 {
                    return Some(i * 64 + bit.trailing_zeros() as usize);
                }
                seen &= !bit;
            }
        }
        None
    }

    /// Takes this heap out, if it is in.
    pub fn take_this(&self, index: usize) -> bool {
        let bit = 1u64 << (index % 64);
        match self.words.get(index / 64) {
            Some(word) if word.load(Ordering::Relaxed) & bit != 0 => {
                word.fetch_and(!bit, Ordering::Acquire) & bit != 0
            }
            _ => false,
        }
    }

    /// Whether nothing is in: a hint.
    pub fn is_empty(&self) -> bool {
        self.words.iter().all(|word| word.load(Ordering::Relaxed) == 0)
    }
}
