//! The repository's files.

use std::fs;
use std::path::{Path, PathBuf};

/// The path of a file or directory of the repository.
pub fn path(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

/// A file's text.
pub fn text(name: &str) -> Option<String> {
    fs::read_to_string(path(name)).ok()
}

/// Whether it is there.
pub fn exists(name: &str) -> bool {
    path(name).exists()
}

/// The text of all Rust files of a directory and those below, or of this file.
pub fn sources(name: &str) -> String {
    let mut all = String::new();
    let mut left = vec![path(name)];
    while let Some(next) = left.pop() {
        if next.is_dir() {
            let entries = fs::read_dir(&next).expect("a directory");
            left.extend(entries.map(|entry| entry.expect("an entry").path()));
        } else if next.extension().is_some_and(|end| end == "rs") {
            all += &fs::read_to_string(&next).expect("a source file");
        }
    }
    all
}

/// Names of directories in this one.
pub fn directories(name: &str) -> Vec<String> {
    let Ok(entries) = fs::read_dir(path(name)) else { return Vec::new() };
    entries
        .filter_map(Result::ok)
        .filter(|entry| entry.path().is_dir())
        .filter_map(|entry| entry.file_name().into_string().ok())
        .collect()
}
