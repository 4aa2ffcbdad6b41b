//! A document of nested objects is parsed and printed again.

use std::hint::black_box;

use fastrand::Rng;
use serde_json::{Value, json};

use crate::measure::Clock;

/// About 500 KB.
fn document() -> String {
    let mut random = Rng::with_seed(1);
    let word = |random: &mut Rng| -> String {
        (0..random.usize(2..24)).map(|_| random.alphanumeric()).collect()
    };
    let people: Vec<Value> = (0..1_500)
        .map(|id| {
            let tags: Vec<_> = (0..random.usize(0..8)).map(|_| word(&mut random)).collect();
            json!({
                "id": id,
                "name": word(&mut random),
                "address": { "street": word(&mut random), "number": random.u16(..) },
                "balance": random.f64(),
                "tags": tags,
                "active": random.bool(),
                "note": format!("{}\n\"{}\"", word(&mut random), word(&mut random)),
            })
        })
        .collect();
    json!({ "people": people }).to_string()
}

pub fn run(clock: &mut Clock) {
    let text = document();
    clock.start();
    for _ in 0..clock.share(300) {
        match serde_json::from_str::<Value>(&text) {
            Ok(value) => black_box(value.to_string()),
            Err(error) => panic!("{error}"),
        };
    }
}
