//! Layer: pure. Which requests are served by which slot size.
//!
//! Three kinds of class, in one numbering:
//!
//! ```text
//! slot classes   ascending sizes, each slot ending in an 8-byte canary
//!   general      4 per doubling above 128 B; 2^n + a little, so that a request of 2^n bytes
//!                and its canary share a slot
//!   aligned      2^n, only for requests aligned to more than 16 that no general class suits
//! page classes   1 to 256 pages exactly, no canary: a guard page follows each slot
//! ```
//!
//! A slot starts at a multiple of its size from a page boundary, so a slot size that is a
//! multiple of an alignment up to a page serves that alignment. Slabs of a page class start at a
//! multiple of the largest power of two in their slot's size, so they serve larger ones too.

use crate::units::MIB;

/// Bytes at the end of every slot of a slot class that are always canary.
pub const CANARY: usize = 8;

const AL: u32 = 1 << 31; // marks an aligned-only class in the table below

const TABLE: [u32; 71] = [
    16,
    32,
    48,
    64,
    80,
    96,
    112,
    128,
    144,
    160,
    176,
    192,
    224,
    240,
    256 | AL,
    272,
    320,
    384,
    448,
    512 | AL,
    528,
    640,
    752,
    912,
    1024 | AL,
    1088,
    1280,
    1536,
    1792,
    2048 | AL,
    2112,
    2496,
    2944,
    3520,
    4096 | AL,
    4160,
    4928,
    5888,
    6976,
    8192 | AL,
    8256,
    9792,
    11648,
    13824,
    16384 | AL,
    16448,
    19520,
    23232,
    27648,
    32768 | AL,
    32832,
    40960,
    49152,
    57344,
    69632,
    81920,
    98304,
    114688,
    135168,
    159744,
    188416,
    225280,
    266240,
    315392,
    376832,
    446464,
    528384,
    626688,
    745472,
    884736,
    1052672,
];

/// Pages per slot of the page classes.
const PAGES: [u16; 13] = [1, 2, 3, 4, 5, 6, 7, 8, 16, 32, 64, 128, 256];

/// Number of slot classes.
pub const SLOT_CLASSES: usize = TABLE.len();
/// Number of classes in all.
pub const CLASSES: usize = SLOT_CLASSES + PAGES.len();
/// Largest request that a slot class serves.
pub const LARGEST: usize = MIB;
/// Largest alignment that a slot class serves.
const LARGEST_ALIGN: usize = 4096;

/// A size class by number: below [`CLASSES`], always.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct SizeClass(u8);

impl SizeClass {
    /// The class with this number, if there is one.
    #[inline]
    pub const fn new(index: usize) -> Option<Self> {
        if index < CLASSES { Some(SizeClass(index as u8)) } else { None }
    }

    /// A class from a table, where `u8::MAX` is none.
    #[inline]
    const fn found(number: u8) -> Option<Self> {
        if (number as usize) < CLASSES { Some(SizeClass(number)) } else { None }
    }

    /// Its number.
    #[inline]
    pub const fn index(self) -> usize {
        self.0 as usize
    }

    /// Slot size in bytes for pages of `1 << page_shift` bytes.
    pub const fn slot(self, page_shift: u32) -> usize {
        let i = self.0 as usize;
        if i < SLOT_CLASSES {
            (look(&TABLE, i, 0) & !AL) as usize
        } else {
            match i - SLOT_CLASSES {
                page if page < PAGES.len() => (PAGES[page] as usize) << page_shift,
                _ => 0,
            }
        }
    }

    /// Where its slabs start, in bytes: the largest alignment that divides a slot of a page class,
    /// otherwise a page.
    pub const fn slab_align(self, page_shift: u32) -> usize {
        let slot = self.slot(page_shift);
        if self.has_canary() || slot == 0 { 1 << page_shift } else { 1 << slot.trailing_zeros() }
    }

    /// Whether its slots end in a canary; a page class has a guard after each slot instead.
    #[inline]
    pub const fn has_canary(self) -> bool {
        (self.0 as usize) < SLOT_CLASSES
    }
}

