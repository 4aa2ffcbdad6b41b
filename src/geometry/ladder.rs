//! Layer: pure. The sizes of plan that start-up tries, widest first.

/// A step of the ladder: how large the plan is, and whether its address space is reserved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rung {
    /// log2 of the bytes of a region.
    pub region_shift: u32,
    /// Reserved at start-up; otherwise the plan is only a plan, and each step of each region is
    /// mapped when it is first needed.
    pub reserved: bool,
}

/// The rungs to try, widest first. `span_bits` is the log2 of the bytes that the slot span may
/// take, `reserve` whether reserving that much is worth trying.
pub fn ladder(regions: usize, span_bits: u32, reserve: bool) -> impl Iterator<Item = Rung> {
    let log = usize::BITS - regions.saturating_sub(1).leading_zeros();
    let widest = span_bits.saturating_sub(log).clamp(22, 36);
    let reserved = (28..=widest)
        .rev()
        .step_by(2)
        .take(if reserve { usize::MAX } else { 0 })
        .map(|region_shift| Rung { region_shift, reserved: true });
    let planned =
        (22..=widest).rev().step_by(2).map(|region_shift| Rung { region_shift, reserved: false });
    reserved.chain(planned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ladder_descends_and_ends_unreserved() {
        let all: std::vec::Vec<_> = ladder(84, 43, true).collect();
        assert_eq!(all[0], Rung { region_shift: 36, reserved: true });
        assert!(all.windows(2).all(|w| w[0].reserved >= w[1].reserved));
        assert!(!all.last().unwrap().reserved);
        assert!(ladder(84, 43, false).all(|rung| !rung.reserved));
        assert!(ladder(336, 36, true).all(|rung| rung.region_shift <= 27));
    }
}
