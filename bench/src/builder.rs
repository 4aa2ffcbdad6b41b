//! Builds what is measured: programs and libraries by Cargo, stress patterns by the C compiler.

use std::env;
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::recipes::{Compiler, Library, Program};

/// Compilers that know C23, the likeliest first.
const C23: &[&str] = &[
    "clang-19", "clang-20", "clang-21", "clang-22", "clang-18", "gcc-15", "gcc-14", "clang", "gcc",
];

/// Where things are.
pub struct Builder {
    /// The checkout.
    pub root: PathBuf,
    target: PathBuf,
    /// What the bench makes, inside the target directory.
    pub out: PathBuf,
}

impl Builder {
    pub fn new() -> Result<Builder, String> {
        let own = env::current_exe().map_err(|error| error.to_string())?;
        let target = own.ancestors().nth(2).ok_or("this program lies in no target directory")?;
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().ok_or("no checkout")?;
        let out = target.join("bench");
        for folder in ["programs", "work"] {
            fs::create_dir_all(out.join(folder)).map_err(|error| format!("{out:?}: {error}"))?;
        }
        Ok(Builder { root: root.to_owned(), target: target.to_owned(), out })
    }

    /// A program of `bench/allocators`, as a copy called `name`.
    pub fn program(
        &self,
        name: &str,
        program: Program,
        without: Option<&str>,
    ) -> Result<PathBuf, String> {
        let mut cargo = self.cargo(program.compiler)?;
        cargo.args([
            "--profile",
            "measured",
            "-p",
            "casemate-bench-allocators",
            "--bin",
            program.bin,
        ]);
        if let Some(feature) = program.feature {
            cargo.args(["--features", feature]);
        }
        if let Some(protection) = without {
            cargo.env("CASEMATE_WITHOUT", protection);
        }
        let made = artifacts(&mut cargo)?;
        let built = made.iter().find(|path| path.file_name() == Some(OsStr::new(program.bin)));
        let built = built.ok_or_else(|| format!("Cargo made no {}", program.bin))?;
        let copy = self.out.join("programs").join(name);
        self.copy(built, &copy)
    }

    /// A library to preload; None where nothing is.
    pub fn library(
        &self,
        name: &str,
        library: Library,
        without: Option<&str>,
    ) -> Result<Option<PathBuf>, String> {
        // The loader takes spaces for separators.
        let name = name.replace([' ', '+'], "-");
        let copy = self.out.join("programs").join(format!("lib{name}.so"));
        let path = match library {
            Library::Nothing => return Ok(None),
            Library::Workspace(package, file) => {
                let mut cargo = self.cargo(Compiler::Any)?;
                if let Some(protection) = without {
                    cargo.env("CASEMATE_WITHOUT", protection);
                }
                let made = artifacts(cargo.args(["--release", "-p", package]))?;
                let built = made.iter().find(|path| path.ends_with(file));
                self.copy(built.ok_or_else(|| format!("Cargo made no {file}"))?, &copy)?
            }
            Library::Compiled(source) => {
                let source = self.root.join("bench/stress").join(source);
                self.compile(&source, &copy, &["-shared", "-fPIC"], &[])?
            }
            Library::Crate(feature, file) => {
                let made = self.dependencies(feature, Compiler::Any)?;
                let is = |path: &&PathBuf| {
                    let name = path.file_name().unwrap_or_default().to_string_lossy();
                    name.starts_with(file) && name.ends_with(".so")
                };
                let built = made.iter().find(is);
                self.copy(built.ok_or_else(|| format!("Cargo made no {file}.so"))?, &copy)?
            }
            Library::Archive(feature, file, compiler) => {
                let made = self.dependencies(feature, compiler)?;
                let built = made.iter().map(|folder| folder.join(file)).find(|path| path.is_file());
                let archive = built.ok_or_else(|| format!("no build left {file} behind"))?;
                shared(&archive, &copy)?
            }
            Library::Installed(package, patterns) => {
                let found = patterns.iter().flat_map(|pattern| matching(Path::new(pattern))).next();
                found.ok_or_else(|| format!("not installed (Debian: {package})"))?
            }
        };
        Ok(Some(path))
    }

    /// A stress pattern.
    pub fn stress(&self, source: &str) -> Result<PathBuf, String> {
        let path = self.root.join("bench/stress").join(source);
        let program = self.out.join("programs").join(format!("stress-{source}.out"));
        self.compile(&path, &program, &[], &[])
    }

    /// The estimate as a library to preload: on mimalloc if `feature` brings that, doing all but
    /// what `without` names.
    pub fn estimate(
        &self,
        name: &str,
        feature: Option<&str>,
        without: &str,
    ) -> Result<PathBuf, String> {
        const DONE: [(&str, &str); 4] = [
            ("wipe", "-DWIPE"),
            ("canary", "-DCANARY"),
            ("random slot", "-DRANDOM"),
            ("quarantine", "-DDELAY"),
        ];
        let left_out = |what: &str| without.split('+').any(|one| one == what);
        let mut flags = vec!["-shared", "-fPIC"];
        flags.extend(DONE.iter().filter(|(what, _)| !left_out(what)).map(|(_, flag)| *flag));
        let mut archives = Vec::new();
        if let Some(feature) = feature {
            flags.push("-DMIMALLOC");
            let made = self.dependencies(feature, Compiler::Any)?;
            let mut files = made.iter().map(|folder| folder.join("libmimalloc.a"));
            let archive = files.find(|path| path.is_file());
            archives.push(archive.ok_or("no build left libmimalloc.a behind")?);
        }
        let source = self.root.join("bench/stress/estimate.c");
        let to = self.out.join("programs").join(format!("lib{name}.so"));
        self.compile(&source, &to, &flags, &archives)
    }

