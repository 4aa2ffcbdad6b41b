//! Hours of a server in a minute: phases with other sizes and other lifetimes, while some of what
//! each phase made stays for good. What counts is the memory that is left between the objects.

use std::hint::black_box;

use fastrand::Rng;

use crate::measure::Clock;
use crate::pareto;

const PHASES: usize = 24;
/// Bytes of objects at once.
const LIVE: usize = 48 << 20;

pub fn run(clock: &mut Clock) {
    let mut random = Rng::with_seed(9);
    let mut live: Vec<Box<[u8]>> = Vec::new();
    let mut bytes = 0;
    let churn = clock.share(250_000);
    for phase in 0..PHASES {
        // The phases differ in the smallest size: from 16 B to 1 KiB, not in order.
        let low = f64::from(16_u32 << (phase * 5 % 7));
        for _ in 0..churn {
            while bytes > LIVE {
                let object = live.swap_remove(random.usize(..live.len()));
                bytes -= object.len();
            }
            let object = pareto::object(pareto::size(&mut random, low, 32.0 * low));
            bytes += object.len();
            live.push(object);
        }
        // The load falls: all but a few go, in no order.
        random.shuffle(&mut live);
        live.truncate(live.len() / 10);
        bytes = live.iter().map(|object| object.len()).sum();
    }
    black_box(live);
}
