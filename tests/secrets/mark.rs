//! Bytes to search for. The program holds them veiled: only who writes a mark makes its bytes.

use crate::raw;
use std::hint::black_box;

const VEIL: u8 = 0xa5;
/// Bytes after which a mark repeats, and of each part that counts as found.
pub const LEN: usize = 64;
pub const PART: usize = 16;

/// Sixty-four bytes in four parts, each found for itself.
pub struct Mark {
    veiled: [u8; LEN],
}

/// What must not be found.
pub static SECRET: Mark = Mark::new(1);
/// What must be found for a search to count.
pub static CONTROL: Mark = Mark::new(2);
/// What is shared with children.
pub static SHARED: Mark = Mark::new(3);

impl Mark {
    const fn new(seed: u64) -> Mark {
        let mut veiled = [0; LEN];
        let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
        let mut i = 0;
        while i < LEN {
            state = state.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(0x1405_7b7e_f767_814f);
            // Every part begins with the same rare byte, so that a search has one to look for. All
            // are ASCII, so that a mark can be a string.
            let plain = if i % PART == 0 { 0x1e } else { b'!' + (state >> 57) as u8 % 94 };
            veiled[i] = plain ^ VEIL;
            i += 1;
        }
        Mark { veiled }
    }

    /// The byte at this place of the endless repetition.
    pub fn byte(&self, i: usize) -> u8 {
        black_box(self.veiled[i % LEN]) ^ black_box(VEIL)
    }

    /// Writes the mark over and over, a byte at a time: no register holds more of it.
    pub fn fill(&self, bytes: &mut [u8]) {
        self.write(bytes.as_mut_ptr().expose_provenance(), bytes.len());
    }

    pub fn write(&self, at: usize, len: usize) {
        (0..len).for_each(|i| raw::write(at + i, self.byte(i)));
    }

    /// An ordinary vector full of it.
    pub fn vec(&self, len: usize) -> Vec<u8> {
        let mut bytes = vec![0; len];
        self.fill(&mut bytes);
        bytes
    }

    pub fn is_all(&self, bytes: &[u8]) -> bool {
        bytes.iter().enumerate().all(|(i, &byte)| byte == self.byte(i))
    }

    /// Where in `bytes` parts of the mark begin.
    pub fn parts_in(&self, bytes: &[u8]) -> Vec<usize> {
        let (first, veil) = (self.byte(0), black_box(VEIL));
        let mut found = Vec::new();
        let mut from = 0;
        while from < bytes.len() {
            let rest = &bytes[from..];
            // SAFETY: searches within the slice.
            let hit = unsafe { libc::memchr(rest.as_ptr().cast(), first.into(), rest.len()) };
            if hit.is_null() {
                break;
            }
            let at = hit.addr() - bytes.as_ptr().addr();
            let is = |part: &[u8]| part.iter().zip(&bytes[at..]).all(|(a, b)| *a == *b ^ veil);
            if at + PART <= bytes.len() && self.veiled.chunks(PART).any(is) {
                found.push(at);
            }
            from = at + 1;
        }
        found
    }
}

#[test]
fn parts_are_found_wherever_they_begin() {
    for at in [0, 1, 7, 100] {
        let mut bytes = vec![first(); 400];
        CONTROL.fill(&mut bytes[at..at + 96]);
        let found = CONTROL.parts_in(&bytes);
        assert_eq!(found, (0..6).map(|i| at + PART * i).collect::<Vec<_>>());
        assert!(SECRET.parts_in(&bytes).is_empty());
        bytes[at + 20] ^= 1;
        assert_eq!(CONTROL.parts_in(&bytes).len(), 5);
    }
}

#[cfg(test)]
fn first() -> u8 {
    CONTROL.byte(0)
}
