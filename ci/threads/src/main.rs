//! For `ci/threads-checked`: threads that do to the heap and to secure memory all that they can do
//! to them at the same time, under a checker of races. One argument, the rounds; or the name of a
//! control, a race that the checker must find.

use casemate::secure;
use std::alloc::{GlobalAlloc, Layout};
use std::ptr::null_mut;
use std::sync::atomic::{AtomicPtr, AtomicU64, Ordering};
use std::thread;

#[global_allocator]
static HEAP: casemate::Casemate = casemate::Casemate::new();

const THREADS: u64 = 6;

/// The program's own objects: every byte the size's low byte, and the size at the start.
struct Object;

impl Object {
    fn layout(size: usize) -> Layout {
        Layout::from_size_align(size, 8).expect("a layout")
    }

    fn make(size: usize) -> *mut u8 {
        // SAFETY: no size here is below 16; the object is written within its size.
        unsafe {
            let at = HEAP.alloc(Self::layout(size));
            assert!(!at.is_null(), "memory");
            at.write_bytes(size as u8, size);
            at.cast::<usize>().write(size);
            at
        }
    }

    /// Checks it and frees it, or resizes it first.
    ///
    /// # Safety
    /// It is the caller's alone and was made by `make`.
    unsafe fn put_back(mut at: *mut u8, resize: bool) {
        // SAFETY: the caller's.
        unsafe {
            let mut size = at.cast::<usize>().read();
            let whole = (8..size).all(|i| at.add(i).read() == size as u8);
            assert!(whole, "contents");
            if resize {
                at = HEAP.realloc(at, Self::layout(size), size + size / 2);
                assert!(!at.is_null(), "memory");
                size += size / 2;
            }
            HEAP.dealloc(at, Self::layout(size));
        }
    }
}

struct Random(u64);

impl Random {
    fn next(&mut self, below: usize) -> usize {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % below
    }
}

/// Places that all threads put objects into, and take out of.
struct Shop {
    places: Vec<AtomicPtr<u8>>,
    /// How an object changes hands. `Relaxed` is the control: nothing orders its writes before its
    /// reads.
    by: Ordering,
}

impl Shop {
    fn new(places: usize, by: Ordering) -> Shop {
        Shop { places: (0..places).map(|_| AtomicPtr::new(null_mut())).collect(), by }
    }

    /// Objects of these sizes, freed by whoever finds them.
    fn work(&self, random: &mut Random, sizes: &[usize], turns: usize) {
        for turn in 0..turns {
            let size = sizes[random.next(sizes.len())] + random.next(9);
            let place = &self.places[random.next(self.places.len())];
            let found = place.swap(Object::make(size.max(16)), self.by);
            if !found.is_null() {
                // SAFETY: taken out of its place by one exchange, so nobody else has it.
                unsafe { Object::put_back(found, turn % 7 == 0) };
            }
        }
    }

    fn clear(&self) {
        for place in &self.places {
            let found = place.swap(null_mut(), self.by);
            if !found.is_null() {
                // SAFETY: as above.
                unsafe { Object::put_back(found, false) };
            }
        }
    }
}

/// Threads that exchange objects while others come and go, as guests and with heaps of their own.
fn heap(rounds: usize, by: Ordering) {
    let shop = Shop::new(300, by);
    let large = Shop::new(12, by);
    thread::scope(|scope| {
        for number in 0..THREADS {
            let (shop, large) = (&shop, &large);
            scope.spawn(move || {
                let mut random = Random(number + 1);
                for round in 0..rounds {
                    match number {
                        // Ends: heaps are left and adopted, some after a few allocations as a
                        // guest.
                        0 | 1 => {
                            let turns = if round % 2 == 0 { 20 } else { 400 };
                            let seed = random.next(1 << 30) as u64;
                            let work = move || shop.work(&mut Random(seed), &[16, 100, 700], turns);
                            thread::scope(|inner| inner.spawn(work).join().expect("no panic"));
                        }
                        2 => large.work(&mut random, &[1_200_000, 40_000, 9000], 20),
                        3 => {
                            // Slabs that become empty and are given back.
                            let mine = Shop::new(800, Ordering::AcqRel);
                            mine.work(&mut random, &[16, 250, 4000], 1500);
                            mine.clear();
                            large.work(&mut random, &[1_200_000, 33_000], 4);
                        }
                        _ => shop.work(&mut random, &[16, 24, 60, 500, 1000, 3000], 500),
                    }
                }
            });
        }
    });
    shop.clear();
    large.clear();
    casemate::verify().expect("every invariant");
    let stats = casemate::stats();
    println!("heap: {} objects freed by others than made them", stats.small.remote);
}

/// Secrets that are made, opened and freed by different threads.
fn secrets(rounds: usize) {
    let kept: Vec<std::sync::Mutex<Option<secure::SecretVec<u8>>>> =
        (0..20).map(|_| std::sync::Mutex::new(None)).collect();
    let made = AtomicU64::new(0);
    thread::scope(|scope| {
        for number in 0..3 {
            let (kept, made) = (&kept, &made);
            scope.spawn(move || {
                let mut random = Random(number + 77);
                for _ in 0..rounds * 40 {
                    let bytes = vec![7u8; 1 + random.next(9000)];
                    let secret = secure::SecretVec::from(bytes);
                    let place = &kept[random.next(kept.len())];
                    let before = place.lock().expect("no panic").replace(secret);
                    if let Some(before) = before {
                        assert!(before.expose_secret().iter().all(|&byte| byte == 7), "contents");
                        made.fetch_add(1, Ordering::Relaxed);
                    }
                }
            });
        }
    });
    println!("secure memory: {} secrets", made.into_inner());
}

fn main() {
    let argument = std::env::args().nth(1).unwrap_or_else(|| "20".into());
    match argument.as_str() {
        "control" => heap(4, Ordering::Relaxed),
        rounds => {
            let rounds = rounds.parse().expect("a number of rounds, or \"control\"");
            heap(rounds, Ordering::AcqRel);
            secrets(rounds);
        }
    }
    println!("all right");
}
