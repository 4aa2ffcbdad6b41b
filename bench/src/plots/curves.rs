//! Curves: the price of an object by its size or by the number of threads, and how long the key
//! service's answers took.

use std::path::Path;

use plotters::prelude::*;

use super::paint::{FONT, HEIGHT, WIDTH, colour, largest, words};
use crate::results::{Results, Row, Sample};
use crate::statistics;

/// An allocator's line.
struct Line {
    name: String,
    points: Vec<(f64, f64)>,
}

/// Nanoseconds of a free and an allocation, for the group `size` or `threads`, whose rows are
/// called by a number.
pub fn by_number(results: &Results, group: &str, path: &Path) -> Result<bool, String> {
    let each = |samples: &[Sample]| {
        let prices = samples.iter().filter_map(|sample| {
            let time = results.time(group).of(sample);
            Some(time / sample.units.filter(|units| *units > 0)? as f64)
        });
        statistics::median(prices.collect())
    };
    let (title, x) = match group {
        "size" => ("Free and allocate one object and write it, one thread", "bytes"),
        _ => ("Free and allocate small objects, in all threads together", "threads"),
    };
    let point = |row: &Row, name: &str| {
        Some((row.name.parse::<f64>().ok()?, each(row.samples.get(name)?)?))
    };
    let lines =
        lines(results, |name| results.group(group).filter_map(|row| point(row, name)).collect());
    draw(&lines, title, x, "nanoseconds", path)
}

/// The percentiles of the service's answers.
pub fn latency(results: &Results, path: &Path) -> Result<bool, String> {
    const SHARES: [f64; 4] = [2.0, 10.0, 100.0, 1000.0];
    let Some(row) = results.group("service").next() else { return Ok(false) };
    let lines = lines(results, |name| {
        let samples = row.samples.get(name).map_or(&[][..], Vec::as_slice);
        let median = |number: usize| {
            let values = samples.iter().filter_map(|sample| sample.latency_us.as_ref());
            let values = values.filter_map(|all| all.get(number).map(|value| *value as f64));
            statistics::median(values.collect())
        };
        let points = SHARES.iter().enumerate();
        points.filter_map(|(number, share)| Some((*share, median(number)? / 1000.0))).collect()
    });
    let x = "one answer in so many takes longer (2 is the median)";
    draw(&lines, "Key service: how long an answer takes", x, "milliseconds", path)
}

fn lines(results: &Results, points: impl Fn(&str) -> Vec<(f64, f64)>) -> Vec<Line> {
    let line = |name: &String| Line { name: name.clone(), points: points(name) };
    results.allocators.iter().map(line).filter(|line| line.points.len() > 1).collect()
}

/// Both axes are logarithmic.
fn draw(lines: &[Line], title: &str, x: &str, y: &str, path: &Path) -> Result<bool, String> {
    if lines.is_empty() {
        return Ok(false);
    }
    let all = || lines.iter().flat_map(|line| line.points.iter().copied());
    let least = |values: &mut dyn Iterator<Item = f64>| values.fold(f64::INFINITY, f64::min);
    let (left, right) = (least(&mut all().map(|p| p.0)), largest(all().map(|p| p.0), 1.0));
    let (bottom, top) = (least(&mut all().map(|p| p.1)), largest(all().map(|p| p.1), 0.0));
    let area = SVGBackend::new(path, (WIDTH, HEIGHT)).into_drawing_area();
    area.fill(&WHITE).map_err(words)?;
    let (plot, legend) = area.split_horizontally(WIDTH as i32 - 150);
    let mut chart = ChartBuilder::on(&plot)
        .caption(title, (FONT, 17))
        .margin(14)
        .x_label_area_size(40)
        .y_label_area_size(60)
        .build_cartesian_2d(
            (left..right * 1.05).log_scale(),
            (bottom * 0.8..top * 1.25).log_scale(),
        )
        .map_err(words)?;
    let short = |value: &f64| format!("{}", (value * 100.0).round() / 100.0);
    chart
        .configure_mesh()
        .x_desc(x)
        .y_desc(y)
        .x_label_formatter(&short)
        .y_label_formatter(&short)
        .light_line_style(WHITE)
        .label_style((FONT, 12))
        .draw()
        .map_err(words)?;
    for (number, line) in lines.iter().enumerate() {
        let width = if line.name == "casemate" { 4 } else { 2 };
        let style = colour(&line.name).stroke_width(width);
        chart.draw_series(LineSeries::new(line.points.iter().copied(), style)).map_err(words)?;
        let y = 44 + 18 * number as i32;
        legend
            .draw(&Rectangle::new([(4, y), (16, y + 10)], colour(&line.name).filled()))
            .map_err(words)?;
        legend
            .draw(&Text::new(line.name.clone(), (22, y - 1), (FONT, 13).into_font()))
            .map_err(words)?;
    }
    area.present().map_err(words)?;
    Ok(true)
}
