//! Sequences of operations against a model. The body in `run` takes any bytes, so that a fuzz
//! target can include this folder; the tests below feed it random ones and the stored ones.

//!
//! In processes of their own: the sequences free what is not theirs to free any more, which in a
//! process with other tests might be another's.

mod run;

use crate::child;
use proptest::prelude::*;
use proptest::test_runner::TestRunner;
use run::run;
use std::path::Path;

#[test]
fn sequences() {
    child::run("model::sequences", || {
        let config =
            ProptestConfig { cases: 120, failure_persistence: None, ..ProptestConfig::default() };
        let bytes = prop::collection::vec(any::<u8>(), 0..6 * 400);
        TestRunner::new(config)
            .run(&bytes, |bytes| run(&bytes).map_err(TestCaseError::fail))
            .unwrap();
    });
}

/// The same in one long history, so that the pool has been through everything.
#[test]
fn a_long_history() {
    child::run("model::a_long_history", || {
        let mut state = 0x2545_f491_4f6c_dd1du64;
        for _ in 0..30 {
            let bytes: Vec<u8> = (0..6 * 1500)
                .map(|_| {
                    state ^= state << 13;
                    state ^= state >> 7;
                    state ^= state << 17;
                    (state >> 32) as u8
                })
                .collect();
            run(&bytes).unwrap();
        }
    });
}

/// The stored inputs of the fuzz target.
#[test]
fn the_stored_corpus_holds() {
    child::run("model::the_stored_corpus_holds", || {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus/secure");
        let mut paths: Vec<_> =
            std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
        paths.sort();
        assert!(paths.len() >= 5);
        for path in paths {
            if let Err(what) = run(&std::fs::read(&path).unwrap()) {
                panic!("{}: {what}", path.display());
            }
        }
    });
}
