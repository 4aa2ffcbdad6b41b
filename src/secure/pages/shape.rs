//! Layer: pure. Where a buffer lies in pages of its own.

use super::MOST_ALIGN;
use crate::units::align_up;

/// Least bytes of pattern in front.
const FRONT: usize = 16;

/// Where a buffer lies in its data pages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    /// Bytes of data pages.
    pub data_len: usize,
    /// Of the buffer's start in them: there the alignment holds, if it is above a page.
    pub offset: usize,
}

impl Shape {
    /// For a size and an alignment; `None` for what secure memory does not have.
    pub fn of(size: usize, align: usize, page: usize) -> Option<Shape> {
        if align > MOST_ALIGN || size > isize::MAX as usize / 2 {
            return None;
        }
        if align <= page {
            // Up to the end, less what the alignment takes.
            let body = align_up(size, align)?;
            let data_len = align_up(body.checked_add(FRONT)?, page)?;
            return Some(Shape { data_len, offset: data_len - body });
        }
        // A page in front; the buffer itself starts on a page.
        let body = align_up(size.max(1), page)?;
        Some(Shape { data_len: page.checked_add(body)?, offset: page })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::units::MIB;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn shapes_hold_their_buffers(
            size in prop_oneof![0usize..20_000, 0usize..1 << 40],
            align_shift in 0u32..21,
            page_shift in prop::sample::select(&[12u32, 14, 16]),
        ) {
            let (align, page) = (1usize << align_shift, 1usize << page_shift);
            let shape = Shape::of(size, align, page).unwrap();
            let behind = shape.data_len - shape.offset - size;
            prop_assert_eq!(shape.offset % align.min(page), 0);
            prop_assert_eq!(shape.data_len % page, 0);
            prop_assert!(shape.offset >= FRONT);
            prop_assert!(behind < align.min(page).max(1) || (size == 0 && behind <= page));
        }

        #[test]
        fn any_layout_is_an_answer(size: usize, align_shift in 0u32..63) {
            let _ = Shape::of(size, 1 << align_shift, 4096);
        }
    }

    #[test]
    fn beyond_the_limits_there_is_none() {
        assert_eq!(Shape::of(1, 2 * MIB, 4096), None);
        assert_eq!(Shape::of(isize::MAX as usize, 1, 4096), None);
        assert_eq!(Shape::of(1, 1, 4096), Some(Shape { data_len: 4096, offset: 4095 }));
        assert_eq!(Shape::of(4096, 1, 4096), Some(Shape { data_len: 8192, offset: 4096 }));
    }
}
