//! What objects hold: a pattern of non-zero bytes that follows from a seed.
//!
//! Long objects are written and read at one word a page, and whole at both ends, so that few
//! sequences of large objects do not take the time of all others.

/// Objects longer than this are looked at sparsely. Less for the fuzzer, which counts each step.
const WHOLE: usize = if cfg!(fuzzing) { 16 << 10 } else { 1 << 20 };
/// Bytes at each end of a long object that are looked at whole.
const EDGE: usize = 8 << 10;
/// Distance of the words in between: one a page, at changing places in it.
const STEP: usize = 4096 + 8;

/// A word of the pattern; `at` is its offset in the object.
fn number(seed: u64, at: usize) -> u64 {
    seed.wrapping_add(at as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15) | 0x0101_0101_0101_0101
}

fn word(seed: u64, at: usize) -> [u8; 8] {
    number(seed, at).to_le_bytes()
}

/// The parts of an object of this length that are looked at; they do not overlap.
fn parts(len: usize) -> impl Iterator<Item = (usize, usize)> {
    let (edge, inner) = if len <= WHOLE { (len, len..len) } else { (EDGE, EDGE..len - EDGE) };
    let tail = (len > WHOLE).then(|| (len - EDGE, len));
    std::iter::once((0, edge))
        .chain(inner.clone().step_by(STEP).map(move |at| (at, (at + 8).min(inner.end))))
        .chain(tail)
}

/// Writes the pattern.
pub fn fill(object: &mut [u8], seed: u64) {
    for (from, to) in parts(object.len()) {
        let (words, rest) = object[from..to].as_chunks_mut::<8>();
        let end = from + words.len() * 8;
        for (i, bytes) in words.iter_mut().enumerate() {
            *bytes = word(seed, from + i * 8);
        }
        rest.copy_from_slice(&word(seed, end)[..rest.len()]);
    }
}

/// The first offset at which an object, `filled` bytes long when it was filled and perhaps
/// shorter now, differs from the pattern.
pub fn difference(object: &[u8], filled: usize, seed: u64) -> Option<usize> {
    for (from, to) in parts(filled) {
        let part = &object[from.min(object.len())..to.min(object.len())];
        let (words, rest) = part.as_chunks::<8>();
        let wrong = |i: usize| {
            let pattern = word(seed, from + i / 8 * 8);
            part[i] != pattern[i % 8]
        };
        let end = from + words.len() * 8;
        // Words first: most of the test's time goes here.
        let mut different = rest != &word(seed, end)[..rest.len()];
        for (i, &bytes) in words.iter().enumerate() {
            different |= u64::from_le_bytes(bytes) != number(seed, from + i * 8);
        }
        if different {
            return (0..part.len()).find(|&i| wrong(i)).map(|i| from + i);
        }
    }
    None
}

/// The first offset at which an object is not zero.
pub fn nonzero(object: &[u8]) -> Option<usize> {
    for (from, to) in parts(object.len()) {
        let part = &object[from..to];
        let (words, rest) = part.as_chunks::<8>();
        let mut any = rest.iter().fold(0, |any, &byte| any | u64::from(byte));
        for &bytes in words {
            any |= u64::from_le_bytes(bytes);
        }
        if any != 0 {
            return part.iter().position(|&byte| byte != 0).map(|i| from + i);
        }
    }
    None
}

#[test]
fn each_changed_byte_is_seen_where_all_are_looked_at() {
    let mut object = [0; 100];
    for len in [1, 7, 8, 9, 63, 100] {
        let object = &mut object[..len];
        fill(object, 5);
        assert!(object.iter().all(|&byte| byte != 0));
        for kept in 0..=len {
            assert_eq!(difference(&object[..kept], len, 5), None);
        }
        for i in 0..len {
            object[i] ^= 0x80;
            assert_eq!(difference(object, len, 5), Some(i));
            object[i] ^= 0x80;
        }
        object.fill(0);
        for i in 0..len {
            object[i] = 1;
            assert_eq!(nonzero(object), Some(i));
            object[i] = 0;
        }
    }
}
