//! Threads that live for a moment and allocate a little.

use std::hint::black_box;
use std::thread;

use fastrand::Rng;

use crate::measure::Clock;
use crate::pareto;

pub fn run(clock: &mut Clock) {
    for number in 0..clock.share(6_000) as u64 {
        let work = move |seed| {
            let mut random = Rng::with_seed(seed);
            let objects: Vec<_> =
                (0..200).map(|_| pareto::object(random.usize(16..1024))).collect();
            // Half of them are freed by whoever takes up the result.
            objects.into_iter().step_by(2).collect::<Vec<_>>()
        };
        let pair = [2 * number, 2 * number + 1].map(|seed| thread::spawn(move || work(seed)));
        for one in pair {
            black_box(one.join().expect("the thread ends"));
        }
    }
}