/// First class for each 16-byte step up to 1 KiB; index: bytes with canary, rounded up, / 16.
const FINE: [u8; 65] = {
    let mut table = [0u8; 65];
    let mut step = 0;
    while step < table.len() {
        table[step] = first_general(step * 16);
        step += 1;
    }
    table
};

/// First class that can serve each eighth of a doubling from 1 KiB on.
const COARSE: [u8; 88] = {
    let mut table = [0u8; 88];
    let mut i = 0;
    while i < table.len() {
        let low = (1024 << (i / 8)) + (i % 8) * (128 << (i / 8));
        table[i] = first_general(low);
        i += 1;
    }
    table
};

/// For each alignment 32 ... 4096 and slot class: the first class from there on that suits it.
const ALIGNED: [[u8; SLOT_CLASSES]; 8] = {
    let mut table = [[u8::MAX; SLOT_CLASSES]; 8];
    let mut a = 0;
    while a < 8 {
        let align = 32u32 << a;
        let mut next = u8::MAX;
        let mut class = SLOT_CLASSES;
        while class > 0 {
            class -= 1;
            if (TABLE[class] & !AL).is_multiple_of(align) {
                next = class as u8;
            }
            table[a][class] = next;
        }
        a += 1;
    }
    table
};

const fn first_general(need: usize) -> u8 {
    let mut class = 0;
    while class < SLOT_CLASSES {
        if TABLE[class] & AL == 0 && TABLE[class] as usize >= need {
            return class as u8;
        }
        class += 1;
    }
    u8::MAX
}

/// Slot sizes without the marks, for the two-step look-up.
const SIZES: [u32; SLOT_CLASSES] = {
    let mut sizes = [0; SLOT_CLASSES];
    let mut class = 0;
    while class < SLOT_CLASSES {
        sizes[class] = TABLE[class] & !AL;
        class += 1;
    }
    sizes
};

/// Next general class after each class.
const NEXT: [u8; SLOT_CLASSES] = {
    let mut next = [u8::MAX; SLOT_CLASSES];
    let mut class = 0;
    while class < SLOT_CLASSES {
        next[class] = first_general((TABLE[class] & !AL) as usize + 1);
        class += 1;
    }
    next
};

/// The class that serves `size` bytes at `align` (a power of two), or `None`: a large mapping.
#[inline]
pub const fn classify(size: usize, align: usize, page_shift: u32) -> Option<SizeClass> {
    if align <= 16 && size <= 1024 - CANARY {
        return SizeClass::found(byte(&FINE, (size + CANARY + 15) >> 4));
    }
    classify_rest(size, align, page_shift)
}

const fn classify_rest(size: usize, align: usize, page_shift: u32) -> Option<SizeClass> {
    let page = 1usize << page_shift;
    if align >= page && size & (align - 1) == 0 && size != 0 {
        return page_class(size, page_shift);
    }
    if size > LARGEST || align > LARGEST_ALIGN {
        return None;
    }
    let Some(general) = general(size) else { return None };
    if align <= 16 {
        return Some(SizeClass(general));
    }
    // The general class may be preceded by an aligned-only one that is large enough.
    let mut from = general as usize;
    if from > 0 && look(&SIZES, from - 1, 0) as usize >= size + CANARY {
        from -= 1;
    }
    let row = (align.trailing_zeros() - 5) as usize;
    if row < ALIGNED.len() { SizeClass::found(byte(&ALIGNED[row], from)) } else { None }
}

/// The smallest general class for `size` bytes and their canary.
const fn general(size: usize) -> Option<u8> {
    let need = size + CANARY;
    if need <= 1024 {
        return Some(byte(&FINE, (need + 15) >> 4));
    }
    let log = usize::BITS - 1 - need.leading_zeros();
    let eighth = (need >> (log - 3)) & 7;
    let mut class = byte(&COARSE, (log as usize - 10) * 8 + eighth);
    while (class as usize) < SLOT_CLASSES {
        if look(&SIZES, class as usize, 0) as usize >= need {
            return Some(class);
        }
        class = byte(&NEXT, class as usize);
    }
    None
}

