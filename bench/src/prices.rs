//! What each protection costs: Casemate against itself without one.

use std::fmt::Write;

use crate::results::{Measure, Results};
use crate::statistics;
use crate::table::number;

/// How the allocators without a protection are called.
pub const WITHOUT: &str = "no ";

/// Whether the results are of a run for prices.
pub fn are_in(results: &Results) -> bool {
    results.allocators.iter().any(|name| name.starts_with(WITHOUT))
}

/// Where the library is preloaded; all other groups are Rust programs.
const PRELOADED: &[&str] = &["programs", "stress-1", "stress-2"];

/// A table in Markdown: the full policy's time and memory relative to what they are without the
/// protection, and the workload that pays most, in Rust programs and by preload.
pub fn table(results: &Results) -> String {
    let mut out = String::from(
        "| protection | Rust | most | where | preloaded | most | where | memory |\n\
         |---|--:|--:|---|--:|--:|---|--:|\n",
    );
    for name in results.allocators.iter().filter(|name| name.starts_with(WITHOUT)) {
        let ratios = |measure: Option<Measure>, preloaded: Option<bool>| -> Vec<(f64, String)> {
            let rows = results.rows.iter().filter_map(|row| {
                let is = PRELOADED.contains(&row.group.as_str());
                preloaded.is_none_or(|wanted| wanted == is).then_some(())?;
                let measure = measure.unwrap_or(results.time(&row.group));
                let ratio = statistics::median(row.ratios("casemate", name, measure))?;
                Some((ratio, format!("{}/{}", row.group, row.name)))
            });
            rows.collect()
        };
        let mean = |all: &[(f64, String)]| {
            statistics::geometric_mean(&all.iter().map(|one| one.0).collect::<Vec<_>>())
        };
        let time = |preloaded| {
            let time = ratios(None, Some(preloaded));
            let most = time.iter().max_by(|one, other| one.0.total_cmp(&other.0));
            format!(
                "{} | {} | {}",
                number(mean(&time), 2),
                number(most.map(|one| one.0), 2),
                most.map_or("", |one| &one.1),
            )
        };
        let _ = writeln!(
            out,
            "| {} | {} | {} | {} |",
            name.trim_start_matches(WITHOUT),
            time(false),
            time(true),
            number(mean(&ratios(Some(Measure::Memory), None)), 2)
        );
    }
    out
}
