//! Sequences of operations against a model. The body in `run` takes any bytes, so that a fuzz
//! target can include this folder; the test below feeds it random ones.

mod run;

use proptest::prelude::*;
use run::run;

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, ..ProptestConfig::default() })]

    #[test]
    fn sequences(bytes in prop::collection::vec(any::<u8>(), 0..6 * 400)) {
        run(&bytes).map_err(TestCaseError::fail)?;
    }
}

/// The same in one long history, so that the pool has been through everything.
#[test]
fn a_long_history() {
    let mut state = 0x2545_f491_4f6c_dd1du64;
    for _ in 0..40 {
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
}
