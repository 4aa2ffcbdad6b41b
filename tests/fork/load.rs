//! What parent and child do with the heap.

use crate::bare_thread::BareThread;
use crate::raw::Raw;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

/// Sizes through all parts of the heap, rarely the large ones.
fn size(i: usize) -> usize {
    const SMALL: [usize; 5] = [16, 90, 400, 1500, 6000];
    match i % 40 {
        13 => 40_000,
        26 => 180_000,
        _ => SMALL[i % 5],
    }
}

/// Threads that keep the heap busy while it is forked.
pub struct Busy {
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

impl Busy {
    /// Makers, freers of others' objects, and threads that come and go.
    pub fn start() -> Busy {
        let stop = Arc::new(AtomicBool::new(false));
        let (send, receive) = std::sync::mpsc::sync_channel::<Raw>(500);
        let running = |stop: &Arc<AtomicBool>| {
            let stop = Arc::clone(stop);
            move || !stop.load(Ordering::Relaxed)
        };
        let mut threads = Vec::new();
        for t in 0..2 {
            let (send, on) = (send.clone(), running(&stop));
            threads.push(std::thread::spawn(move || {
                let mut i = t;
                while on() {
                    let object = Raw::new(size(i) + i % 50).expect("memory");
                    if let Err(refused) = send.try_send(object) {
                        use std::sync::mpsc::TrySendError::{Disconnected, Full};
                        let (Full(object) | Disconnected(object)) = refused;
                        object.free();
                    }
                    i += 1;
                }
            }));
        }
        drop(send);
        threads.push(std::thread::spawn(move || receive.iter().for_each(Raw::free)));
        let on = running(&stop);
        threads.push(std::thread::spawn(move || {
            while on() {
                std::thread::spawn(|| use_heap(1)).join().expect("no panic");
            }
        }));
        Busy { stop, threads }
    }

    /// Ends them.
    pub fn stop(self) {
        self.stop.store(true, Ordering::SeqCst);
        self.threads.into_iter().for_each(|thread| thread.join().expect("no panic"));
    }
}

/// Allocates, resizes and frees through all sizes.
pub fn use_heap(rounds: usize) {
    for round in 0..rounds {
        let mut held: Vec<Raw> =
            (0..100).map(|i| Raw::new(size(i) + round).expect("memory")).collect();
        for object in held.iter_mut().step_by(3) {
            object.resize(object.size() * 5 / 4).expect("memory");
        }
        held.into_iter().for_each(Raw::free);
    }
}

/// Objects of this thread, to be freed on the other side of a fork.
pub fn some() -> Vec<Raw> {
    (0..140).map(|i| Raw::new(size(i) + i).expect("memory")).collect()
}

/// What every child does: frees and resizes what the parent made, allocates, starts threads, and
/// looks at every invariant. Returns a fingerprint of where its next objects lie.
pub fn be_a_child(inherited: &[Raw]) -> u64 {
    let mark = fingerprint();
    for (i, &object) in inherited.iter().enumerate() {
        let mut object = object;
        if i % 4 == 0 {
            object.resize(object.size() + 100).expect("memory");
        }
        object.free();
    }
    use_heap(2);
    let kept = some();
    let threads: Vec<_> = (0..2).map(|_| BareThread::start(|| use_heap(2))).collect();
    threads.into_iter().for_each(BareThread::join);
    kept.into_iter().for_each(Raw::free);
    casemate::verify().expect("every invariant");
    mark
}

/// Where the next objects lie: parent and child would agree if they drew the same numbers.
pub fn fingerprint() -> u64 {
    let objects: Vec<Raw> =
        (0..64).map(|i| Raw::new([24, 300, 100_000][i % 3]).expect("memory")).collect();
    let mark = objects
        .iter()
        .fold(0u64, |mark, object| (mark ^ object.address() as u64).wrapping_mul(0x100_0000_01b3));
    objects.into_iter().for_each(Raw::free);
    mark
}
