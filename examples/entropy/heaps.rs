//! The heaps that the subject can run under.

use crate::options::Options;
use std::path::{Path, PathBuf};

/// A heap and the library that brings it.
pub struct Heap {
    pub name: String,
    /// None for the C library's own.
    pub library: Option<PathBuf>,
}

const CASEMATE: [(&str, &str); 3] = [
    ("Casemate", "libcasemate.so"),
    ("Casemate light", "libcasemate_light.so"),
    ("Casemate strict", "libcasemate_strict.so"),
];

/// What Debian ships: name, file, package.
const PEERS: [(&str, &str, &str); 5] = [
    ("scudo", "libclang_rt.scudo_standalone-x86_64.so", "libclang-rt-19-dev"),
    ("mimalloc", "libmimalloc.so.2", "libmimalloc2.0"),
    ("jemalloc", "libjemalloc.so.2", "libjemalloc2"),
    ("tcmalloc", "libtcmalloc_minimal.so.4", "libtcmalloc-minimal4"),
    ("hardened_malloc", "libhardened_malloc.so", "in no release yet"),
];

/// The heaps to measure, and the names of those that are not installed.
pub fn choose(options: &Options) -> Result<(Vec<Heap>, Vec<&'static str>), String> {
    let built = built()?;
    let mut heaps = Vec::new();
    let mut absent = Vec::new();
    for (name, file) in CASEMATE {
        let library = built.join(file);
        if !library.exists() {
            let package = file.trim_start_matches("lib").trim_end_matches(".so");
            let package = package.replace("casemate", "casemate-preload").replace('_', "-");
            return Err(format!(
                "{} is not there: cargo build --release -p {package}",
                library.display()
            ));
        }
        heaps.push(Heap { name: name.into(), library: Some(library) });
    }
    heaps.push(Heap { name: "glibc".into(), library: None });
    for (name, file, package) in PEERS {
        match find(file) {
            Some(library) => heaps.push(Heap { name: name.into(), library: Some(library) }),
            None => {
                eprintln!("skipped: {name}: {file} is not installed (Debian: {package})");
                absent.push(name);
            }
        }
    }
    for (name, library) in &options.heaps {
        heaps.push(Heap { name: name.clone(), library: Some(library.into()) });
    }
    if let Some(only) = &options.only {
        heaps.retain(|heap| heap.name == *only);
    }
    if heaps.is_empty() { Err("no heap of that name".into()) } else { Ok((heaps, absent)) }
}

/// Where the libraries are built: this program is in `examples/` below it.
fn built() -> Result<PathBuf, String> {
    let own = std::env::current_exe().map_err(|error| error.to_string())?;
    let directory = own.parent().and_then(Path::parent).ok_or("this program has no directory")?;
    Ok(directory.to_owned())
}

fn find(file: &str) -> Option<PathBuf> {
    let arch = std::env::consts::ARCH;
    let mut places =
        vec![PathBuf::from(format!("/usr/lib/{arch}-linux-gnu")), "/usr/local/lib".into()];
    for version in (11..30).rev() {
        let of = |version: &str| format!("/usr/lib/llvm-{version}/lib/clang/{version}/lib/linux");
        places.push(of(&version.to_string()).into());
    }
    places.into_iter().map(|place| place.join(file)).find(|path| path.exists())
}
