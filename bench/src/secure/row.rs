//! What is measured, and how, over anything that keeps secrets.

use std::hint::black_box;
use std::time::{Duration, Instant};

/// What one measurement takes at least.
const TIME: Duration = Duration::from_millis(60);
/// Secrets that are alive at once.
const LIVE: usize = 10_000;

/// A library's way with a secret of bytes. Dropping one wipes and frees it.
pub trait Secret: Sized {
    /// A new secret, every byte of it written.
    fn new(len: usize) -> Option<Self>;
    /// Whatever opens it for reading, a byte, whatever closes it.
    fn read(&self) -> u8;
    /// A longer secret with this one's bytes, this one wiped.
    fn grow(self, len: usize) -> Option<Self>;
}

/// A row, or some, of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Row {
    /// A secret of 32 bytes, made and freed.
    Small,
    /// One of 4 KiB.
    Page,
    /// One that is closed, opened and closed again.
    Borrow,
    /// One that grows.
    Grow,
    /// Many at once.
    Live,
}

impl Row {
    /// In the table's order.
    pub const ALL: &[Row] = &[Row::Small, Row::Page, Row::Borrow, Row::Grow, Row::Live];

    /// For the command line.
    pub fn name(self) -> &'static str {
        match self {
            Row::Small => "small",
            Row::Page => "page",
            Row::Borrow => "borrow",
            Row::Grow => "grow",
            Row::Live => "live",
        }
    }

    /// The numbers of one measurement.
    pub fn columns(self) -> &'static [&'static str] {
        match self {
            Row::Small => &["allocate+free 32 B, ns"],
            Row::Page => &["allocate+free 4 KiB, ns"],
            Row::Borrow => &["borrow 32 B, ns"],
            Row::Grow => &["grow 32 B to 4 KiB, ns"],
            Row::Live => &[
                "10,000 live: allocate, ns",
                "10,000 live: free, ns",
                "10,000 live: locked B each",
                "10,000 live: resident B each",
                "10,000 live: mappings each",
            ],
        }
    }

    /// Reverses [`Row::name`].
    pub fn parse(name: &str) -> Option<Row> {
        Self::ALL.iter().copied().find(|row| row.name() == name)
    }

    /// One measurement; none if the library refuses.
    pub fn measure<S: Secret>(self) -> Option<Vec<f64>> {
        let untouched = Memory::now();
        // The library starts up, and takes what it takes for the first of its kind.
        drop(S::new(32)?);
        match self {
            Row::Small => Some(vec![pairs::<S>(32)?]),
            Row::Page => Some(vec![pairs::<S>(4096)?]),
            Row::Borrow => {
                let secret = S::new(32)?;
                Some(vec![each(|| {
                    black_box(secret.read());
                    Some(())
                })?])
            }
            Row::Grow => Some(vec![each(|| {
                let mut secret = S::new(32)?;
                for doubling in 1..=7 {
                    secret = secret.grow(32 << doubling)?;
                }
                drop(black_box(secret));
                Some(())
            })?]),
            Row::Live => live::<S>(&untouched),
        }
    }
}

fn pairs<S: Secret>(len: usize) -> Option<f64> {
    each(|| {
        drop(black_box(S::new(len)?));
        Some(())
    })
}

/// Nanoseconds of one turn.
fn each(mut turn: impl FnMut() -> Option<()>) -> Option<f64> {
    let mut batch = 16;
    loop {
        let began = Instant::now();
        for _ in 0..batch {
            turn()?;
        }
        let took = began.elapsed();
        if took >= TIME {
            return Some(took.as_nanos() as f64 / f64::from(batch));
        }
        batch *= if took * 8 < TIME { 4 } else { 2 };
    }
}

/// `before` is from before the library's start: what it keeps for itself counts, too.
fn live<S: Secret>(before: &Memory) -> Option<Vec<f64>> {
    let mut held = Vec::with_capacity(LIVE);
    let began = Instant::now();
    for _ in 0..LIVE {
        held.push(S::new(32)?);
    }
    let made = began.elapsed().as_nanos() as f64;
    let after = Memory::now();
    let began = Instant::now();
    held.clear();
    let freed = began.elapsed().as_nanos() as f64;
    let gained = [
        after.locked - before.locked,
        after.resident - before.resident,
        after.mappings - before.mappings,
    ];
    Some([made, freed].into_iter().chain(gained).map(|sum| sum / LIVE as f64).collect())
}

/// What the kernel counts for this process.
struct Memory {
    locked: f64,
    resident: f64,
    mappings: f64,
}

impl Memory {
    fn now() -> Memory {
        let read = |file| std::fs::read_to_string(file).unwrap_or_default();
        let status = read("/proc/self/status");
        let bytes = |key| {
            let line = status.lines().find_map(|line| line.strip_prefix(key));
            let number = line.and_then(|rest| rest.split_whitespace().next());
            1024.0 * number.and_then(|number| number.parse::<f64>().ok()).unwrap_or(f64::NAN)
        };
        Memory {
            locked: bytes("VmLck:"),
            resident: bytes("VmRSS:"),
            mappings: read("/proc/self/maps").lines().count() as f64,
        }
    }
}
