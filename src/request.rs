//! Layer: pure. A request for memory, what a caller says of an object that it gives back, and what
//! an operation gives.

#[cfg(not(loom))]
use crate::record::Manner;
use crate::record::{MOST_SLACK, Origin, Record};
use crate::violation::Violation;

/// A request: how many bytes, how aligned, through which interface.
#[derive(Clone, Copy, Debug)]
pub struct Request {
    /// Bytes.
    pub size: usize,
    /// Alignment, a power of two.
    pub align: usize,
    /// Interface.
    pub origin: Origin,
}

impl Request {
    /// A request through `GlobalAlloc`.
    #[inline(always)]
    pub const fn layout(layout: core::alloc::Layout) -> Self {
        Request { size: layout.size(), align: layout.align(), origin: Origin::Layout }
    }
}

/// What the caller of free or realloc says of the object, by the function it calls: nothing, the
/// interface, also the alignment, also the size. It is compared with the object's record.
#[derive(Clone, Copy, Debug)]
pub struct Claim {
    size: usize,
    /// log2.
    align: u32,
    origin: Origin,
    /// The fields that are compared, as bits of a record; and [`USUAL`].
    mask: u32,
}

const SLACK: u32 = (1 << 18) - 1;
const ALIGN: u32 = 15 << 20;
/// Objects of at least this alignment, log2, are whole pages: without slack.
const FAR: u32 = 14;
const KIND: u32 = 3 << 18;
/// The alignment is the interface's usual one and not one that the caller named.
const USUAL: u32 = 1 << 24;

/// How an object is not what its caller says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Difference {
    /// Another alignment than the one named.
    Align,
    /// Another interface, or an aligned form of it.
    Interface,
}

impl Claim {
    /// Nothing.
    pub const ANY: Claim = Claim { size: 0, align: 0, origin: Origin::Layout, mask: 0 };

    /// All of the request.
    #[inline(always)]
    pub const fn exact(request: Request) -> Claim {
        Claim::aligned(request.origin, request.align).sized(request.size)
    }

    /// The interface, whatever the alignment.
    #[inline(always)]
    pub const fn from(origin: Origin) -> Claim {
        Claim { size: 0, align: 0, origin, mask: KIND }
    }

    /// The interface, in the form that serves this alignment without being told.
    #[inline(always)]
    pub const fn usual(origin: Origin, align: usize) -> Claim {
        Claim { size: 0, align: align.trailing_zeros(), origin, mask: KIND | ALIGN | USUAL }
    }

    /// The interface and the alignment, a power of two.
    #[inline(always)]
    pub const fn aligned(origin: Origin, align: usize) -> Claim {
        Claim { size: 0, align: align.trailing_zeros(), origin, mask: KIND | ALIGN }
    }

    /// This, and the size.
    #[inline(always)]
    #[must_use]
    pub const fn sized(self, size: usize) -> Claim {
        Claim { size, mask: self.mask | SLACK, ..self }
    }

    /// The size, if it is named.
    #[inline(always)]
    pub const fn size(&self) -> Option<usize> {
        if self.mask & SLACK != 0 { Some(self.size) } else { None }
    }

    /// The alignment that is named, or the usual one; 1 where neither is.
    pub const fn align(&self) -> usize {
        1 << (self.align & 63)
    }

    /// The interface, if it is named.
    pub const fn origin(&self) -> Option<Origin> {
        if self.mask & KIND != 0 { Some(self.origin) } else { None }
    }

    /// Alignment and origin as a record has them, the size if it is named, and whether the
    /// alignment is; for a claim of an interface in its usual alignment or in any, and nothing
    /// else.
    #[cfg(not(loom))]
    #[inline(always)]
    pub(crate) const fn manner(&self) -> Option<(Manner, Option<usize>, bool)> {
        let usual = self.mask & USUAL != 0;
        if self.mask & KIND == 0 || self.mask & ALIGN != 0 && !usual {
            return None;
        }
        Some((Manner::new(self.align, self.origin), self.size(), usual))
    }

