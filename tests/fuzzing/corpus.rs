//! The stored inputs, through the bodies that the targets have. Those of `c_abi` go through the
//! loaded libraries in `preload/tests/sequences.rs`, those of `secure` through its model test.

use crate::bodies::fault::Fault;
use crate::bodies::harness::subject::Own;
use crate::bodies::{misuse, pointers, realloc, sequences};
use casemate::{Full, Strict};
use std::path::Path;

/// Runs a body on every stored input of a target, in an order that is always the same.
fn each(target: &str, mut body: impl FnMut(&[u8]) -> Result<(), String>) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(target);
    let mut paths: Vec<_> =
        std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    assert!(paths.len() >= 5, "{target}: {} inputs", paths.len());
    for path in paths {
        if let Err(what) = body(&std::fs::read(&path).unwrap()) {
            panic!("{}: {what}", path.display());
        }
    }
}

#[test]
fn sequences() {
    let mut state = sequences::State::default();
    each("sequences", |bytes| state.run(bytes, Own::<Full>::new));
    state.end();
    assert!(state.summary.actions > 1000);
}

#[test]
fn pointers() {
    let mut seen = pointers::Summary::default();
    each("pointers", |bytes| pointers::run::<Full>(bytes, Fault::None, &mut seen));
    assert!(seen.hits > 50 && seen.misses > 50, "{seen:?}");
}

#[test]
fn realloc() {
    let mut seen = realloc::Summary::default();
    each("realloc", |bytes| realloc::run::<Full>(bytes, Fault::None, &mut seen));
    assert!(seen.resized > 100, "{seen:?}");
}

#[test]
fn misuse() {
    let mut seen = misuse::Summary::default();
    each("misuse", |bytes| misuse::run::<Full>(bytes, Fault::None, &mut seen));
    each("misuse", |bytes| misuse::run::<Strict>(bytes, Fault::None, &mut seen));
    assert!(seen.bugs > 20, "{seen:?}");
}
