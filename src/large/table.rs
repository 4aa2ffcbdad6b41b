//! Layer: mechanisms. The table of large objects: dense entries and an index by address, both
//! out of line; used under the table's lock.

#![expect(unsafe_code, reason = "makes references into the metadata mapping")]

use crate::os::{Os, pointer};
use crate::rng::Stream;
use crate::slab::lock::{Held, Lock, Rank};
use crate::units::round_up;
use core::cell::UnsafeCell;
use core::mem::MaybeUninit;
use core::sync::atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering::Relaxed};

/// What an entry describes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum EntryState {
    /// Nothing.
    Empty = 0,
    /// An object.
    Live = 1,
    /// A freed range that is inaccessible and not used again yet.
    Freed = 2,
}

/// One large object, or the range it had.
#[repr(C, align(64))]
pub struct LargeEntry {
    /// The object's address.
    pub start: AtomicUsize,
    /// Bytes asked for; of a freed range, the mappings that it is.
    pub size: AtomicUsize,
    /// Address of the first accessible page.
    pub data: AtomicUsize,
    /// Bytes of accessible pages; of a freed range, 0 once nothing is mapped there.
    pub data_len: AtomicUsize,
    /// Address of the whole mapping, guards included.
    pub map: AtomicUsize,
    /// Bytes of the whole mapping.
    pub map_len: AtomicUsize,
    /// [`EntryState`] in the low byte, log2 of the alignment and the origin above it.
    pub word: AtomicU32,
    /// Next in the queue of freed ranges, or of empty entries: number plus one.
    pub next: AtomicU32,
    /// Large frees when this was freed, modulo 2^32; of an object, the mappings that it is known
    /// to be.
    pub freed_at: AtomicU32,
    /// MiB freed when this was freed, modulo 2^32; of an object, 1 if its guards are markers.
    pub freed_mib: AtomicU32,
}

/// The changing state of large objects. Starts as zeros.
#[repr(C, align(128))]
pub struct LargeState {
    /// Serialises everything here.
    pub lock: Lock,
    /// 1 once the table is mapped and the random stream is seeded.
    pub ready: AtomicU32,
    /// Entries ever used: those from here on are empty.
    pub used: AtomicU32,
    /// First of the emptied entries.
    pub emptied: AtomicU32,
    /// Oldest freed range.
    pub oldest: AtomicU32,
    /// Youngest freed range.
    pub youngest: AtomicU32,
    /// Nonzero once objects of several mappings were not moved, or not whole.
    pub moves_one: AtomicU32,
    /// Objects alive.
    pub live: AtomicU64,
    /// Accessible bytes of objects alive.
    pub live_bytes: AtomicU64,
    /// Allocations ever.
    pub allocated: AtomicU64,
    /// Frees ever.
    pub freed: AtomicU64,
    /// Address space freed ever.
    pub freed_bytes: AtomicU64,
    /// Address space of freed ranges not used again yet.
    pub waiting: AtomicU64,
    /// Guard bytes around objects alive.
    pub guard_bytes: AtomicU64,
    /// Objects freed by another interface than they were allocated with.
    pub mismatches: AtomicU64,
    /// Objects alive that have no guard.
    pub bare: AtomicU64,
    /// 1 in a forked child while the random stream is its parent's.
    pub stale: AtomicU32,
    random: UnsafeCell<MaybeUninit<Stream>>,
}

// SAFETY: all fields are atomics but `random`, which is used through a `Table` only, and there is
// one at a time, by the lock.
unsafe impl Sync for LargeState {}

/// The table, locked.
pub struct Table<'t, O: Os> {
    /// The state behind it.
    pub state: &'t LargeState,
    at: usize,
    entries: usize,
    _held: Held<'t, O>,
}

/// Bytes of metadata for a table of this many entries, a power of two.
pub const fn table_bytes(entries: usize) -> usize {
    entries * size_of::<LargeEntry>() + 2 * entries * size_of::<u32>()
}

impl LargeState {
    /// Locks the table at `at`, which holds `entries`; maps and seeds it at the first use, by
    /// `map`. `None`: this thread holds it already (a signal handler), or it cannot be mapped.
    pub fn lock<O: Os>(
        &self,
        at: usize,
        entries: usize,
        map: impl FnOnce(usize, usize) -> bool,
    ) -> Option<Table<'_, O>> {
        let held = self.lock.acquire::<O>(Rank::Large)?;
        if self.ready.load(Relaxed) == 0 {
            let len = round_up(table_bytes(entries), O::page_size());
            let stream = Stream::from_kernel::<O>()?;
            if !map(at, len) {
                return None;
            }
            // SAFETY: the lock is held, so nobody else uses the stream.
            unsafe { (*self.random.get()).write(stream) };
            self.ready.store(1, Relaxed);
        }
        // Should the kernel refuse, the old stream goes on.
        if self.stale.swap(0, Relaxed) != 0
            && let Some(stream) = Stream::from_kernel::<O>()
        {
            // SAFETY: as above.
            unsafe { (*self.random.get()).write(stream) };
        }
        Some(Table { state: self, at, entries, _held: held })
    }
}

impl<'t, O: Os> Table<'t, O> {
    /// The random numbers for placement.
    pub fn random(&mut self) -> &mut Stream {
        // SAFETY: there is one `Table` at a time, this borrows it, and `lock` has seeded it.
        unsafe { (*self.state.random.get()).assume_init_mut() }
    }

