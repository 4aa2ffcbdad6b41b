//! What depends on the order of allocations: neighbours, sprays, reuse.

use crate::heaps::Heap;
use crate::subject::Subject;

/// Requests that are measured.
pub const SIZES: [usize; 3] = [40, 500, 4000];
/// Objects alive meanwhile.
pub const LIVE: usize = 1000;
/// Objects in a row.
const ROW: usize = 2000;
/// Most allocations of a run.
pub const MOST: usize = 65_536;

/// Of objects allocated one after the other, those beside the one before.
pub struct Neighbours {
    pub size: usize,
    pub pairs: u64,
    /// As near to each other as any two are.
    pub beside: u64,
    /// Of these, behind it: where an overflow goes.
    pub behind: u64,
}

/// How a freed place is waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// By allocations alone.
    Spray,
    /// By allocations among as many frees of other objects.
    Reuse,
}

impl Way {
    /// Its name, as a mode of the subject and of a file.
    pub fn name(self) -> &'static str {
        match self {
            Way::Spray => "spray",
            Way::Reuse => "reuse",
        }
    }
}

/// After how many allocations a freed place was covered, over many processes.
pub struct Curve {
    pub way: Way,
    pub size: usize,
    /// Ascending, of those in which it was; the others saw [`Curve::most`] allocations.
    pub after: Vec<u64>,
    pub runs: usize,
    pub most: usize,
}

impl Curve {
    /// Runs it.
    pub fn measure(
        subject: &Subject,
        heap: &Heap,
        way: Way,
        size: usize,
        runs: usize,
    ) -> Result<Curve, String> {
        // What is only allocated stays: 64 MiB of it at most.
        let most = match way {
            Way::Spray => MOST.min((64 << 20) / size),
            Way::Reuse => MOST,
        };
        let arguments = |run: usize| {
            let words = [size, LIVE, most, run + 1].map(|number| number.to_string());
            std::iter::once(way.name().to_owned()).chain(words).collect()
        };
        let all = subject.runs(heap, runs, arguments)?;
        let mut after: Vec<u64> = all.into_iter().flatten().filter(|&k| k != 0).collect();
        after.sort_unstable();
        Ok(Curve { way, size, after, runs, most })
    }

    /// Runs in which `k` allocations were enough.
    pub fn within(&self, k: usize) -> usize {
        self.after.partition_point(|&after| after <= k as u64)
    }

    /// The allocations after which this share of all runs had it; none if never.
    pub fn quantile(&self, share: f64) -> Option<u64> {
        let wanted = ((self.runs as f64 * share).ceil() as usize).max(1);
        self.after.get(wanted - 1).copied()
    }
}

/// Allocates in a row, in so many processes.
pub fn neighbours(
    subject: &Subject,
    heap: &Heap,
    size: usize,
    runs: usize,
) -> Result<Neighbours, String> {
    let arguments = |_| vec!["row".to_owned(), size.to_string(), ROW.to_string()];
    let all = subject.runs(heap, runs.div_ceil(10), arguments)?;
    let mut found = Neighbours { size, pairs: 0, beside: 0, behind: 0 };
    for row in all {
        let mut sorted = row.clone();
        sorted.sort_unstable();
        let nearest = sorted.windows(2).map(|two| two[1] - two[0]).min().unwrap_or(0);
        for two in row.windows(2) {
            found.pairs += 1;
            found.beside += u64::from(two[0].abs_diff(two[1]) == nearest);
            found.behind += u64::from(two[1].wrapping_sub(two[0]) == nearest);
        }
    }
    Ok(found)
}
