//! Where the shared object is: beside the launcher, where it is installed, or yet to be built.

use super::program::{self, Object};
use crate::Failure;
use crate::options::{Heap, Policy};
use std::env;
use std::fs::{self, File};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// A shared object that gives programs Casemate's heap.
pub struct Library {
    /// Absolute.
    pub path: PathBuf,
    /// What it is.
    pub object: Object,
}

impl Library {
    /// Whether it belongs to musl; otherwise to glibc.
    pub fn is_musl(&self) -> bool {
        !self.object.needed.iter().any(|name| name == b"libc.so.6")
            && self.object.needed.iter().any(|name| name.starts_with(b"libc."))
    }

    fn open(path: &Path) -> Result<Library, Failure> {
        let failed = |why: &str| Failure::new(format!("{}: {why}", path.display()));
        let absolute = path.canonicalize().map_err(|error| failed(&error.to_string()))?;
        let file = File::open(&absolute).map_err(|error| failed(&error.to_string()))?;
        let about = file.metadata().map_err(|error| failed(&error.to_string()))?;
        if about.mode() & 0o002 != 0 {
            return Err(failed("everybody may write to it, so it is not loaded"));
        }
        let object = program::read(&file).ok_or_else(|| failed("is no shared object"))?;
        if !object.own_malloc {
            return Err(failed("is a shared object without malloc"));
        }
        Ok(Library { path: absolute, object })
    }
}

/// Finds the one asked for; builds it where the launcher stands in a checkout and has none.
pub fn find(heap: &Heap) -> Result<Library, Failure> {
    if let Some(path) = &heap.lib {
        return Library::open(path);
    }
    let launcher = env::current_exe()
        .map_err(|error| Failure::new(format!("where the launcher is cannot be told: {error}")))?;
    let name = heap.policy.library();
    let beside = launcher.parent().unwrap_or(Path::new("/"));
    if let Some(path) = places(beside).map(|place| place.join(name)).find(|path| path.is_file()) {
        return Library::open(&path);
    }
    if let Some((target, checkout)) = checkout(beside) {
        return Library::open(&build(heap.policy, &target, &checkout)?);
    }
    Err(Failure::new(format!(
        "{name} is neither beside the launcher nor in ../lib/casemate; say where it is with --lib"
    )))
}

/// Where it may be, the likeliest first.
fn places(beside: &Path) -> impl Iterator<Item = PathBuf> {
    [".", "../lib/casemate", "../lib64/casemate", "../lib"]
        .map(|place| beside.join(place))
        .into_iter()
        .chain(
            // Cargo's folders: the library is always built optimised, the launcher perhaps not.
            target_of(beside).map(|target| target.join("release")),
        )
}

/// Cargo's target directory, if this directory is one of its profiles'.
fn target_of(beside: &Path) -> Option<PathBuf> {
    let profile = if beside.ends_with("deps") { beside.parent()? } else { beside };
    let target = profile.parent()?;
    let is_target = target.join("CACHEDIR.TAG").is_file() && profile.join(".fingerprint").is_dir();
    is_target.then(|| target.to_owned())
}

/// The target directory and the sources, if the launcher was built here from a checkout.
fn checkout(beside: &Path) -> Option<(PathBuf, PathBuf)> {
    let target = target_of(beside)?;
    let has_sources = |place: &Path| place.join("preload/Cargo.toml").is_file();
    let above = target.ancestors().find(|place| has_sources(place)).map(Path::to_owned);
    // With a target directory elsewhere: where this launcher was compiled. Only if the sources
    // belong to whoever owns the launcher, or anybody could put some there once they have gone.
    let compiled = || {
        let place = Path::new(env!("CARGO_MANIFEST_DIR")).parent()?;
        let owner = |path: &Path| fs::metadata(path).ok().map(|about| about.uid());
        (has_sources(place) && owner(&place.join("preload")) == owner(beside))
            .then(|| place.to_owned())
    };
    Some((target, above.or_else(compiled)?))
}

fn build(policy: Policy, target: &Path, checkout: &Path) -> Result<PathBuf, Failure> {
    let package = policy.package();
    eprintln!("casemate: building {} (once)", policy.library());
    let status = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
        .args(["build", "--release", "--quiet", "--package", package, "--manifest-path"])
        .arg(checkout.join("Cargo.toml"))
        .arg("--target-dir")
        .arg(target)
        .stdin(Stdio::null())
        .stdout(std::io::stderr())
        .status()
        .map_err(|error| Failure::new(format!("cargo: {error}")))?;
    if !status.success() {
        return Err(Failure::new(format!("building {package} failed")));
    }
    Ok(target.join("release").join(policy.library()))
}