    /// An entry by number; the number is cut to the table.
    pub fn entry(&self, number: u32) -> &'t LargeEntry {
        let number = number as usize & (self.entries - 1);
        // SAFETY: inside the table, which `lock` has mapped; all atomics.
        unsafe { &*pointer::<LargeEntry>(self.at + number * size_of::<LargeEntry>()) }
    }

    fn cell(&self, i: usize) -> &'t AtomicU32 {
        let i = i & (2 * self.entries - 1);
        let index = self.at + self.entries * size_of::<LargeEntry>();
        // SAFETY: inside the index, which `lock` has mapped; all atomics.
        unsafe { &*pointer::<AtomicU32>(index + i * size_of::<u32>()) }
    }

    fn home(&self, start: usize) -> usize {
        // Large objects start at random pages: any odd multiplier spreads them.
        let hash = (start as u64 >> 4).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        (hash >> 32) as usize & (2 * self.entries - 1)
    }

    /// The entry of the object or freed range that starts exactly at `start`.
    pub fn find(&self, start: usize) -> Option<u32> {
        let home = self.home(start);
        for i in home..home + 2 * self.entries {
            let number = self.cell(i).load(Relaxed).checked_sub(1)?;
            if self.entry(number).start.load(Relaxed) == start {
                return Some(number);
            }
        }
        None
    }

    /// The live object that `at` lies in, by looking at all: on the way to an abort only.
    pub fn surrounding(&self, at: usize) -> Option<u32> {
        (0..self.state.used.load(Relaxed)).find(|&number| {
            let entry = self.entry(number);
            let data = entry.data.load(Relaxed);
            entry.state() == EntryState::Live
                && at >= data
                && at - data < entry.data_len.load(Relaxed)
        })
    }

    /// Whether `[at, at + len)` meets a freed range that is not to be used again yet.
    pub fn meets_freed(&self, at: usize, len: usize) -> bool {
        let mut next = self.state.oldest.load(Relaxed);
        while let Some(number) = next.checked_sub(1) {
            let entry = self.entry(number);
            let (map, map_len) = (entry.map.load(Relaxed), entry.map_len.load(Relaxed));
            if at < map + map_len && map < at + len {
                return true;
            }
            next = entry.next.load(Relaxed);
        }
        false
    }

    /// An empty entry, or `None` if the table is full.
    pub fn reserve(&self) -> Option<u32> {
        if let Some(number) = self.state.emptied.load(Relaxed).checked_sub(1) {
            self.state.emptied.store(self.entry(number).next.load(Relaxed), Relaxed);
            return Some(number);
        }
        let number = self.state.used.load(Relaxed);
        if number as usize >= self.entries {
            return None;
        }
        self.state.used.store(number + 1, Relaxed);
        Some(number)
    }

    /// Puts a reserved entry that was not used back.
    pub fn unreserve(&self, number: u32) {
        let entry = self.entry(number);
        entry.word.store(EntryState::Empty as u32, Relaxed);
        entry.next.store(self.state.emptied.load(Relaxed), Relaxed);
        self.state.emptied.store(number + 1, Relaxed);
    }

    /// Makes an entry findable by its start.
    pub fn insert(&self, number: u32) {
        let home = self.home(self.entry(number).start.load(Relaxed));
        // There are twice as many cells as entries, so one is empty.
        for i in home..home + 2 * self.entries {
            if self.cell(i).load(Relaxed) == 0 {
                self.cell(i).store(number + 1, Relaxed);
                return;
            }
        }
    }

    /// Takes an entry out of the index: the cells after it move up, so no marks are left.
    pub fn remove(&self, number: u32) {
        let mask = 2 * self.entries - 1;
        let mut hole = self.home(self.entry(number).start.load(Relaxed));
        for _ in 0..=mask {
            match self.cell(hole).load(Relaxed) {
                0 => return,
                found if found == number + 1 => break,
                _ => hole = (hole + 1) & mask,
            }
        }
        let mut i = hole;
        for _ in 0..=mask {
            i = (i + 1) & mask;
            let Some(moved) = self.cell(i).load(Relaxed).checked_sub(1) else { break };
            let home = self.home(self.entry(moved).start.load(Relaxed));
            // It may move to the hole if its home is not between the hole and its cell.
            if (i.wrapping_sub(home) & mask) >= (i.wrapping_sub(hole) & mask) {
                self.cell(hole).store(moved + 1, Relaxed);
                hole = i;
            }
        }
        self.cell(hole).store(0, Relaxed);
    }

    /// Puts a freed range at the end of the queue.
    pub fn enqueue(&self, number: u32) {
        self.entry(number).next.store(0, Relaxed);
        match self.state.youngest.load(Relaxed).checked_sub(1) {
            Some(last) => self.entry(last).next.store(number + 1, Relaxed),
            None => self.state.oldest.store(number + 1, Relaxed),
        }
        self.state.youngest.store(number + 1, Relaxed);
    }

    /// Takes the oldest freed range off the queue.
    pub fn dequeue(&self) -> Option<u32> {
        let number = self.state.oldest.load(Relaxed).checked_sub(1)?;
        let next = self.entry(number).next.load(Relaxed);
        self.state.oldest.store(next, Relaxed);
        if next == 0 {
            self.state.youngest.store(0, Relaxed);
        }
        Some(number)
    }
}

impl LargeEntry {
    /// What it describes.
    pub fn state(&self) -> EntryState {
        match self.word.load(Relaxed) & 0xff {
            1 => EntryState::Live,
            2 => EntryState::Freed,
            _ => EntryState::Empty,
        }
    }

    /// log2 of the alignment asked for, and the origin, as stored.
    pub fn shape(&self) -> u32 {
        self.word.load(Relaxed) >> 8
    }

    /// Sets state and shape.
    pub fn set(&self, state: EntryState, shape: u32) {
        self.word.store(state as u32 | shape << 8, Relaxed);
    }
}
