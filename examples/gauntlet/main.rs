//! Runs every attack of `tests/attacks` on a naive heap, on this machine's C library and on
//! Casemate, and prints what each made of it and how sure that is.
//!
//! ```text
//! cargo run --release --example gauntlet -- [--runs N] [--only WORDS] [--json FILE] [--markdown FILE]
//!     [--security FILE]
//! ```
//!
//! Every run is a process of its own that corrupts nothing but its own heap. With 200 runs, the
//! default, it takes about three minutes on two cores. `docs/attacks.md` is what `--markdown`
//! writes, `docs/attacks.json` what `--json`, and `--security` the section of SECURITY.md.

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

use arena::summary;
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
        write(path, format!("{:#}\n", json::form(&rows)))?;
    }
    if let Some(path) = &options.security {
        let text = std::fs::read_to_string(path).map_err(|error| format!("{path}: {error}"))?;
        let tables = summary::tables(&json::form(&rows));
        let parts = summary::parts(&text).ok_or(format!("{path}: no place for the summary"))?;
        let [(before, begin), (after, end)] =
            [(parts[0], summary::BEGIN), (parts[2], summary::END)];
        write(path, format!("{before}{begin}\n{tables}\n{end}{after}"))?;
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
