//! The bench of Casemate: everything a user might pick instead, side by side, in a form that
//! anyone can run again.
//!
//! ```text
//! cargo run --release -p casemate-bench                       # two to three hours
//! cargo run --release -p casemate-bench -- --quick            # three minutes, and the builds
//! cargo run --release -p casemate-bench -- --filter rust/     # some of the workloads
//! cargo run --release -p casemate-bench -- --prices           # what each protection costs
//! cargo run --release -p casemate-bench -- --estimates        # what protections cost by themselves
//! cargo run --release -p casemate-bench -- --compare OLD.json
//! ```
//!
//! The peers' own C and C++ is compiled the first time; one whose compiler or library is not here
//! is left out and named. `docs/performance.md` tells the method, the results and how to read them.
//! The micro bench is `--bin micro`, that of secure memory `--features secure --bin secure`.

mod builder;
mod child;
mod compare;
mod contender;
mod machine;
mod markdown;
mod options;
mod plan;
mod plots;
mod prices;
mod programs;
mod quiet;
mod recipes;
mod results;
mod statistics;
mod table;
mod targets;

use std::fs;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use builder::Builder;
use options::Options;
use programs::Programs;
use results::{Results, Row};

fn main() -> ExitCode {
    let options = Options::parse();
    match bench(&options) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("casemate-bench: {error}");
            ExitCode::FAILURE
        }
    }
}

fn bench(options: &Options) -> Result<(), String> {
    let builder = Builder::new()?;
    let folder = options.out.clone().unwrap_or_else(|| builder.out.join("results"));
    fs::create_dir_all(&folder).map_err(|error| format!("{folder:?}: {error}"))?;
    let results = match &options.show {
        Some(path) => Results::read(path)?,
        None => match measure(options, &builder, &folder)? {
            Some(results) => results,
            None => return Ok(()),
        },
    };
    table::print(&results);
    if prices::are_in(&results) {
        print!(
            "\nthe full policy relative to itself without one protection\n\n{}",
            prices::table(&results)
        );
    }
    if let Some(path) = &options.compare {
        compare::print(&Results::read(path)?, &results);
    }
    results.write(&folder.join("results.json"))?;
    let page = folder.join("results.md");
    fs::write(&page, markdown::text(&results)).map_err(|error| format!("{page:?}: {error}"))?;
    let plots = plots::draw(&results, &folder)?;
    println!("\nin {}: results.json, results.md, {}", folder.display(), plots.join(", "));
    Ok(())
}

/// Builds and runs everything; None where only the list was wanted.
fn measure(options: &Options, builder: &Builder, folder: &Path) -> Result<Option<Results>, String> {
    let bar = bar();
    let mut notes = Vec::new();
    let contenders = contender::build(options, builder, &mut notes, |name| {
        bar.set_message(format!("building {name}"));
    })?;
    let programs = Programs::new(&builder.root, &builder.out);
    let planned = plan::rows(options, builder, &programs, &contenders, &mut notes)?;
    if options.list {
        bar.finish_and_clear();
        let names: Vec<_> = recipes::ALL.iter().map(|recipe| recipe.name).collect();
        println!("allocators: {}\n", names.join(" "));
        planned.iter().for_each(|row| println!("{}/{}", row.group, row.name));
        notes.iter().for_each(|note| println!("{note}"));
        return Ok(None);
    }
    if planned.is_empty() {
        return Err("no workload has such a name; --list names them".into());
    }
    let mut machine = machine::describe(Path::new("/proc"));
    let mut quiet = true;
    if !options.no_wait {
        let (is_quiet, words) = quiet::wait(|message| bar.set_message(message));
        quiet = is_quiet;
        machine.push(words);
    }
    let others = machine::Others::new();
    let names: Vec<_> = contenders.iter().map(|contender| contender.name.clone()).collect();
    let results = |rows: Vec<Row>, rounds, notes: Vec<String>, share: f64| {
        let mut machine = machine.clone();
        machine.push(format!("other work during the run: {:.0} % of the machine", 100.0 * share));
        let quiet = quiet && share <= quiet::QUIET;
        let (allocators, scale) = (names.clone(), options.scale());
        Results { machine, notes, quiet, scale, rounds, allocators, rows }
    };
    // Each round's results are kept: a run that is broken off can be shown.
    let path = folder.join("results.json");
    let keep = |rows: &[Row], rounds: usize, notes: &[String]| {
        let results = results(rows.to_vec(), rounds, notes.to_vec(), others.share());
        if let Err(error) = results.write(&path) {
            bar.println(error);
        }
    };
    let (rows, rounds) =
        plan::run(options, &planned, &contenders, &programs, &mut notes, &bar, keep);
    bar.finish_and_clear();
    Ok(Some(results(rows, rounds, notes, others.share())))
}

/// A progress bar, drawn only on a terminal.
fn bar() -> ProgressBar {
    let bar = ProgressBar::with_draw_target(Some(0), ProgressDrawTarget::stderr());
    let style = ProgressStyle::with_template("{bar:30} {percent:>3}% {eta:>5} left  {msg}");
    let bar = style.map_or(bar.clone(), |style| bar.with_style(style));
    bar.enable_steady_tick(Duration::from_millis(250));
    bar
}
