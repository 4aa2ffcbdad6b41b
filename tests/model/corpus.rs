//! The stored inputs of the fuzz target, through the body that the target has.

use crate::harness::pool::Pool;
use crate::harness::run::{Summary, run};
use crate::harness::sequence::{THREADS, largest};
use crate::harness::subject::Own;
use casemate::Full;
use std::path::Path;

#[test]
fn the_stored_corpus_holds() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus/sequences");
    let mut pool = Pool::new(Own::<Full>::new(), THREADS);
    let mut summary = Summary::default();
    let mut files = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let bytes = std::fs::read(&path).unwrap();
        if let Err(what) = run(&mut pool, &bytes, largest(&bytes), &mut summary) {
            panic!("{}: {what}", path.display());
        }
        files += 1;
    }
    assert!(files > 0 && summary.actions > 0);
}
