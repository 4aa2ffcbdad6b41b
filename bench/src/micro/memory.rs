//! Model workloads whose peak of memory counts.

use std::alloc::GlobalAlloc;

use crate::allocators::{Heap, Object};
use crate::single::Random;

/// A model workload.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Model {
    /// 100 MB of objects of 16 B to 64 KiB, small ones by far the most (Pareto), each replaced
    /// three times by one of another size.
    Mixed,
    /// A million objects of 1 to 128 B; 90 % freed at random; as many again, in the size classes
    /// of 16 B steps that the first did not use.
    Rebuild,
    /// 4,000 vectors that double from 64 B to between 4 and 512 KiB and start again, in random
    /// order.
    Vectors,
    /// 64 hash tables that double from 64 KiB to 4 MiB and start again: the new table is filled
    /// while the old one is still there.
    Tables,
}

/// Objects of the largest list, [`Model::Rebuild`]'s.
const MILLION: usize = 1_000_000;
const MIXED_BYTES: usize = 100_000_000;
const VECTORS: usize = 4_000;
const TABLES: usize = 64;

impl Model {
    /// In the table's order.
    pub const ALL: &[Model] = &[Model::Mixed, Model::Rebuild, Model::Vectors, Model::Tables];

    /// The row's name.
    pub fn name(self) -> &'static str {
        match self {
            Model::Mixed => "mixed",
            Model::Rebuild => "rebuild",
            Model::Vectors => "vectors",
            Model::Tables => "tables",
        }
    }

    /// The most objects the model's list holds.
    fn slots(self) -> usize {
        match self {
            Model::Mixed | Model::Rebuild => MILLION,
            Model::Vectors => VECTORS,
            Model::Tables => TABLES,
        }
    }
}

/// The model's list, its pages all touched: that much is not the allocator's.
fn slots<A>(model: Model) -> Vec<Option<Object<A>>> {
    let mut slots: Vec<_> = (0..model.slots()).map(|_| None).collect();
    std::hint::black_box(&mut slots);
    slots
}

/// The peak in KiB of the process with `model` run.
pub fn run<A: GlobalAlloc>(heap: Heap<A>, model: Model) -> f64 {
    let mut slots = slots(model);
    let mut peak = Peak::default();
    match model {
        Model::Mixed => mixed(heap, &mut slots, &mut peak),
        Model::Rebuild => rebuild(heap, &mut slots, &mut peak),
        Model::Vectors => vectors(heap, &mut slots, &mut peak),
        Model::Tables => tables(heap, &mut slots, &mut peak),
    }
    peak.total()
}

/// The peak in KiB of the process with only the model's list.
pub fn run_without_allocator(model: Model) -> f64 {
    let slots = slots::<()>(model);
    let total = Peak::default().total();
    drop(slots);
    total
}

/// The largest page tables seen; the kernel itself keeps the peak of the resident set.
#[derive(Default)]
struct Peak {
    page_tables: u64,
}

impl Peak {
    fn sample(&mut self) {
        self.page_tables = self.page_tables.max(status_kib("VmPTE:"));
    }

    fn total(&mut self) -> f64 {
        self.sample();
        (self.page_tables + status_kib("VmHWM:")) as f64
    }
}

/// A field of /proc/self/status, in KiB.
fn status_kib(key: &str) -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("needs Linux's /proc");
    let line = status.lines().find_map(|line| line.strip_prefix(key));
    let number = line.and_then(|rest| rest.split_whitespace().next());
    number.and_then(|number| number.parse().ok()).expect("a number of kB")
}

/// Bounded Pareto with exponent 1 from 16 B to 64 KiB, 133 B on average.
fn pareto(random: &mut Random) -> usize {
    let uniform = random.bits() as f64 / u64::MAX as f64;
    (16.0 / (1.0 - uniform * (1.0 - 16.0 / 65_536.0))) as usize
}

type Slots<A> = [Option<Object<A>>];

/// Frees what is in the slot, if anything.
fn free<A: GlobalAlloc>(heap: Heap<A>, slot: &mut Option<Object<A>>) {
    if let Some(object) = slot.take() {
        heap.free(object);
    }
}

fn mixed<A: GlobalAlloc>(heap: Heap<A>, slots: &mut Slots<A>, peak: &mut Peak) {
    let mut random = Random::new(7);
    let (mut bytes, mut count) = (0, 0);
    let fill = |slots: &mut Slots<A>, random: &mut Random, bytes: &mut usize, count: &mut usize| {
        while *bytes < MIXED_BYTES && *count < slots.len() {
            let size = pareto(random);
            slots[*count] = Some(heap.allocate(size));
            *bytes += size;
            *count += 1;
        }
    };
    fill(slots, &mut random, &mut bytes, &mut count);
    for step in 0..3 * count {
        let victim = random.below(count);
        count -= 1;
        slots.swap(victim, count);
        bytes -= slots[count].as_ref().map_or(0, Object::size);
        free(heap, &mut slots[count]);
        fill(slots, &mut random, &mut bytes, &mut count);
        if step % 100_000 == 0 {
            peak.sample();
        }
    }
}

fn rebuild<A: GlobalAlloc>(heap: Heap<A>, slots: &mut Slots<A>, peak: &mut Peak) {
    let mut random = Random::new(8);
    // In steps of 16 B: 1, 3, 5, 7 of them, less up to 15 bytes.
    let size =
        |random: &mut Random, even: usize| 16 * (2 * random.below(4) + 1 + even) - random.below(16);
    for slot in slots.iter_mut() {
        *slot = Some(heap.allocate(size(&mut random, 0)));
    }
    peak.sample();
    for slot in slots.iter_mut() {
        if random.below(10) != 0 {
            free(heap, slot);
        }
    }
    peak.sample();
    for slot in slots.iter_mut().filter(|slot| slot.is_none()) {
        *slot = Some(heap.allocate(size(&mut random, 1)));
    }
}

fn vectors<A: GlobalAlloc>(heap: Heap<A>, slots: &mut Slots<A>, peak: &mut Peak) {
    let mut random = Random::new(9);
    // As if by push: doubling, and at the end the vector's own limit.
    let mut limits = [0_usize; VECTORS];
    for step in 0..100_000 {
        let index = random.below(VECTORS);
        let (slot, limit) = (&mut slots[index], &mut limits[index]);
        *slot = match slot.take() {
            Some(object) if object.size() < *limit => {
                let size = (2 * object.size()).min(*limit);
                Some(heap.grow(object, size))
            }
            Some(object) => {
                heap.free(object);
                None
            }
            None => {
                // Uniform in the exponent and within its octave.
                let octave = 4096 << random.below(7);
                *limit = octave + random.below(octave);
                Some(heap.allocate(64))
            }
        };
        if step % 5_000 == 0 {
            peak.sample();
        }
    }
}

fn tables<A: GlobalAlloc>(heap: Heap<A>, slots: &mut Slots<A>, peak: &mut Peak) {
    let mut random = Random::new(10);
    for step in 0..3_000 {
        let slot = &mut slots[random.below(TABLES)];
        let size = match slot {
            Some(table) if table.size() < 4 << 20 => 2 * table.size(),
            Some(_) => {
                free(heap, slot);
                continue;
            }
            None => 64 << 10,
        };
        let larger = heap.allocate(size);
        if let Some(table) = slot.replace(larger) {
            table.read();
            heap.free(table);
        }
        if step % 100 == 0 {
            peak.sample();
        }
    }
}