    /// Whether the object of this record, in a slot with this room, is as the caller says.
    #[inline(always)]
    pub const fn fits(&self, record: Record, room: usize) -> bool {
        let slack = match self.size() {
            // More than a record can hold would be taken for something else.
            Some(size) if size > room || room - size > MOST_SLACK => return false,
            Some(size) => room - size,
            None => 0,
        };
        let mut mask = self.mask & !USUAL;
        // Far alignments stand where the slack does.
        if mask & ALIGN != 0 && self.align >= FAR {
            if slack != 0 {
                return false;
            }
            mask |= SLACK;
        }
        let expected = Record::shape(slack, self.align, self.origin);
        (record.bits() ^ expected.bits()) & mask == 0
    }

    /// The first difference between what the caller says and an object of this origin and log2 of
    /// the alignment; the size apart.
    pub const fn differs(&self, origin: Origin, align_log2: u32) -> Option<Difference> {
        if self.mask & KIND != 0 && self.origin as u32 != origin as u32 {
            Some(Difference::Interface)
        } else if self.mask & ALIGN == 0 || self.align == align_log2 {
            None
        } else if self.mask & USUAL != 0 {
            Some(Difference::Interface)
        } else {
            Some(Difference::Align)
        }
    }
}

/// What an operation gives, or the misuse that it found.
pub type Outcome<T> = Result<T, Violation>;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_claim_fits_what_it_names_and_nothing_else(
            room in 8usize..1 << 20, waste in 0usize..1 << 17, align in 1u32..13, origin in 0u32..4,
            generation: u8,
        ) {
            let slack = waste.min(room);
            let size = room - slack;
            let origin = Origin::of(origin);
            let record = Record::from_bits(u32::from(generation) << 24)
                .next(Record::shape(slack, align, origin));
            let exact = Claim::exact(Request { size, align: 1 << align, origin });
            let named = [
                Claim::ANY,
                exact,
                Claim::from(origin),
                Claim::usual(origin, 1 << align),
                Claim::aligned(origin, 1 << align).sized(size),
            ];
            for claim in named {
                prop_assert!(claim.fits(record, room));
                prop_assert_eq!(claim.differs(origin, align), None);
            }
            prop_assert!(!Claim::from(origin).sized(size + 1).fits(record, room));
            prop_assert!(!Claim::from(origin).sized(room + 1).fits(record, room));
            prop_assert!(!Claim::aligned(origin, 2 << align).fits(record, room));
            let other = Origin::of(origin as u32 + 1);
            prop_assert!(!Claim::from(other).fits(record, room));
            prop_assert_eq!(Claim::from(other).differs(origin, align), Some(Difference::Interface));
            prop_assert_eq!(
                Claim::usual(origin, 2 << align).differs(origin, align),
                Some(Difference::Interface));
            prop_assert_eq!(
                Claim::aligned(origin, 2 << align).differs(origin, align),
                Some(Difference::Align));
        }
    }

    /// Every alignment of a page class, for every page size that there is.
    #[test]
    fn what_is_aligned_to_pages_is_freed_as_it_was_allocated() {
        use crate::size_class::classify;
        for page_shift in [12u32, 14, 16] {
            for (pages, align) in
                [(1usize, 4u32), (1, page_shift), (8, page_shift), (8, page_shift + 3), (64, 16)]
            {
                let request = |align: u32| Request {
                    size: pages << page_shift,
                    align: 1 << align,
                    origin: Origin::Malloc,
                };
                let given = request(align);
                let Some(class) = classify(given.size, given.align, page_shift) else { continue };
                let room = class.slot(page_shift);
                let record = Record::shape(room - given.size, align, given.origin);
                let record = Record::from_bits(0).next(record);
                assert!(!record.is_taken_over());
                assert!(Claim::exact(given).fits(record, room), "{page_shift} {align}");
                for other in (0..64).filter(|&other| other != align) {
                    let fits = Claim::exact(request(other)).fits(record, room);
                    assert!(!fits, "{page_shift} {align} {other}");
                }
            }
        }
    }
}
