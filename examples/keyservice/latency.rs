//! How long each kind of request took.

use std::time::Duration;

use hdrhistogram::{CreationError, Histogram};

/// What is timed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Handshake,
    Create,
    Sign,
    Verify,
    Delete,
}

impl Kind {
    pub const ALL: [Kind; 5] =
        [Kind::Handshake, Kind::Create, Kind::Sign, Kind::Verify, Kind::Delete];

    pub fn name(self) -> &'static str {
        match self {
            Kind::Handshake => "handshake",
            Kind::Create => "create",
            Kind::Sign => "sign",
            Kind::Verify => "verify",
            Kind::Delete => "delete",
        }
    }
}

/// A minute in microseconds: whatever takes longer counts as that long.
const LONGEST: u64 = 60_000_000;

/// One histogram of microseconds for each [`Kind`], three digits exact.
pub struct Latencies([Histogram<u64>; Kind::ALL.len()]);

impl Latencies {
    pub fn new() -> Result<Latencies, CreationError> {
        let one = Histogram::new_with_bounds(1, LONGEST, 3)?;
        Ok(Latencies(std::array::from_fn(|_| one.clone())))
    }

    pub fn record(&mut self, kind: Kind, took: Duration) {
        let micros = u64::try_from(took.as_micros()).unwrap_or(LONGEST);
        self.0[kind as usize].saturating_record(micros);
    }

    /// Adds what another client saw.
    pub fn add(&mut self, other: &Latencies) {
        for (mine, theirs) in self.0.iter_mut().zip(&other.0) {
            // All have the bounds of `new`: there is nothing that cannot be added.
            let _ = mine.add(theirs);
        }
    }

    pub fn of(&self, kind: Kind) -> &Histogram<u64> {
        &self.0[kind as usize]
    }

    /// All requests in one histogram, without the handshakes.
    pub fn requests(&self) -> Histogram<u64> {
        let mut all = self.of(Kind::Create).clone();
        for kind in [Kind::Sign, Kind::Verify, Kind::Delete] {
            let _ = all.add(self.of(kind));
        }
        all
    }
}