    fn compile(
        &self,
        source: &Path,
        to: &Path,
        flags: &[&str],
        archives: &[PathBuf],
    ) -> Result<PathBuf, String> {
        let is_c = source.extension() == Some(OsStr::new("c"));
        let mut compiler = if is_c { Command::new("cc") } else { Command::new("c++") };
        compiler.arg(if is_c { "-std=gnu11" } else { "-std=c++17" });
        // Or the compiler may leave out a malloc whose object nobody looks at.
        compiler.args(["-O2", "-g1", "-pthread", "-Wall", "-Wextra", "-fno-builtin-malloc"]);
        compiler.args(flags).arg(source).args(archives).arg("-o").arg(to).arg("-lm");
        finish(&mut compiler).map(|_| to.to_owned())
    }

    fn copy(&self, from: &Path, to: &Path) -> Result<PathBuf, String> {
        // Renamed into place: another bench may be running the one that is there.
        let new = to.with_extension("new");
        fs::copy(from, &new)
            .and_then(|_| fs::rename(&new, to))
            .map_err(|error| format!("{from:?} to {to:?}: {error}"))?;
        Ok(to.to_owned())
    }

    /// Everything that a build with `feature` makes: shared libraries of dependencies, and the
    /// folders of build scripts.
    fn dependencies(&self, feature: &str, compiler: Compiler) -> Result<Vec<PathBuf>, String> {
        let mut cargo = self.cargo(compiler)?;
        cargo.args([
            "--profile",
            "measured",
            "-p",
            "casemate-bench-allocators",
            "--bin",
            "bench-system",
        ]);
        artifacts(cargo.args(["--features", feature]))
    }

    fn cargo(&self, compiler: Compiler) -> Result<Command, String> {
        let mut cargo = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        cargo.args(["build", "--quiet", "--message-format", "json"]);
        cargo.arg("--manifest-path").arg(self.root.join("Cargo.toml"));
        let mut target = self.target.clone();
        match compiler {
            Compiler::Any => {}
            Compiler::CxxFlags(flags) => {
                cargo.env("CXXFLAGS", flags);
            }
            Compiler::C23 => {
                let known = C23.iter().find(|name| knows_c23(name));
                let name = known.ok_or("no C23 compiler (Debian: clang-19 or newer)")?;
                cargo.env("CC", name);
                target = self.out.join("c23");
            }
        }
        cargo.arg("--target-dir").arg(target);
        Ok(cargo)
    }
}

/// Runs Cargo; the files it made and the folders of the build scripts.
fn artifacts(cargo: &mut Command) -> Result<Vec<PathBuf>, String> {
    let stdout = finish(cargo)?;
    let mut paths = Vec::new();
    for message in stdout.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok()) {
        let files = message["filenames"].as_array().into_iter().flatten();
        let files = files.chain([&message["executable"], &message["out_dir"]]);
        paths.extend(files.filter_map(Value::as_str).map(PathBuf::from));
    }
    Ok(paths)
}

/// A shared library of all that is in an archive.
fn shared(archive: &Path, to: &Path) -> Result<PathBuf, String> {
    let mut linker = Command::new("c++");
    linker.args(["-shared", "-Wl,-z,now", "-Wl,--whole-archive"]).arg(archive);
    linker.args(["-Wl,--no-whole-archive", "-pthread", "-o"]).arg(to);
    finish(&mut linker).map(|_| to.to_owned())
}

fn knows_c23(compiler: &str) -> bool {
    let mut command = Command::new(compiler);
    command.args(["-std=c23", "-x", "c", "-c", "/dev/null", "-o", "/dev/null"]);
    command.stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

/// What the command prints; its last words where it fails.
fn finish(command: &mut Command) -> Result<String, String> {
    let name = command.get_program().to_string_lossy().into_owned();
    let output = command.stdin(Stdio::null()).output();
    let output = output.map_err(|error| format!("{name}: {error}"))?;
    if !output.status.success() {
        let stderr = String::from_utf8_lossy(&output.stderr);
        let line = stderr.lines().find(|line| line.contains("error")).unwrap_or("no message");
        return Err(format!("{name} failed: {line}"));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// The files that a path with `*` in its components stands for.
fn matching(pattern: &Path) -> Vec<PathBuf> {
    let mut found = vec![PathBuf::new()];
    for component in pattern.components() {
        let component = component.as_os_str().to_string_lossy();
        found = found
            .into_iter()
            .flat_map(|folder| match component.split_once('*') {
                None => vec![folder.join(&*component)],
                Some((start, end)) => {
                    let entries = fs::read_dir(&folder).into_iter().flatten().flatten();
                    let named = entries.filter(|entry| {
                        let name = entry.file_name();
                        let name = name.to_string_lossy();
                        name.starts_with(start) && name.ends_with(end)
                    });
                    named.map(|entry| entry.path()).collect()
                }
            })
            .collect();
    }
    found.retain(|path| path.is_file());
    found.sort();
    found.reverse();
    found
}
