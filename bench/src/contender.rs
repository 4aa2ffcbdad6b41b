//! The allocators that could be built here, and how each runs a workload.

use std::path::{Path, PathBuf};
use std::process::Command;

use casemate::policy::Set;

use crate::builder::Builder;
use crate::child;
use crate::options::Options;
use crate::prices::WITHOUT;
use crate::programs::Programs;
use crate::recipes::{self, Compiler, Library, Program, When};
use crate::results::{SYSTEM, Sample};

/// An allocator, ready to run.
pub struct Contender {
    pub name: String,
    /// The workloads' program; None where the allocator cannot be a Rust global allocator here.
    program: Option<PathBuf>,
    /// What to preload, nothing for the system's; None where there is no library here.
    library: Option<Option<PathBuf>>,
    only_large: bool,
}

/// What is run: the same for every allocator.
#[derive(Clone)]
pub enum Task {
    /// A workload of `bench/workloads`.
    Rust(String),
    /// A compiled stress pattern and its further arguments.
    Stress(PathBuf, &'static [&'static str]),
    /// A real program.
    Program(&'static str),
}

impl Contender {
    /// Whether it can run `task`, of a row in `group`.
    pub fn runs(&self, task: &Task, group: &str) -> bool {
        let can = match task {
            Task::Rust(_) => self.program.is_some(),
            Task::Stress(..) | Task::Program(_) => self.library.is_some(),
        };
        can && (!self.only_large || group == "large")
    }

    /// One process.
    pub fn run(&self, task: &Task, scale: f64, programs: &Programs) -> Result<Sample, String> {
        let library = || match &self.library {
            Some(library) => Ok(library.as_deref()),
            None => Err("no library".to_owned()),
        };
        match task {
            Task::Rust(name) => {
                let program = self.program.as_ref().ok_or("no program")?;
                let ended = child::run(Command::new(program).arg(name).arg(scale.to_string()))?;
                serde_json::from_str(ended.stdout.trim()).map_err(|error| error.to_string())
            }
            Task::Stress(path, arguments) => {
                let mut command = Command::new(path);
                command.arg(scale.to_string()).args(*arguments);
                if let Some(library) = library()? {
                    command.env("LD_PRELOAD", library);
                }
                child::run(&mut command).map(|ended| ended.sample)
            }
            Task::Program(name) => programs.run(name, library()?, scale),
        }
    }

    /// Tries whether the library can be preloaded at all. The loader goes on without what it cannot
    /// load.
    fn check(&mut self) -> Result<(), String> {
        if let Some(Some(library)) = &self.library {
            let mut command = Command::new("cat");
            command.arg("/proc/self/maps").env("LD_PRELOAD", library);
            let file = library.canonicalize().unwrap_or_default();
            let error = match child::run(&mut command) {
                Ok(ended) if ended.stdout.contains(&*file.to_string_lossy()) => return Ok(()),
                Ok(_) => "the loader leaves it out".into(),
                Err(error) => error,
            };
            self.library = None;
            return Err(format!("cannot be preloaded: {error}"));
        }
        Ok(())
    }
}

/// Builds every allocator that is wanted; what cannot be had goes to the notes.
pub fn build(
    options: &Options,
    builder: &Builder,
    notes: &mut Vec<String>,
    tick: impl Fn(&str),
) -> Result<Vec<Contender>, String> {
    let known = |name: &&String| {
        recipes::ALL.iter().any(|recipe| recipe.name == **name)
            || name.starts_with(WITHOUT)
            || ESTIMATES.iter().any(|estimate| estimate.0 == **name)
    };
    if let Some(name) = options.allocators.iter().find(|name| !known(name)) {
        return Err(format!("no allocator is called {name}; --list names them"));
    }
    let mut contenders = Vec::new();
    for recipe in recipes::ALL {
        let default = match recipe.when {
            When::Always | When::Large => true,
            When::Full => !options.quick,
        };
        let beside = match recipe.name {
            "casemate" => true,
            "mimalloc" => !options.prices,
            _ => !options.prices && !options.estimates,
        };
        let default = default && beside;
        // The list needs only who knows the workloads.
        if recipe.name != SYSTEM && (options.list || !options.wants_allocator(recipe.name, default))
        {
            continue;
        }
        tick(recipe.name);
        let mut note = |what: &str, error| notes.push(format!("{}{what}: {error}", recipe.name));
        let program = recipe.program.and_then(|program| {
            let built = builder.program(recipe.name, program, None);
            built.map_err(|error| note(" in Rust programs: left out", error)).ok()
        });
        let library = recipe.library.and_then(|library| {
            let built = builder.library(recipe.name, library, None);
            built.map_err(|error| note(" by preload: left out", error)).ok()
        });
        let only_large = recipe.when == When::Large;
        let name = recipe.name.to_owned();
        let mut contender = Contender { name, program, library, only_large };
        if let Err(error) = contender.check() {
            note(" by preload: left out", error);
        }
        contenders.push(contender);
    }
    if options.prices && !options.list {
        contenders.extend(prices(options, builder, notes, &tick));
    }
    if options.estimates && !options.list {
        contenders.extend(estimates(options, builder, notes, &tick));
    }
    Ok(contenders)
}

