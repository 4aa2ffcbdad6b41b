//! The plots, in SVG.

mod bars;
mod curves;
mod paint;
mod scatter;

use std::path::Path;

use crate::plan::GROUPS;
use crate::results::Results;

/// Draws all for which there are numbers; the names of the files.
pub fn draw(results: &Results, folder: &Path) -> Result<Vec<String>, String> {
    let mut names = Vec::new();
    let mut add = |name: String, drawn: Result<bool, String>| -> Result<(), String> {
        if drawn.map_err(|error| format!("{name}: {error}"))? {
            names.push(name);
        }
        Ok(())
    };
    for (group, title) in GROUPS.iter().filter(|(group, _)| !matches!(*group, "size" | "threads")) {
        let name = format!("{group}.svg");
        let drawn = bars::draw(results, group, title, results.time(group), &folder.join(&name));
        add(name, drawn)?;
    }
    let drawn = scatter::draw(results, &folder.join("time-and-memory.svg"));
    add("time-and-memory.svg".into(), drawn)?;
    let drawn = curves::by_number(results, "size", &folder.join("object-size.svg"));
    add("object-size.svg".into(), drawn)?;
    let drawn = curves::by_number(results, "threads", &folder.join("threads.svg"));
    add("threads.svg".into(), drawn)?;
    let drawn = curves::latency(results, &folder.join("latency.svg"));
    add("latency.svg".into(), drawn)?;
    Ok(names)
}
