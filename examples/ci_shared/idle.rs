//! A thousand idle threads that each allocated a little, on whatever heap the program has. Prints
//! `idle <threads> <KiB before> <KiB with them>`.

#[path = "memory.rs"]
mod memory;

use std::sync::Barrier;

pub fn run() {
    let threads = std::env::args().nth(1).map_or(1000, |n| n.parse().expect("a number"));
    let gate = Barrier::new(threads + 1);
    let before = memory::resident();
    std::thread::scope(|scope| {
        for i in 0..threads {
            let gate = &gate;
            let body = move || {
                // A name, a buffer, a few records: about 4 KiB in 20 objects.
                let name = format!("worker {i}");
                let buffer = vec![i as u8; 2048];
                let records: Vec<Box<[usize; 12]>> = (0..18).map(|k| Box::new([k; 12])).collect();
                gate.wait();
                gate.wait();
                assert!(name.len() + buffer.len() + records.len() > 2048);
            };
            std::thread::Builder::new().stack_size(64 << 10).spawn_scoped(scope, body).unwrap();
        }
        gate.wait();
        println!("idle {threads} {before} {}", memory::resident());
        gate.wait();
    });
}
