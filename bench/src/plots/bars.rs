//! A bar for each allocator and workload, with the spread over the rounds.

use std::path::Path;

use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use super::paint::{FONT, WIDTH, colour, largest, words};
use crate::results::{Measure, Results, SYSTEM};
use crate::table;

const BAR: i32 = 9;
const TOP: i32 = 44;
const LEFT: i32 = 210;
const LEGEND: i32 = 150;

/// Ratios beyond this are cut off, and their number is written out.
const LIMIT: f64 = 4.0;

/// The workloads of a group, one below the other; false where there are none.
pub fn draw(
    results: &Results,
    group: &str,
    title: &str,
    measure: Measure,
    path: &Path,
) -> Result<bool, String> {
    let names = table::columns(results, group);
    let rows: Vec<_> = results.group(group).collect();
    if rows.is_empty() || names.is_empty() {
        return Ok(false);
    }
    let block = BAR * names.len() as i32 + 12;
    let height = TOP + block * rows.len() as i32 + 34;
    let least = BAR * 2 * names.len() as i32 + TOP + 40;
    let area = SVGBackend::new(path, (WIDTH, height.max(least) as u32)).into_drawing_area();
    area.fill(&WHITE).map_err(words)?;
    let ratios = rows.iter().flat_map(|row| names.iter().map(|name| row.ratio(name, measure)));
    let end = (1.1 * largest(ratios.flatten(), 1.2)).min(LIMIT);
    let width = WIDTH as i32 - LEFT - LEGEND;
    let x = |ratio: f64| LEFT + (ratio.min(end) / end * f64::from(width)) as i32;

    let right = Pos::new(HPos::Right, VPos::Center);
    let text = (FONT, 13).into_font();
    let label = text.clone().into_text_style(&area).pos(right);
    let plain = text.into_text_style(&area).pos(Pos::new(HPos::Left, VPos::Center));
    let small = (FONT, 10).into_font().into_text_style(&area);
    let small = small.pos(Pos::new(HPos::Left, VPos::Center));
    let heading = format!("{title}: {}, relative to the system allocator", measure.title());
    area.draw(&Text::new(heading, (12, 12), (FONT, 17).into_font())).map_err(words)?;

    // Lines at each half; the system allocator's is black.
    for step in 0..=(2.0 * end) as i32 {
        let ratio = f64::from(step) / 2.0;
        let style = if step == 2 { BLACK.stroke_width(1) } else { BLACK.mix(0.15).stroke_width(1) };
        let bottom = TOP + block * rows.len() as i32;
        let line = PathElement::new(vec![(x(ratio), TOP - 4), (x(ratio), bottom)], style);
        area.draw(&line).map_err(words)?;
        let at = (x(ratio) - 8, bottom + 12);
        area.draw(&Text::new(format!("{ratio:.1}"), at, small.clone())).map_err(words)?;
    }
    for (index, row) in rows.iter().enumerate() {
        let top = TOP + block * index as i32;
        let middle = top + BAR * names.len() as i32 / 2;
        area.draw(&Text::new(row.name.clone(), (LEFT - 10, middle), label.clone()))
            .map_err(words)?;
        for (number, name) in names.iter().enumerate() {
            let Some(ratio) = row.ratio(name, measure) else { continue };
            let y = top + BAR * number as i32;
            let bar = [(LEFT, y), (x(ratio), y + BAR - 2)];
            area.draw(&Rectangle::new(bar, colour(name).filled())).map_err(words)?;
            let all = row.ratios(name, SYSTEM, measure);
            let low = all.iter().copied().fold(f64::INFINITY, f64::min);
            let spread = vec![(x(low), y + 3), (x(largest(all.into_iter(), 0.0)), y + 3)];
            area.draw(&PathElement::new(spread, BLACK.stroke_width(1))).map_err(words)?;
            if ratio > end {
                let at = (x(end) + 4, y + 4);
                area.draw(&Text::new(format!("{ratio:.1}"), at, small.clone())).map_err(words)?;
            }
        }
    }
    for (number, name) in names.iter().enumerate() {
        let y = TOP + 18 * number as i32;
        let left = WIDTH as i32 - LEGEND + 34;
        area.draw(&Rectangle::new([(left, y), (left + 12, y + 10)], colour(name).filled()))
            .map_err(words)?;
        area.draw(&Text::new((*name).to_owned(), (left + 18, y + 5), plain.clone()))
            .map_err(words)?;
    }
    area.present().map_err(words)?;
    Ok(true)
}