/// The estimates: names, on which heap by its feature (the system's without), and what is left out.
/// Each has what the one before has not yet; the last two have all that there is.
const ESTIMATES: &[(&str, Option<&str>, &str)] = &[
    ("est-wipe", Some("mimalloc"), "quarantine+random slot+canary"),
    ("est-canary", Some("mimalloc"), "quarantine+random slot"),
    ("est-random", Some("mimalloc"), "quarantine"),
    ("est-delay", Some("mimalloc"), "guards"),
    ("est-system", None, "guards"),
];

/// Heaps with what some protections do to objects.
fn estimates(
    options: &Options,
    builder: &Builder,
    notes: &mut Vec<String>,
    tick: impl Fn(&str),
) -> Vec<Contender> {
    let mut contenders = Vec::new();
    for &(name, feature, without) in ESTIMATES {
        if !options.wants_allocator(name, true) {
            continue;
        }
        tick(name);
        let program = Program { bin: "bench-estimate", feature, compiler: Compiler::Any };
        let built = builder
            .program(name, program, Some(without))
            .and_then(|program| Ok((program, builder.estimate(name, feature, without)?)));
        match built {
            Ok((program, library)) => {
                let (program, library) = (Some(program), Some(Some(library)));
                let name = name.to_owned();
                contenders.push(Contender { name, program, library, only_large: false });
            }
            Err(error) => notes.push(format!("{name}: left out: {error}")),
        }
    }
    contenders
}

/// What is left out together: without wiping alone, no free whose lower neighbour is free takes the
/// short form, and the difference would be no price.
const TOGETHER: &[&str] = &["wipe+neighbour check", "wipe+neighbour check+reuse check+purge check"];

/// Casemate without one protection, for each that the full policy has, and without some together.
fn prices(
    options: &Options,
    builder: &Builder,
    notes: &mut Vec<String>,
    tick: impl Fn(&str),
) -> Vec<Contender> {
    let program = Program { bin: "bench-without", feature: None, compiler: Compiler::Any };
    let library = Library::Workspace("casemate-bench-without", "libcasemate_without.so");
    let single = Set::EACH.iter().filter(|(_, bit)| Set::FULL.has(*bit)).map(|(name, _)| *name);
    let mut contenders = Vec::new();
    for protection in single.chain(TOGETHER.iter().copied()) {
        let name = format!("{WITHOUT}{protection}");
        if !options.wants_allocator(&name, true) {
            continue;
        }
        tick(&name);
        let built = builder
            .program(&name, program, Some(protection))
            .and_then(|program| Ok((program, builder.library(&name, library, Some(protection))?)));
        match built {
            Ok((program, library)) => {
                let (program, library) = (Some(program), Some(library));
                let mut contender =
                    Contender { name: name.clone(), program, library, only_large: false };
                if let Err(error) = contender.check() {
                    notes.push(format!("{name} by preload: left out: {error}"));
                }
                contenders.push(contender);
            }
            Err(error) => notes.push(format!("{name}: left out: {error}")),
        }
    }
    contenders
}

/// The rows that the workloads' own program knows.
pub fn rust_rows(system: &Contender) -> Result<Vec<(String, String)>, String> {
    let program: &Path = system.program.as_ref().ok_or("the system's program was not built")?;
    let listed = child::run(Command::new(program).arg("--list"))?;
    let pairs = listed.stdout.lines().filter_map(|line| line.split_once('\t'));
    Ok(pairs.map(|(group, name)| (group.to_owned(), name.to_owned())).collect())
}
