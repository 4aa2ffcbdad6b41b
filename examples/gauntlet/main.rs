//! Runs every attack of `tests/attacks` on a naive heap, on this machine's C library and on
//! Casemate, and prints what each made of it and how sure that is.
//!
//! ```text
//! cargo run --release --example gauntlet -- [--runs N] [--only WORDS] [--json FILE] [--markdown FILE]
//! ```
//!
//! Every run is a process of its own that corrupts nothing but its own heap. With 200 runs, the
//! default, it takes about three minutes on two cores. `docs/attacks.md` is what `--markdown` writes.

#[path = "../../tests/attacks/arena/mod.rs"]
mod arena;
#[expect(unsafe_code, reason = "threads by the C library")]
#[path = "../ci_shared/bare_thread.rs"]
mod bare_thread;
mod json;
mod machine;
mod markdown;
mod measure;
mod options;
#[path = "../../tests/attacks/scenarios/mod.rs"]
mod scenarios;
mod table;

use options::Options;
use std::process::ExitCode;

fn main() -> ExitCode {
    match Options::parse().and_then(run) {
        Ok(code) => code,
        Err(message) => {
            eprintln!("gauntlet: {message}");
            ExitCode::from(2)
        }
    }
}

fn run(options: Options) -> Result<ExitCode, String> {
    let rows: Vec<_> = scenarios::FAMILIES
        .iter()
        .flat_map(|(family, all)| all.iter().map(|scenario| (*family, scenario)))
        .filter(|(_, scenario)| options.takes(scenario))
        .map(|(family, scenario)| {
            let row = measure::Row::of(family, scenario, options.runs);
            table::print(&row);
            row
        })
        .collect();
    table::summary(&rows);
    if let Some(path) = &options.json {
        write(path, json::text(&rows))?;
    }
    if let Some(path) = &options.markdown {
        write(path, markdown::text(&rows))?;
    }
    let unexpected = rows.iter().any(|row| !row.is_expected());
    Ok(if unexpected { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

fn write(path: &str, text: String) -> Result<(), String> {
    std::fs::write(path, text).map_err(|error| format!("{path}: {error}"))
}
