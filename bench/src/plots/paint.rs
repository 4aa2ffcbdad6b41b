//! Colours and sizes that the plots share.

use std::fmt::Display;

use plotters::style::RGBColor;

/// Width of a plot in pixels.
pub const WIDTH: u32 = 1000;
/// Height of the plots whose height does not depend on what is drawn.
pub const HEIGHT: u32 = 560;
/// Font, as SVG takes it.
pub const FONT: &str = "sans-serif";

/// Each allocator's colour in all plots: Casemate's own are reds.
pub fn colour(name: &str) -> RGBColor {
    let (red, green, blue) = match name {
        "casemate" => (214, 39, 40),
        "light" => (247, 140, 120),
        "strict" => (130, 10, 30),
        "system" => (60, 60, 60),
        "floor" => (170, 170, 170),
        "hardened" => (31, 119, 180),
        "hardened-light" => (120, 175, 220),
        "scudo" => (44, 160, 44),
        "compatmalloc" => (140, 86, 75),
        "mimalloc" => (255, 187, 120),
        "mimalloc-secure" => (255, 127, 14),
        "snmalloc" => (197, 176, 213),
        "snmalloc-check" => (148, 103, 189),
        "zeroizing" => (188, 189, 34),
        "jemalloc" => (23, 190, 207),
        "tcmalloc" => (227, 119, 194),
        _ => (110, 110, 110),
    };
    RGBColor(red, green, blue)
}

/// An error of the plotting library, in words.
pub fn words(error: impl Display) -> String {
    error.to_string()
}

/// The largest of the values that are numbers, at least `least`.
pub fn largest(values: impl Iterator<Item = f64>, least: f64) -> f64 {
    values.filter(|value| value.is_finite()).fold(least, f64::max)
}
