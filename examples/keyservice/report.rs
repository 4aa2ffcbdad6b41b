//! The tables at the end.

use std::env;
use std::fmt::{self, Display};
use std::io::{self, IsTerminal, Write};

use hdrhistogram::Histogram;

use crate::latency::{Kind, Latencies};

/// The terminal's colours, where standard output is one and `NO_COLOR` is not set.
#[derive(Clone, Copy)]
pub struct Paint(bool);

impl Paint {
    pub fn detect() -> Paint {
        Paint(io::stdout().is_terminal() && env::var_os("NO_COLOR").is_none())
    }

    pub fn heading(self, text: impl Display) -> impl Display {
        self.with("1", text)
    }

    pub fn good(self, text: impl Display) -> impl Display {
        self.with("32", text)
    }

    pub fn bad(self, text: impl Display) -> impl Display {
        self.with("1;31", text)
    }

    fn with<T: Display>(self, code: &'static str, text: T) -> Painted<T> {
        Painted { code: self.0.then_some(code), text }
    }
}

struct Painted<T> {
    code: Option<&'static str>,
    text: T,
}

impl<T: Display> Display for Painted<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.code {
            Some(code) => {
                write!(f, "\x1b[{code}m")?;
                self.text.fmt(f)?;
                f.write_str("\x1b[0m")
            }
            None => self.text.fmt(f),
        }
    }
}

/// Percentiles of every kind of request, in milliseconds.
pub fn latencies(out: &mut impl Write, paint: Paint, all: &Latencies) -> io::Result<()> {
    let heading = format!(
        "{:<13}{:>12}{:>10}{:>10}{:>10}{:>10}{:>10}",
        "latency (ms)", "count", "p50", "p90", "p99", "p99.9", "max"
    );
    writeln!(out, "{}", paint.heading(heading))?;
    for kind in Kind::ALL {
        row(out, kind.name(), all.of(kind))?;
    }
    row(out, "all requests", &all.requests())
}

fn row(out: &mut impl Write, name: &str, histogram: &Histogram<u64>) -> io::Result<()> {
    write!(out, "{name:<13}{:>12}", grouped(histogram.len()))?;
    for quantile in [0.5, 0.9, 0.99, 0.999, 1.0] {
        // The histogram's buckets have an upper edge; nothing was slower than the slowest.
        let micros = histogram.value_at_quantile(quantile).min(histogram.max());
        write!(out, "{:>10.3}", micros as f64 / 1000.0)?;
    }
    writeln!(out)
}

/// A heading and the lines of a report under it.
pub fn section(out: &mut impl Write, paint: Paint, title: &str, text: &str) -> io::Result<()> {
    writeln!(out, "\n{}", paint.heading(title))?;
    for line in text.lines() {
        writeln!(out, "  {line}")?;
    }
    Ok(())
}

/// A number with its thousands set apart.
pub fn grouped(n: u64) -> String {
    let digits = n.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}
