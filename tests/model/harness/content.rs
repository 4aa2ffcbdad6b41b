//! What objects hold: a pattern of non-zero bytes that follows from a seed.
//!
//! Objects of more than a MiB are written and read at one word a page, and whole at both ends,
//! so that few sequences of large objects do not take the time of all others.

/// Objects longer than this are looked at sparsely.
const WHOLE: usize = 1 << 20;
/// Bytes at each end of a long object that are looked at whole.
const EDGE: usize = 8 << 10;
/// Distance of the words in between: one a page, at changing places in it.
const STEP: usize = 4096 + 8;

/// A word of the pattern; `at` is its offset in the object.
fn word(seed: u64, at: usize) -> [u8; 8] {
    let mixed = seed.wrapping_add(at as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    (mixed | 0x0101_0101_0101_0101).to_le_bytes()
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
        let mut at = from;
        let mut words = object[from..to].chunks_exact_mut(8);
        for chunk in &mut words {
            chunk.copy_from_slice(&word(seed, at));
            at += 8;
        }
        let rest = words.into_remainder();
        rest.copy_from_slice(&word(seed, at)[..rest.len()]);
    }
}

/// The first offset below `len` at which an object that was `filled` bytes long when it was
/// filled differs from the pattern.
pub fn difference(object: &[u8], filled: usize, seed: u64) -> Option<usize> {
    let kept = object.len();
    for (from, to) in parts(filled) {
        let to = to.min(kept);
        let mut at = from;
        while at < to {
            let n = (to - at).min(8);
            if object[at..at + n] != word(seed, at)[..n] {
                return (at..at + n).find(|&i| object[i] != word(seed, at)[i - at]);
            }
            at += n;
        }
    }
    None
}

/// The first offset at which an object is not zero.
pub fn nonzero(object: &[u8]) -> Option<usize> {
    for (from, to) in parts(object.len()) {
        let part = &object[from..to];
        // Words first: most of the test's time goes here.
        let mut any = 0;
        let words = part.chunks_exact(8);
        for &byte in words.remainder() {
            any |= u64::from(byte);
        }
        for chunk in words {
            any |= chunk.try_into().map_or(1, u64::from_le_bytes);
        }
        if any != 0 {
            return part.iter().position(|&byte| byte != 0).map(|i| from + i);
        }
    }
    None
}
