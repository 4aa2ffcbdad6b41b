//! Where objects lie over many starts of the subject, as seen from outside: the same for any heap.

use crate::estimate::Estimate;
use crate::heaps::Heap;
use crate::subject::Subject;

/// What was found of one address, or of the distance between two.
pub struct Row {
    pub what: &'static str,
    pub seen: Estimate,
}

/// The words that `subject starts` says, in order.
#[derive(Clone, Copy)]
enum Word {
    Small,
    Next,
    Medium,
    Big,
    Large,
    Larger,
    Libc,
}
use Word::*;

/// What is looked at: a place, and for a distance where from.
const ROWS: [(&str, Word, Option<Word>); 8] = [
    ("24 B", Small, None),
    ("4 MiB", Large, None),
    ("24 B from libc", Small, Some(Libc)),
    ("4 MiB from libc", Large, Some(Libc)),
    ("1000 B from 24 B", Medium, Some(Small)),
    ("60,000 B from 24 B", Big, Some(Small)),
    ("next 24 B", Next, Some(Small)),
    ("next 4 MiB", Larger, Some(Large)),
];

/// The names of the rows.
pub fn names() -> impl Iterator<Item = &'static str> {
    ROWS.iter().map(|(what, _, _)| *what)
}

/// Starts it so many times.
pub fn measure(subject: &Subject, heap: &Heap, starts: usize) -> Result<Vec<Row>, String> {
    let all = subject.runs(heap, starts, |_| vec!["starts".into()])?;
    let row = |&(what, at, from): &(&'static str, Word, Option<Word>)| {
        let value = |words: &Vec<u64>| match from {
            // Distances may be negative.
            Some(from) => words[at as usize].wrapping_sub(words[from as usize]) ^ 1 << 63,
            None => words[at as usize],
        };
        Row { what, seen: Estimate::of(&all.iter().map(value).collect::<Vec<_>>()) }
    };
    Ok(ROWS.iter().map(row).collect())
}
