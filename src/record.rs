//! Layer: pure. The 4-byte record that each slot has out of line.
//!
//! ```text
//! bit 31..24  generation   counts allocations of the slot, wraps
//! bit 23..20  alignment    log2, 0 ... 14; 15: taken over
//! bit 19..18  kind         which interface allocated it
//! bit 17..0   slack        bytes between the requested end and the canary;
//!                          from 2^18 - 64 on, with an alignment of 14: how far it is above 14
//! ```
//!
//! Only whole pages are aligned to more than slots with canaries are, and those leave no slack.
//!
//! Size and alignment given to free are compared with the record as one word. Kind and alignment
//! are never both 0 once the slot was used.

/// Which interface allocated an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Origin {
    /// `GlobalAlloc`: freed with the layout it was allocated with.
    Layout = 1,
    /// `malloc` and its relatives: freed without a size.
    Malloc = 2,
    /// C++ `operator new`.
    New = 3,
    /// C++ `operator new[]`. Its alignment is at least 2, see [`Record`].
    NewArray = 0,
}

impl Origin {
    /// From its number, cut to two bits.
    pub const fn of(number: u32) -> Self {
        match number & 3 {
            1 => Origin::Layout,
            2 => Origin::Malloc,
            3 => Origin::New,
            _ => Origin::NewArray,
        }
    }
}

/// See the module's picture. All zero: the slot was never handed out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record(u32);

/// Alignment and origin, as they stand in a record, but in more bits: an alignment of 2^16 and more
/// is kept whole, and is equal to none in a record; nor is one of 2^15, but to that of objects that
/// were taken over, of which the alignment is not known any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Manner(u64);

impl Manner {
    /// From log2 of the alignment, and the origin.
    #[inline(always)]
    pub const fn new(align_log2: u32, origin: Origin) -> Manner {
        Manner((align_log2 as u64) << 20 | (origin as u64) << 18)
    }

    /// The origin.
    #[inline(always)]
    pub const fn origin(self) -> Origin {
        Origin::of((self.0 >> 18) as u32)
    }

    /// The alignment.
    #[inline(always)]
    pub const fn align(self) -> usize {
        1 << (self.0 >> 20 & 63)
    }

    /// The shape of an object without slack; the alignment must be one that records can hold.
    #[inline(always)]
    pub const fn shape(self) -> Record {
        Record(self.0 as u32)
    }
}

const SLACK: u32 = (1 << 18) - 1;
const SHAPE: u32 = (1 << 24) - 1;
/// The alignment of an object whose size its program took over (`malloc_usable_size`): no request
/// has it.
const TAKEN_OVER: u32 = 15;
/// The largest alignment, log2, that stands in its own field.
const MOST_ALIGN: u32 = TAKEN_OVER - 1;
/// Above every slack: this and how many doublings an alignment is above [`MOST_ALIGN`].
const BEYOND: u32 = SLACK - 63;
/// The most slack that a record can hold.
pub const MOST_SLACK: usize = BEYOND as usize;

impl Record {
    /// The shape of a request: everything but the generation. The slack is at most [`MOST_SLACK`],
    /// and 0 with an alignment above 2^14: so it is in every slot.
    #[inline]
    pub const fn shape(slack: usize, align_log2: u32, origin: Origin) -> Self {
        let (align, low) = if align_log2 > MOST_ALIGN {
            (MOST_ALIGN, BEYOND + (align_log2 - MOST_ALIGN))
        } else {
            (align_log2, slack as u32)
        };
        Record(align << 20 | (origin as u32) << 18 | (low & SLACK))
    }

    /// The same with this much slack instead of none; it is below 2^18.
    #[inline(always)]
    #[must_use]
    pub const fn with_slack(self, slack: usize) -> Self {
        Record(self.0 | slack as u32)
    }

    /// Whether slack, alignment and origin are these, for a slack below 2^18.
    #[inline(always)]
    pub const fn is(self, slack: usize, manner: Manner) -> bool {
        (self.0 & SHAPE) as u64 == slack as u64 | manner.0
    }

    /// Whether the origin is this one's and, if `align`, also the alignment.
    #[inline(always)]
    pub const fn is_in(self, manner: Manner, align: bool) -> bool {
        if align {
            (self.0 & SHAPE & !SLACK) as u64 == manner.0 && !self.is_far()
        } else {
            (self.0 as u64 ^ manner.0) & (3 << 18) == 0
        }
    }

    /// From the stored word.
    #[inline]
    pub const fn from_bits(bits: u32) -> Self {
        Record(bits)
    }

    /// The word to store.
    #[inline]
    pub const fn bits(self) -> u32 {
        self.0
    }

    /// The generation.
    #[inline]
    pub const fn generation(self) -> u8 {
        (self.0 >> 24) as u8
    }

    /// Whether the slot was ever handed out.
    #[inline]
    pub const fn was_used(self) -> bool {
        self.0 & SHAPE != 0
    }

    /// This generation's successor with another shape.
    #[inline]
    #[must_use]
    pub const fn next(self, shape: Record) -> Self {
        Record((self.0 & !SHAPE).wrapping_add(1 << 24) | (shape.0 & SHAPE))
    }

