//! Measures how random heaps are: where objects lie over many starts of a program, whether objects
//! allocated in a row are neighbours, and how soon a freed place is used again; under Casemate,
//! this machine's C library and the heaps that Debian ships, by preload.
//!
//! ```text
//! cargo build --release -p casemate-preload -p casemate-preload-light -p casemate-preload-strict
//! cargo run --release --example entropy -- [--starts N] [--only HEAP] [--heap NAME=LIBRARY]
//!     [--json FILE] [--markdown FILE] [--plots DIRECTORY]
//! ```
//!
//! With 4000 starts, the default, it takes four minutes on two cores. Needs a C compiler.
//! `docs/randomness.md` and its plots are what `--markdown` and `--plots` write.

mod curves;
#[path = "../../tests/randomness/estimate.rs"]
mod estimate;
#[path = "../../tests/randomness/facts.rs"]
mod facts;
mod heaps;
#[path = "../../tests/attacks/arena/statistics.rs"]
mod interval;
mod json;
#[path = "../gauntlet/machine.rs"]
mod machine;
mod markdown;
mod mechanisms;
mod options;
mod places;
mod plot;
#[path = "../../tests/randomness/statistics.rs"]
mod statistics;
mod subject;

use curves::{Curve, SIZES, Way};
use options::Options;
use std::process::ExitCode;

/// All that was measured.
struct Results {
    starts: usize,
    mechanisms: Vec<mechanisms::Row>,
    heaps: Vec<Heap>,
    absent: Vec<&'static str>,
}

/// One heap's part.
struct Heap {
    name: String,
    places: Vec<places::Row>,
    neighbours: Vec<curves::Neighbours>,
    curves: Vec<Curve>,
}

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    if arguments.next().as_deref() == Some(mechanisms::CHILD) {
        let wait = arguments.next().and_then(|word| word.parse().ok());
        let facts = facts::Facts::gather::<casemate::Full>(wait.unwrap_or(facts::WAITS[0]));
        println!("{}", facts.text());
        return ExitCode::SUCCESS;
    }
    match Options::parse().and_then(|options| run(&options)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("entropy: {message}");
            ExitCode::from(2)
        }
    }
}

fn run(options: &Options) -> Result<(), String> {
    let (chosen, absent) = heaps::choose(options)?;
    let subject = subject::Subject::compile()?;
    eprintln!("Casemate's mechanisms");
    let mechanisms = mechanisms::measure(options.starts)?;
    let mut heaps = Vec::new();
    for heap in chosen {
        eprintln!("{}", heap.name);
        let places = places::measure(&subject, &heap, options.starts)?;
        let few = (options.starts / 10).max(40);
        let mut neighbours = Vec::new();
        let mut curves = Vec::new();
        for size in SIZES {
            neighbours.push(curves::neighbours(&subject, &heap, size, few)?);
            for way in [Way::Spray, Way::Reuse] {
                curves.push(Curve::measure(&subject, &heap, way, size, few)?);
            }
        }
        heaps.push(Heap { name: heap.name, places, neighbours, curves });
    }
    let results = Results { starts: options.starts, mechanisms, heaps, absent };
    let text = markdown::text(&results);
    print!("{}", markdown::tables(&results));
    let write = |path: &str, text: String| {
        std::fs::write(path, text).map_err(|error| format!("{path}: {error}"))
    };
    if let Some(path) = &options.json {
        write(path, json::text(&results))?;
    }
    if let Some(path) = &options.markdown {
        write(path, text)?;
    }
    if let Some(directory) = &options.plots {
        for way in [Way::Spray, Way::Reuse] {
            write(&format!("{directory}/{}.svg", way.name()), plot::svg(&results, way))?;
        }
    }
    match results.mechanisms.iter().find(|row| !row.is_as_designed()) {
        Some(row) => Err(format!("{}: not as designed", row.what)),
        None => Ok(()),
    }
}
