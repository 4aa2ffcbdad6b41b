//! Layer: pure. Small buffers' slots: which one a layout gets, and where in it the buffer lies.
//!
//! ```text
//! slot                                                slot + size
//! | pattern: 8, or the alignment | secret | pattern: 8 or more |
//! ```

/// Bytes of slots, ascending, multiples of 16: from 1 KiB on what divides 16 KiB well.
pub const SIZES: [u16; 29] = [
    32, 48, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384, 448, 512, 640, 768, 896, 1024,
    1248, 1488, 1632, 1808, 2048, 2336, 2720, 3264, 4096, 5456,
];
/// Number of classes.
pub const CLASSES: usize = SIZES.len();
/// Largest slot.
pub const MOST: usize = 5456;
/// Largest alignment of a small buffer.
pub const MOST_ALIGN: usize = 256;
/// Least bytes of pattern on each side.
pub const CANARY: usize = 8;
/// Least bytes of a block, the unit in which memory is given to classes. A page if that is larger.
pub const BLOCK: usize = 16 << 10;

const UNIT: usize = 16;

/// Units to the first class that holds them.
const FIRST: [u8; MOST / UNIT + 1] = {
    let mut table = [0; MOST / UNIT + 1];
    let mut class = 0;
    let mut units = 0;
    while units < table.len() {
        if units * UNIT > SIZES[class] as usize {
            class += 1;
        }
        table[units] = class as u8;
        units += 1;
    }
    table
};

/// Bytes between a slot's start and the buffer's.
#[inline]
pub const fn front(align: usize) -> usize {
    if align > CANARY { align } else { CANARY }
}

/// Bytes of a class's slots; 0 for no class.
#[inline]
pub fn slot(class: usize) -> usize {
    SIZES.get(class).map_or(0, |&size| usize::from(size))
}

/// The class for a layout; `None` if it needs pages of its own.
#[inline]
pub fn class_of(size: usize, align: usize) -> Option<usize> {
    if size > MOST || align > MOST_ALIGN {
        return None;
    }
    let units = (front(align) + size + CANARY).div_ceil(UNIT);
    let mut class = usize::from(*FIRST.get(units)?);
    if align > UNIT {
        while slot(class) & (align - 1) != 0 {
            class += 1;
            if class >= CLASSES {
                return None;
            }
        }
    }
    Some(class)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn sizes_ascend_in_units_and_fit_a_block() {
        assert!(SIZES.windows(2).all(|pair| pair[0] < pair[1]));
        assert!(SIZES.iter().all(|&size| size % 16 == 0));
        assert_eq!(slot(CLASSES - 1), MOST);
        assert_eq!(slot(CLASSES), 0);
        // What does not fill a block of 16 KiB is below a sixteenth of it.
        for &size in &SIZES {
            assert!(BLOCK % usize::from(size) <= BLOCK / 16, "{size}");
        }
    }

    #[test]
    fn a_key_takes_48_bytes() {
        assert_eq!(class_of(32, 1).map(slot), Some(48));
        assert_eq!(class_of(32, 16).map(slot), Some(64));
        assert_eq!(class_of(4096, 8).map(slot), Some(5456));
        assert_eq!(class_of(0, 1).map(slot), Some(32));
        assert_eq!(class_of(MOST, 1), None);
        assert_eq!(class_of(8, 512), None);
    }

    proptest! {
        #[test]
        fn the_first_class_that_holds_it(size in 0usize..6000, shift in 0u32..10) {
            let align = 1usize << shift;
            let fits = |class: usize| {
                slot(class) >= front(align) + size + CANARY
                    && (align <= 16 || slot(class).is_multiple_of(align))
            };
            let expected = (0..CLASSES).find(|&class| fits(class)).filter(|_| align <= 256);
            prop_assert_eq!(class_of(size, align), expected);
            prop_assert_eq!(front(align) % align, 0);
        }

        #[test]
        fn any_layout_is_an_answer(size: usize, shift in 0u32..64) {
            let _ = class_of(size, 1 << shift);
        }
    }
}
