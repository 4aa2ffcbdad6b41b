//! The curves as SVG: a panel for each size, the number of allocations on a scale of powers of two.

use crate::Results;
use crate::curves::{Curve, MOST, SIZES, Way};
use std::fmt::Write;

const WIDTH: f64 = 300.0;
const HEIGHT: f64 = 200.0;
const LEFT: f64 = 44.0;
const TOP: f64 = 30.0;
const GAP: f64 = 26.0;
const LEGEND: f64 = 60.0;

/// Colours that differ in brightness too, and dashes: lines lie on each other.
const STYLES: [(&str, &str); 9] = [
    ("#b2182b", ""),
    ("#ef8a62", ""),
    ("#67001f", "5 5"),
    ("#222222", "7 3"),
    ("#2166ac", "2 3"),
    ("#1b9e77", ""),
    ("#7570b3", "10 4"),
    ("#a6761d", "4 8"),
    ("#666666", "1 2"),
];

/// The plot of one way.
pub fn svg(results: &Results, way: Way) -> String {
    let width = LEFT + SIZES.len() as f64 * (WIDTH + GAP);
    let height = TOP + HEIGHT + 40.0 + LEGEND;
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" \
         font-family=\"sans-serif\" font-size=\"11\">\n\
         <rect width=\"{width}\" height=\"{height}\" fill=\"#ffffff\"/>\n"
    );
    for (column, size) in SIZES.into_iter().enumerate() {
        let left = LEFT + column as f64 * (WIDTH + GAP);
        axes(&mut out, left, size, column == 0);
        for (number, heap) in results.heaps.iter().enumerate() {
            let wanted = |curve: &&Curve| curve.way == way && curve.size == size;
            if let Some(curve) = heap.curves.iter().find(wanted) {
                line(&mut out, left, curve, number);
            }
        }
    }
    legend(&mut out, results);
    out + "</svg>\n"
}

fn across(k: f64) -> f64 {
    k.log2() / (MOST as f64).log2() * WIDTH
}

fn down(share: f64) -> f64 {
    TOP + HEIGHT * (1.0 - share)
}

fn axes(out: &mut String, left: f64, size: usize, first: bool) {
    let (right, bottom) = (left + WIDTH, TOP + HEIGHT);
    for quarter in 0..=4 {
        let y = down(f64::from(quarter) / 4.0);
        let _ = writeln!(
            out,
            "<path d=\"M{left} {y:.1}H{right}\" stroke=\"#dddddd\" stroke-width=\"0.7\"/>"
        );
        if first {
            let (x, y) = (left - 6.0, y + 4.0);
            let percent = quarter * 25;
            let _ = writeln!(
                out,
                "<text x=\"{x}\" y=\"{y:.1}\" text-anchor=\"end\">{percent} %</text>"
            );
        }
    }
    for power in (0..=16).step_by(4) {
        let x = left + across(f64::from(1 << power));
        let _ = writeln!(
            out,
            "<path d=\"M{x:.1} {TOP}V{bottom}\" stroke=\"#dddddd\" stroke-width=\"0.7\"/>"
        );
        let y = bottom + 15.0;
        let _ = writeln!(
            out,
            "<text x=\"{x:.1}\" y=\"{y}\" text-anchor=\"middle\">{}</text>",
            1 << power
        );
    }
    let (x, y) = (left + WIDTH / 2.0, TOP - 10.0);
    let _ = writeln!(
        out,
        "<text x=\"{x}\" y=\"{y}\" text-anchor=\"middle\" font-size=\"13\">{size} bytes</text>"
    );
    let y = bottom + 31.0;
    let _ = writeln!(out, "<text x=\"{x}\" y=\"{y}\" text-anchor=\"middle\">allocations</text>");
}

fn line(out: &mut String, left: f64, curve: &Curve, number: usize) {
    let mut path = String::new();
    let mut last = None;
    for step in 0..=16 * 8 {
        let k = f64::from(step).mul_add(0.125, 0.0).exp2();
        let end = k > curve.most as f64;
        let share = curve.within(k as usize) as f64 / curve.runs as f64;
        let y = down(share);
        // Straight parts need their ends alone.
        if end || last != Some(share) || step == 16 * 8 {
            let x = left + across(k.min(curve.most as f64));
            let command = if path.is_empty() { 'M' } else { 'L' };
            if let (Some(before), 'L') = (last, command) {
                let back = left + across((k / 0.125f64.exp2()).min(curve.most as f64));
                let _ = write!(path, "L{back:.1} {:.1}", down(before));
            }
            let _ = write!(path, "{command}{x:.1} {y:.1}");
        }
        last = Some(share);
        if end {
            break;
        }
    }
    let (colour, dash) = STYLES[number % STYLES.len()];
    let _ = writeln!(
        out,
        "<path d=\"{path}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"1.8\" \
         stroke-dasharray=\"{dash}\"/>"
    );
}

fn legend(out: &mut String, results: &Results) {
    for (number, heap) in results.heaps.iter().enumerate() {
        let x = LEFT + (number % 5) as f64 * 180.0;
        let y = TOP + HEIGHT + 58.0 + (number / 5) as f64 * 20.0;
        let (colour, dash) = STYLES[number % STYLES.len()];
        let _ = writeln!(
            out,
            "<path d=\"M{x} {y}h30\" stroke=\"{colour}\" stroke-width=\"2.5\" \
             stroke-dasharray=\"{dash}\"/>\
             <text x=\"{}\" y=\"{}\">{}</text>",
            x + 36.0,
            y + 4.0,
            heap.name
        );
    }
}
