//! Each mechanism of Casemate by itself, over many starts of a process, with the heap's plan at
//! hand.

use crate::estimate::{Bits, Estimate};
use crate::facts::{Fact, Facts, WAITS, classes};
use crate::statistics::{chi_square, limit, probability};
use crate::subject::in_parallel;
use casemate::geometry::Shape;
use casemate::heap::quarantine;
use casemate::size_class::classify;
use std::process::Command;

/// The argument by which this program is one of those processes.
pub const CHILD: &str = "--one-start";

/// What was found of a mechanism.
pub struct Row {
    pub what: String,
    /// Bits that it should have.
    pub design: f64,
    pub samples: usize,
    /// Bits that were seen.
    pub bits: f64,
    /// Bits that are certain, whatever the form.
    pub floor: f64,
    pub how: How,
}

/// By what the bits were found.
pub enum How {
    /// Pairs that agree.
    Pairs,
    /// The form of the distribution.
    Form { uneven: u32 },
    /// All outcomes, counted; whether the deviation from equal shares has p > 1e-9.
    Counts { p: f64, even: bool },
    /// Each bit of words by itself, and each pair.
    Bitwise { uneven: u32, linked: u32 },
}

impl Row {
    /// Whether nothing contradicts the design.
    pub fn is_as_designed(&self) -> bool {
        match self.how {
            // Half as many outcomes would be far beyond chance, with a hundred starts as well.
            How::Pairs => self.bits > self.design - 1.0,
            How::Form { uneven } => uneven == 0 && self.bits > self.design - 1.0,
            How::Counts { even, .. } => even,
            How::Bitwise { uneven, linked } => uneven + linked == 0 && self.bits == self.design,
        }
    }
}

/// Starts so many processes and looks at what they drew.
pub fn measure(starts: usize) -> Result<Vec<Row>, String> {
    let own = std::env::current_exe().map_err(|error| error.to_string())?;
    let all = in_parallel(starts, |start| {
        let wait = WAITS[start % WAITS.len()].to_string();
        let output =
            Command::new(&own).args([CHILD, &wait]).output().map_err(|error| error.to_string())?;
        let text = String::from_utf8_lossy(&output.stdout);
        let parsed = Facts::parse(&text).filter(|_| output.status.success());
        parsed.ok_or_else(|| format!("{}: {text}", output.status))
    })?;
    let of = |fact: Fact| all.iter().flat_map(|facts| facts.of(fact)).copied().collect::<Vec<_>>();
    let mut rows = Vec::new();
    for (fact, what) in [
        (Fact::SlotSpan, "base of the slot span"),
        (Fact::MetaSpan, "base of the metadata span"),
        (Fact::Window, "window of large objects"),
        (Fact::Offset, "offset of a region's first slab"),
        (Fact::Place, "a large object's place in the window"),
    ] {
        rows.push(wide(what, fact.design(), &of(fact)));
    }
    let distance: Vec<_> = of(Fact::SlotSpan)
        .into_iter()
        .zip(of(Fact::MetaSpan))
        .map(|(slots, meta)| slots.wrapping_sub(meta) & ((1 << 40) - 1))
        .collect();
    // No less than one of them has: they are independent.
    rows.insert(2, wide("distance between slots and metadata", Some(34.8), &distance));
    let design = |fact: Fact| fact.design().unwrap_or(0.0);
    let first = of(Fact::MetaGuard);
    rows.push(counted("first guard of the metadata span", design(Fact::MetaGuard), &first, 256));
    for (side, what) in ["before", "behind"].into_iter().enumerate() {
        let guards: Vec<_> = of(Fact::Guard).into_iter().skip(side).step_by(2).collect();
        let what = format!("a large object's guard {what} it");
        rows.push(counted(&what, design(Fact::Guard), &guards, 16));
    }
    rows.push(counted("slab among 8 that are free", design(Fact::Slab), &of(Fact::Slab), 8));
    for (number, class) in classes().enumerate() {
        let shape = Shape::of(class, 12);
        let slots = shape.slots_of(0);
        if [32, 528, 1088, 2112, 4160, 8256, 16_448, 32_832].contains(&shape.slot) && slots > 1 {
            let drawn: Vec<_> = all.iter().map(|facts| facts.of(Fact::Slot)[number]).collect();
            let what = format!("slot of {} bytes among {slots} of a group", shape.slot);
            rows.push(counted(&what, (slots as f64).log2(), &drawn, slots));
        }
    }
    for (number, size) in WAITS.into_iter().enumerate() {
        let own = all.iter().skip(number).step_by(WAITS.len());
        let waits: Vec<_> = own.flat_map(|facts| facts.of(Fact::Wait)).copied().collect();
        let slot = classify(size, 8, 12).map_or(0, |class| class.slot(12));
        let what = format!("frees until a slot of {slot} bytes is used again");
        rows.push(wide(&what, Some(f64::from(quarantine(slot)).log2()), &waits));
    }
    for (fact, what) in [(Fact::Canary, "canary"), (Fact::Slack, "word of the slack pattern")] {
        let words = of(fact);
        let seen = Bits::of(&words);
        rows.push(Row {
            what: what.into(),
            design: design(fact),
            samples: words.len(),
            bits: f64::from(seen.varying.count_ones()),
            floor: Estimate::of(&words).floor,
            how: How::Bitwise { uneven: seen.uneven.count_ones(), linked: seen.linked },
        });
    }
    Ok(rows)
}

fn wide(what: &str, design: Option<f64>, values: &[u64]) -> Row {
    let seen = Estimate::of(values);
    Row {
        what: what.into(),
        design: design.unwrap_or(0.0),
        samples: seen.samples,
        bits: seen.bits(),
        floor: seen.floor,
        how: match seen.by_pairs() {
            true => How::Pairs,
            false => How::Form { uneven: seen.uneven },
        },
    }
}

/// Values of `outcomes` that should be as likely as each other, from the least on.
fn counted(what: &str, design: f64, values: &[u64], outcomes: usize) -> Row {
    let seen = Estimate::of(values);
    let least = values.iter().copied().min().unwrap_or(0);
    let mut counts = vec![0u32; outcomes];
    let mut beyond = false;
    for value in values {
        match counts.get_mut((value - least) as usize) {
            Some(count) => *count += 1,
            None => beyond = true,
        }
    }
    let (chi, freedom) = (chi_square(&counts), outcomes - 1);
    let even = !beyond && chi < limit(freedom);
    let p = if beyond { 0.0 } else { probability(chi, freedom) };
    Row {
        what: what.into(),
        design,
        samples: seen.samples,
        bits: seen.bits(),
        floor: seen.guess,
        how: How::Counts { p, even },
    }
}
