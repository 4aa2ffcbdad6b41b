//! Layer: faces. Comparing in constant time.
//!
//! How long `==` on two slices takes tells how many leading bytes agree, and with that an attacker
//! guesses a token byte by byte. Here every byte is looked at whatever the others were.

/// Whether two byte strings are equal, in a time that depends on their lengths only.
///
/// The lengths themselves are not secret: strings of different length are told apart at once.
/// With the feature `subtle` the comparison is that crate's.
///
/// ```
/// use casemate::secure::constant_time_eq;
/// assert!(constant_time_eq(b"token", b"token"));
/// assert!(!constant_time_eq(b"token", b"taken"));
/// ```
#[must_use]
pub fn constant_time_eq(a: &[u8], b: &[u8]) -> bool {
    a.len() == b.len() && same(a, b)
}

#[cfg(feature = "subtle")]
fn same(a: &[u8], b: &[u8]) -> bool {
    subtle::ConstantTimeEq::ct_eq(a, b).into()
}

/// The differences of all bytes, collected; one look at the collection at the end.
#[cfg(not(feature = "subtle"))]
#[inline(never)]
fn same(a: &[u8], b: &[u8]) -> bool {
    use core::hint::black_box;

    let mut difference = 0u8;
    for (a, b) in a.iter().zip(b) {
        // The optimiser must not know the collection so far, or it may leave the loop when it
        // cannot become zero again.
        difference = black_box(difference | (a ^ b));
    }
    zeroize::optimization_barrier(&difference);
    black_box(difference) == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_bit_of_every_byte_counts() {
        let a: [u8; 67] = core::array::from_fn(|i| i as u8);
        assert!(constant_time_eq(&a, &a.clone()));
        assert!(constant_time_eq(&[], &[]));
        assert!(!constant_time_eq(&a, &a[..66]));
        for i in 0..a.len() {
            for bit in 0..8 {
                let mut b = a;
                b[i] ^= 1 << bit;
                assert!(!constant_time_eq(&a, &b) && !constant_time_eq(&b, &a), "{i} {bit}");
            }
        }
    }
}
