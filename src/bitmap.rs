//! Layer: pure. Sets of slots of a group as 64-bit words.

/// Most slots a group can have: the 64th bit of its words has another use.
pub const MOST: usize = 63;

/// The set of the first `n` slots, `n` at most 63.
#[inline]
pub const fn first(n: usize) -> u64 {
    (1u64 << (n & 63)) - 1
}

/// The set of one slot.
#[inline]
pub const fn bit(slot: usize) -> u64 {
    1u64 << (slot & 63)
}

/// The members of a set, ascending.
#[inline]
pub fn members(set: u64) -> impl Iterator<Item = usize> {
    let mut left = set;
    core::iter::from_fn(move || {
        if left == 0 {
            return None;
        }
        let slot = left.trailing_zeros() as usize;
        left &= left - 1;
        Some(slot)
    })
}

/// The `n`-th member of a set, counted from 0; `None` if it has no more than `n`.
pub fn nth(set: u64, n: usize) -> Option<usize> {
    members(set).nth(n)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::vec::Vec;

    proptest! {
        #[test]
        fn members_rebuild_the_set(set: u64) {
            let list: Vec<_> = members(set).collect();
            prop_assert_eq!(list.iter().fold(0, |all, &slot| all | bit(slot)), set);
            prop_assert_eq!(list.len() as u32, set.count_ones());
            for (n, &slot) in list.iter().enumerate() {
                prop_assert_eq!(nth(set, n), Some(slot));
            }
            prop_assert_eq!(nth(set, list.len()), None);
        }

        #[test]
        fn first_holds_the_lowest(n in 0usize..64) {
            prop_assert_eq!(first(n).count_ones() as usize, n);
            prop_assert_eq!(first(n).trailing_ones() as usize, n);
        }
    }
}
