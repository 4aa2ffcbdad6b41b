//! Time against memory: one point an allocator, over all groups.

use std::path::Path;

use plotters::prelude::*;

use super::paint::{FONT, HEIGHT, WIDTH, colour, largest, words};
use crate::plan::GROUPS;
use crate::results::{Measure, Results};
use crate::statistics;

/// Draws the points of the allocators that ran at least four workloads; false where none did.
pub fn draw(results: &Results, path: &Path) -> Result<bool, String> {
    let points: Vec<(String, f64, f64)> =
        results.allocators.iter().filter_map(|name| point(results, name)).collect();
    if points.len() < 2 {
        return Ok(false);
    }
    let right = 1.1 * largest(points.iter().map(|point| point.1), 1.2);
    let top = 1.1 * largest(points.iter().map(|point| point.2), 1.2);
    let area = SVGBackend::new(path, (WIDTH, HEIGHT)).into_drawing_area();
    area.fill(&WHITE).map_err(words)?;
    let mut chart = ChartBuilder::on(&area)
        .caption("Time against memory, geometric means over all workloads it ran", (FONT, 17))
        .margin(14)
        .x_label_area_size(40)
        .y_label_area_size(52)
        .build_cartesian_2d(0.4..right, 0.6..top)
        .map_err(words)?;
    chart
        .configure_mesh()
        .x_desc("time, relative to the system allocator (less is better)")
        .y_desc("peak memory with page tables")
        .light_line_style(WHITE)
        .label_style((FONT, 12))
        .draw()
        .map_err(words)?;
    for (name, time, memory) in points {
        let dot = Circle::new((time, memory), 6, colour(&name).filled());
        let label = Text::new(name, (time + right / 120.0, memory + top / 100.0), (FONT, 13));
        chart.draw_series([dot]).map_err(words)?;
        chart.draw_series([label]).map_err(words)?;
    }
    area.present().map_err(words)?;
    Ok(true)
}

/// The geometric means of an allocator's ratios: time and memory.
fn point(results: &Results, name: &str) -> Option<(String, f64, f64)> {
    let (mut times, mut memories) = (Vec::new(), Vec::new());
    for (group, _) in GROUPS.iter().filter(|(group, _)| !matches!(*group, "size" | "threads")) {
        let measure = results.time(group);
        for row in results.group(group) {
            let (time, memory) = (row.ratio(name, measure), row.ratio(name, Measure::Memory));
            if let (Some(time), Some(memory)) = (time, memory) {
                times.push(time);
                memories.push(memory);
            }
        }
    }
    let enough = times.len() >= 4;
    let time = statistics::geometric_mean(&times)?;
    let memory = statistics::geometric_mean(&memories)?;
    enough.then(|| (name.to_owned(), time, memory))
}
