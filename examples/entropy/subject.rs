//! The C program that allocates under each heap.

use crate::heaps::Heap;
use std::path::PathBuf;
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};

/// It, compiled.
pub struct Subject {
    directory: PathBuf,
}

impl Subject {
    /// Compiles it into a directory of its own, which goes when this does.
    pub fn compile() -> Result<Subject, String> {
        let name = format!("casemate-entropy-{}", std::process::id());
        let subject = Subject { directory: std::env::temp_dir().join(name) };
        std::fs::create_dir(&subject.directory).map_err(|error| error.to_string())?;
        let source = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/entropy/subject.c");
        let made = Command::new("cc")
            // Position-independent, as programs are; a call of malloc must stay one.
            .args(["-O1", "-fPIE", "-pie", "-fno-builtin", "-o"])
            .arg(subject.program())
            .arg(source)
            .status();
        match made {
            Ok(status) if status.success() => Ok(subject),
            Ok(status) => Err(format!("cc: {status}")),
            Err(error) => Err(format!("cc: {error}")),
        }
    }

    fn program(&self) -> PathBuf {
        self.directory.join("subject")
    }

    /// One run under a heap: the numbers that it says.
    pub fn run(&self, heap: &Heap, arguments: &[String]) -> Result<Vec<u64>, String> {
        let mut command = Command::new(self.program());
        command.args(arguments).env_remove("LD_PRELOAD");
        if let Some(library) = &heap.library {
            command.env("LD_PRELOAD", library);
        }
        let output = command.output().map_err(|error| error.to_string())?;
        let said = String::from_utf8_lossy(&output.stdout);
        let complaint = String::from_utf8_lossy(&output.stderr);
        // The loader only warns of a library that it cannot load.
        if !output.status.success() || !complaint.is_empty() {
            return Err(format!("{}: {}: {complaint}", heap.name, output.status));
        }
        let number = |word: &str| u64::from_str_radix(word, 16).map_err(|error| error.to_string());
        said.split_whitespace().map(number).collect()
    }

    /// Many runs on all processors; `arguments` for each. In their order.
    pub fn runs(
        &self,
        heap: &Heap,
        runs: usize,
        arguments: impl Fn(usize) -> Vec<String> + Sync,
    ) -> Result<Vec<Vec<u64>>, String> {
        in_parallel(runs, |run| self.run(heap, &arguments(run)))
    }
}

impl Drop for Subject {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.directory);
    }
}

/// The results of `one` for each number below `runs`, in order, or the first failure.
pub fn in_parallel<T: Send>(
    runs: usize,
    one: impl Fn(usize) -> Result<T, String> + Sync,
) -> Result<Vec<T>, String> {
    let begun = AtomicUsize::new(0);
    let work = || -> Result<Vec<(usize, T)>, String> {
        let mut mine = Vec::new();
        loop {
            let run = begun.fetch_add(1, Ordering::Relaxed);
            if run >= runs {
                return Ok(mine);
            }
            mine.push((run, one(run)?));
        }
    };
    let workers = std::thread::available_parallelism().map_or(1, usize::from);
    let parts: Vec<_> = std::thread::scope(|scope| {
        let all: Vec<_> = (0..workers).map(|_| scope.spawn(work)).collect();
        all.into_iter().map(|one| one.join().expect("no panic in a worker")).collect()
    });
    let mut all = Vec::new();
    for part in parts {
        all.extend(part?);
    }
    all.sort_by_key(|(run, _)| *run);
    Ok(all.into_iter().map(|(_, result)| result).collect())
}