/// An element of a table, or no class: no way to a panic, whatever the compiler can prove.
#[inline]
const fn byte(table: &[u8], i: usize) -> u8 {
    if i < table.len() { table[i] } else { u8::MAX }
}

/// An element of a table of sizes, or something else.
#[inline]
const fn look(table: &[u32], i: usize, otherwise: u32) -> u32 {
    if i < table.len() { table[i] } else { otherwise }
}

/// Whole pages, a multiple of their alignment: a slot of exactly that many, where there is a class.
const fn page_class(size: usize, page_shift: u32) -> Option<SizeClass> {
    let pages = size >> page_shift;
    let mut i = 0;
    while i < PAGES.len() {
        if PAGES[i] as usize == pages {
            return Some(SizeClass((SLOT_CLASSES + i) as u8));
        }
        i += 1;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const SHIFT: u32 = 12;

    fn slot(size: usize, align: usize) -> Option<usize> {
        classify(size, align, SHIFT).map(|class| class.slot(SHIFT))
    }

    #[test]
    fn sizes_ascend_and_are_multiples_of_sixteen() {
        for pair in SIZES.windows(2) {
            assert!(pair[0] < pair[1]);
        }
        assert!(SIZES.iter().all(|size| size % 16 == 0));
    }

    #[test]
    fn every_size_fits_and_wastes_at_most_a_fifth_above_128() {
        for size in (0..=LARGEST).step_by(if cfg!(miri) { 4099 } else { 1 }) {
            let slot = slot(size, 16).unwrap();
            assert!(slot >= size + CANARY);
            if size > 128 {
                assert!((slot - size) * 5 <= slot, "{size} in {slot}");
            }
        }
        assert_eq!(slot(LARGEST + 1, 16), None);
    }

    #[test]
    fn powers_of_two_fall_at_most_one_class_up() {
        for shift in 3..=20 {
            let size = 1usize << shift;
            let with = classify(size, 8, SHIFT).unwrap().index();
            let general_at_least = (0..SLOT_CLASSES)
                .filter(|&i| TABLE[i] & AL == 0)
                .find(|&i| SIZES[i] as usize >= size)
                .unwrap();
            let between = (general_at_least..with).filter(|&i| TABLE[i] & AL == 0).count();
            assert!(between <= 1, "{size}: {between} classes up");
        }
    }

    #[test]
    fn whole_pages_cost_no_extra_page() {
        for pages in [1, 2, 3, 8, 16, 256] {
            assert_eq!(slot(pages << SHIFT, 1 << SHIFT), Some(pages << SHIFT));
        }
        assert_eq!(slot(9 << SHIFT, 1 << SHIFT), None);
        assert_eq!(slot(8192, 8192), Some(8192));
        assert_eq!(slot(1 << 20, 1 << 20), Some(1 << 20));
        assert_eq!(slot(8192, 16384), None);
        assert_eq!(slot(5 << SHIFT, 1 << SHIFT), Some(5 << SHIFT));
        assert!(!classify(4096, 4096, SHIFT).unwrap().has_canary());
        assert_eq!(classify(4096, 4096, 14).unwrap().slot(14) % 4096, 0);
    }

    proptest! {
        #[test]
        fn alignment_divides_the_slot(size in 0usize..LARGEST, shift in 0u32..14) {
            let align = 1usize << shift;
            if let Some(slot) = slot(size, align) {
                prop_assert_eq!(slot % align, 0);
                prop_assert!(slot >= size);
            } else {
                prop_assert!(align > LARGEST_ALIGN || (align == 4096 && size.is_multiple_of(align)));
            }
        }

        #[test]
        fn the_smallest_suitable_class_is_taken(size in 0usize..LARGEST, shift in 5u32..12) {
            let align = 1usize << shift;
            let best = SIZES.iter().find(|&&s| (s as usize).is_multiple_of(align) && s as usize >= size + CANARY);
            prop_assert_eq!(slot(size, align), best.map(|&s| s as usize));
        }
    }
}
