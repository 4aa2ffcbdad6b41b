//! For `ci/thread-churn`: threads one after the other; does memory grow? Prints
//! `churn <threads> <KiB early> <KiB at the end> <heaps>`.

#[path = "ci_shared/memory.rs"]
mod memory;

#[global_allocator]
static HEAP: casemate::Casemate = casemate::Casemate::new();

fn one(i: usize) {
    let life = move || {
        // Past the guests' share, so that each takes a heap, and some memory of every kind.
        let small: Vec<Vec<u8>> = (0..300).map(|k| vec![1; 16 + (i + k * 37) % 2000]).collect();
        let large = vec![1u8; 300_000];
        assert_eq!(small.len() + large.len(), 300_300);
    };
    std::thread::spawn(life).join().expect("no panic");
}

fn main() {
    let threads = std::env::args().nth(1).map_or(10_000, |n| n.parse().expect("a number"));
    (0..threads / 10).for_each(one);
    let early = memory::resident();
    (0..threads).for_each(one);
    let heaps = casemate::stats().heaps;
    println!("churn {threads} {early} {} {heaps}", memory::resident());
    casemate::verify().expect("every invariant");
}
