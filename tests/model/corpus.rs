//! The stored inputs of the fuzz target, through the body that the target has.

use crate::harness::pool::Pool;
use crate::harness::run::{Summary, run};
use crate::harness::sequence::{THREADS, largest};
use crate::limits::alone;
use std::path::Path;

#[test]
fn the_stored_corpus_holds() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus/sequences");
    alone(move |heap| {
        let mut summary = Summary::default();
        let mut pool = Pool::new(heap.clone(), THREADS);
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let bytes = std::fs::read(&path).unwrap();
            if let Err(what) = run(&mut pool, &bytes, largest(&bytes), &mut summary) {
                panic!("{}: {what}", path.display());
            }
        }
        assert!(summary.sequences > 0 && summary.actions > 0);
    });
}
