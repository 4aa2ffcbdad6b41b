//! What changed since an earlier run: the ratios to the system allocator, then and now.

use crate::results::{Measure, Results, SYSTEM};

/// The least change worth a line.
const CHANGE: f64 = 0.03;

/// Prints the rows whose ratio has changed, and says which changes are more than noise.
pub fn print(old: &Results, new: &Results) {
    if old.scale != new.scale {
        println!("\nthen at scale {}, now at {}: not comparable", old.scale, new.scale);
    }
    // The wall clock of a busy machine tells nothing.
    let quiet = old.quiet && new.quiet;
    let measures = Measure::ALL.into_iter().filter(|measure| quiet || *measure != Measure::Wall);
    println!("\nchanged by more than 3 % since then (surely: the 95 % intervals are apart)");
    let mut lines = 0;
    for row in &new.rows {
        let same =
            |before: &&crate::results::Row| before.group == row.group && before.name == row.name;
        let Some(before) = old.rows.iter().find(same) else { continue };
        for measure in measures.clone() {
            for name in ["casemate", "light", "strict"] {
                let (was, is) = (before.ratio(name, measure), row.ratio(name, measure));
                let (Some(was), Some(is)) = (was, is) else { continue };
                if (is / was - 1.0).abs() <= CHANGE {
                    continue;
                }
                let intervals =
                    (before.interval(name, SYSTEM, measure), row.interval(name, SYSTEM, measure));
                let surely = match intervals {
                    (Some(before), Some(now)) if before.apart_from(now) => "surely",
                    _ => "perhaps",
                };
                let change = 100.0 * (is / was - 1.0);
                let title = format!("{}/{}, {name}", row.group, row.name);
                println!(
                    "{title:<48}{was:>7.2} -> {is:<6.2}{change:>+6.0} %  {surely}  ({})",
                    measure.title()
                );
                lines += 1;
            }
        }
    }
    if lines == 0 {
        println!("nothing");
    }
}
