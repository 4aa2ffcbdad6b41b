//! Objects that another thread frees.

use std::hint::black_box;
use std::sync::Barrier;
use std::sync::mpsc::sync_channel;
use std::thread;

use fastrand::Rng;

use crate::measure::Clock;
use crate::pareto;

/// Sessions that a server thread of [`larson`] has open.
const SLOTS: usize = 4_000;

/// As in larson's server: each thread replaces objects in its array at random, then ends and
/// leaves the array, with objects of its own making, to a successor.
pub fn larson(clock: &mut Clock) {
    let successions = clock.share(200);
    thread::scope(|scope| {
        for lane in 0..2 {
            scope.spawn(move || {
                let mut random = Rng::with_seed(5 + lane);
                let size = |random: &mut Rng| random.usize(10..500);
                let mut sessions: Vec<_> =
                    (0..SLOTS).map(|_| pareto::object(size(&mut random))).collect();
                for _ in 0..successions {
                    let successor = thread::spawn(move || {
                        for _ in 0..3 * SLOTS {
                            let slot = random.usize(..SLOTS);
                            sessions[slot] = pareto::object(size(&mut random));
                        }
                        (random, sessions)
                    });
                    (random, sessions) = successor.join().expect("a server thread ends");
                }
                black_box(sessions);
            });
        }
    });
}

/// A producer and a consumer with 200,000 objects between them.
pub fn queue(clock: &mut Clock) {
    const IN_FLIGHT: usize = 200_000;
    let total = IN_FLIGHT + clock.share(2_000_000);
    let (sender, receiver) = sync_channel::<Box<[u8]>>(IN_FLIGHT);
    let full = Barrier::new(2);
    thread::scope(|scope| {
        let full = &full;
        scope.spawn(move || {
            let mut random = Rng::with_seed(6);
            for number in 0..total {
                if number == IN_FLIGHT {
                    full.wait();
                }
                if sender.send(pareto::object(random.usize(16..512))).is_err() {
                    break;
                }
            }
        });
        scope.spawn(move || {
            full.wait();
            for object in receiver {
                black_box(object.iter().step_by(64).fold(0_u8, |sum, byte| sum ^ byte));
            }
        });
    });
}
