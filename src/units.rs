//! Layer: pure. Address arithmetic and byte units; uses nothing else of the crate.

/// One kibibyte, in bytes.
pub const KIB: usize = 1 << 10;
/// One mebibyte, in bytes.
pub const MIB: usize = 1 << 20;
/// One gibibyte, in bytes.
pub const GIB: usize = 1 << 30;

/// `n` rounded up to a multiple of `align`, a power of two; `None` if that overflows.
#[inline]
pub const fn align_up(n: usize, align: usize) -> Option<usize> {
    debug_assert!(align.is_power_of_two());
    match n.checked_add(align - 1) {
        Some(sum) => Some(sum & !(align - 1)),
        None => None,
    }
}

/// `n` rounded up to a multiple of `align`, a power of two, for numbers known to be far from the
/// end of the range. Cannot panic, whatever the compiler knows of `align`.
#[inline]
pub const fn round_up(n: usize, align: usize) -> usize {
    n.wrapping_add(align.wrapping_sub(1)) & !align.wrapping_sub(1)
}

/// `a / b`, rounded up, and 0 where `b` is 0.
#[inline]
pub const fn ratio_up(a: usize, b: usize) -> usize {
    match (a.wrapping_add(b.wrapping_sub(1))).checked_div(b) {
        Some(ratio) => ratio,
        None => 0,
    }
}

/// `n` rounded down to a multiple of `align`, a power of two.
#[inline]
pub const fn align_down(n: usize, align: usize) -> usize {
    debug_assert!(align.is_power_of_two());
    n & !(align - 1)
}

/// Whether `n` is a multiple of `align`, a power of two.
#[inline]
pub const fn is_aligned(n: usize, align: usize) -> bool {
    debug_assert!(align.is_power_of_two());
    n & (align - 1) == 0
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn overflow_is_none() {
        assert_eq!(align_up(usize::MAX, 2), None);
        assert_eq!(align_up(usize::MAX - 15, 16), Some(usize::MAX - 15));
    }

    proptest! {
        #[test]
        fn up_and_down_bracket(n in 0usize..usize::MAX / 2, shift in 0u32..40) {
            let align = 1usize << shift;
            let up = align_up(n, align).unwrap();
            let down = align_down(n, align);
            prop_assert!(down <= n && n <= up);
            prop_assert!(is_aligned(up, align) && is_aligned(down, align));
            prop_assert!(up - down == 0 || up - down == align);
        }
    }
}