    /// The same generation with another shape: a resize in place.
    #[inline]
    #[must_use]
    pub const fn resized(self, shape: Record) -> Self {
        Record((self.0 & !SHAPE) | (shape.0 & SHAPE))
    }

    /// The record of this object once its program uses all of its slot: the size that was asked
    /// for is forgotten.
    #[inline]
    #[must_use]
    pub const fn taken_over(self) -> Self {
        Record(self.0 & !(SLACK | 15 << 20) | TAKEN_OVER << 20)
    }

    /// The same while what is behind the object is still looked at and wiped: the slack is as it
    /// was.
    #[inline]
    #[must_use]
    pub const fn being_taken_over(self) -> Self {
        Record(self.0 & !(15 << 20) | TAKEN_OVER << 20)
    }

    /// Whether the program uses all of the slot, or is about to.
    #[inline]
    pub const fn is_taken_over(self) -> bool {
        self.0 >> 20 & 15 == TAKEN_OVER
    }

    /// Which interface allocated it.
    #[inline]
    pub const fn origin(self) -> Origin {
        Origin::of(self.0 >> 18)
    }

    /// Slack in bytes.
    #[inline]
    pub const fn slack(self) -> usize {
        if self.is_far() { 0 } else { self.sealed_slack() }
    }

    /// The same for an object in a slot with a canary, one instruction.
    #[inline(always)]
    pub const fn sealed_slack(self) -> usize {
        (self.0 & SLACK) as usize
    }

    /// log2 of the alignment asked for.
    #[inline]
    pub const fn align_log2(self) -> u32 {
        let align = self.0 >> 20 & 15;
        if self.is_far() { align + (self.0 & SLACK) - BEYOND } else { align }
    }

    /// Whether the alignment is above 2^14.
    #[inline(always)]
    const fn is_far(self) -> bool {
        self.0 & SLACK > BEYOND
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn fields_come_back(slack in 0usize..MOST_SLACK, align in 0u32..15, generation: u8) {
            let shape = Record::shape(slack, align, Origin::Layout);
            let record = Record::from_bits(u32::from(generation) << 24).next(shape);
            prop_assert_eq!(record.slack(), slack);
            prop_assert_eq!(record.align_log2(), align);
            prop_assert_eq!(record.generation(), generation.wrapping_add(1));
            prop_assert_eq!(record.origin(), Origin::Layout);
            prop_assert!(record.was_used());
            let other = Record::shape(slack ^ 1, align, Origin::Layout);
            prop_assert_eq!(record.resized(other).generation(), record.generation());
        }

        #[test]
        fn taking_over_keeps_generation_and_origin(
            slack in 0usize..MOST_SLACK, align in 1u32..15, generation: u8, origin in 0u32..4,
        ) {
            let shape = Record::shape(slack, align, Origin::of(origin));
            let record = Record::from_bits(u32::from(generation) << 24).next(shape);
            let taken = record.taken_over();
            prop_assert!(record.was_used() && !record.is_taken_over() && taken.is_taken_over());
            let being = record.being_taken_over();
            prop_assert!(being.is_taken_over() && being.slack() == slack);
            prop_assert_eq!(being.taken_over(), taken);
            prop_assert_eq!(taken.slack(), 0);
            prop_assert_eq!(taken.origin(), Origin::of(origin));
            prop_assert_eq!(taken.generation(), record.generation());
            // Whatever a caller says of its alignment.
            for align in 0..64 {
                prop_assert!(align == 15 || !taken.is(0, Manner::new(align, Origin::of(origin))));
                prop_assert!(!Record::shape(0, align, Origin::of(origin)).is_taken_over());
            }
        }
    }

    #[test]
    fn large_alignments_are_told_from_others_and_from_taken_over_ones() {
        for align in 0..64 {
            let manner = Manner::new(align, Origin::Malloc);
            let slack = if align > MOST_ALIGN { 0 } else { 40 };
            let record = Record::shape(slack, align, Origin::Malloc);
            assert_eq!((manner.align(), manner.origin()), (1 << align, Origin::Malloc));
            assert_eq!((record.slack(), record.align_log2()), (slack, align));
            assert!(!record.is_taken_over() && record.was_used());
            assert_eq!(record.is(slack, manner), align <= MOST_ALIGN);
            for other in (0..64).filter(|&other| other != align) {
                assert!(!record.is(slack, Manner::new(other, Origin::Malloc)), "{align} {other}");
                assert_ne!(record, Record::shape(slack, other, Origin::Malloc), "{align} {other}");
                assert!(!record.is_in(Manner::new(other, Origin::Malloc), true), "{align} {other}");
                assert!(record.is_in(Manner::new(other, Origin::Malloc), false));
            }
        }
    }

    #[test]
    fn every_slack_of_a_slot_is_below_what_stands_for_alignments() {
        use crate::size_class::{LARGEST, classify};
        for page_shift in [12, 14, 16] {
            for size in (1..=LARGEST).step_by(if cfg!(miri) { 4099 } else { 7 }) {
                for align in [1, 512, 4096, 1 << page_shift] {
                    let Some(class) = classify(size, align, page_shift) else { continue };
                    assert!(class.slot(page_shift) - size < MOST_SLACK, "{size} {align}");
                }
            }
        }
    }
}
