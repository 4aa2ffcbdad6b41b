//! Raw accesses of the attacks: volatile, by address, to memory that they have no right to.
//!
//! These functions look safe and are not: they are for a process that may die of them.
#![expect(unsafe_code, reason = "the misuse itself")]

use std::hint::black_box;
use std::ptr::with_exposed_provenance_mut;

/// Overwrites one byte.
pub fn write(at: usize, value: u8) {
    let at = black_box(with_exposed_provenance_mut::<u8>(at));
    // SAFETY: none, deliberately: what the write does is what is looked at.
    unsafe { at.write_volatile(value) }
}

/// Reads one byte.
pub fn read(at: usize) -> u8 {
    let at = black_box(with_exposed_provenance_mut::<u8>(at));
    // SAFETY: none, deliberately.
    unsafe { at.read_volatile() }
}

/// Overwrites a word, aligned or not.
pub fn put(at: usize, word: usize) {
    for (i, byte) in word.to_le_bytes().into_iter().enumerate() {
        write(at + i, byte);
    }
}

/// Reads a word, aligned or not.
pub fn get(at: usize) -> usize {
    usize::from_le_bytes(std::array::from_fn(|i| read(at + i)))
}

/// Overwrites many bytes.
pub fn fill(at: usize, len: usize, value: u8) {
    (at..at + len).for_each(|at| write(at, value));
}

/// Overwrites many words.
pub fn fill_words(at: usize, len: usize, word: usize) {
    (at..at + len).step_by(8).for_each(|at| put(at, word));
}

/// Finds a word among these bytes.
pub fn find(at: usize, len: usize, word: usize) -> Option<usize> {
    (at..at + len).step_by(8).find(|&at| get(at) == word)
}
