//! Layer: pure. The 4-byte record that each slot has out of line.
//!
//! ```text
//! bit 31..24  generation   counts allocations of the slot, wraps
//! bit 23..20  alignment    log2, 0 ... 15
//! bit 19..18  kind         which interface allocated it; never 0 once the slot was used
//! bit 17..0   slack        bytes between the requested end and the canary
//! ```
//!
//! Size and alignment given to free are compared with the record as one word.

/// Which interface allocated an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Origin {
    /// `GlobalAlloc`: freed with the layout it was allocated with.
    Layout = 1,
    /// `malloc` and its relatives: freed without a size.
    Malloc = 2,
}

/// See the module's picture. All zero: the slot was never handed out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record(u32);

const SLACK: u32 = (1 << 18) - 1;
const SHAPE: u32 = (1 << 24) - 1;

impl Record {
    /// The shape of a request: everything but the generation. `slack` below 2^18 and
    /// `align_log2` below 16 hold for every size class; larger values are cut to that.
    #[inline]
    pub const fn shape(slack: usize, align_log2: u32, origin: Origin) -> Self {
        Record((align_log2 & 15) << 20 | (origin as u32) << 18 | (slack as u32 & SLACK))
    }

    /// The same shape, of no slack so far, with this much.
    #[inline]
    #[must_use]
    pub const fn with_slack(self, slack: usize) -> Self {
        Record(self.0 | (slack as u32 & SLACK))
    }

    /// Whether the shape is this slack, alignment and origin, for a slack below 2^18 and any
    /// alignment whatever.
    #[inline(always)]
    pub const fn is_shape(self, slack: usize, align_log2: u32, origin: Origin) -> bool {
        // Without a mask: an alignment too large to be kept would be no other than itself.
        let shape = slack as u64 | (origin as u64) << 18 | (align_log2 as u64) << 20;
        (self.0 & SHAPE) as u64 == shape
    }

    /// Whether this interface allocated it.
    #[inline]
    pub const fn is_of(self, origin: Origin) -> bool {
        self.0 >> 18 & 3 == origin as u32
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

    /// Slack in bytes.
    #[inline]
    pub const fn slack(self) -> usize {
        (self.0 & SLACK) as usize
    }

    /// log2 of the alignment asked for.
    #[inline]
    pub const fn align_log2(self) -> u32 {
        self.0 >> 20 & 15
    }

    /// Whether both have the same slack, alignment and origin.
    #[inline]
    pub const fn same_shape(self, other: Record) -> bool {
        (self.0 ^ other.0) & SHAPE == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn fields_come_back(slack in 0usize..1 << 18, align in 0u32..16, generation: u8) {
            let shape = Record::shape(slack, align, Origin::Layout);
            let record = Record::from_bits(u32::from(generation) << 24).next(shape);
            prop_assert_eq!(record.slack(), slack);
            prop_assert_eq!(record.align_log2(), align);
            prop_assert_eq!(record.generation(), generation.wrapping_add(1));
            prop_assert!(record.same_shape(shape) && record.was_used());
            let other = Record::shape(slack ^ 1, align, Origin::Layout);
            prop_assert!(!record.same_shape(other));
            prop_assert_eq!(record.resized(other).generation(), record.generation());
        }
    }
}
