//! Layer: heap. All that one thread owns: its bins, its inbox, its random numbers.
//!
//! The owner enters through the gate: it holds the owner's identity while the owner is outside,
//! and 0 while it is inside. So one comparison answers both "is this heap mine?" (a thread-local
//! index may have been overwritten) and "am I in the middle of it?" (a signal handler).

#![expect(unsafe_code, reason = "the gate hands out the random stream, which is not atomic")]

use super::bin::Bin;
use crate::geometry::{MOST_REGIONS, Shape};
use crate::os::{Os, Thread};
use crate::policy::{Policy, Set};
use crate::rng::Stream;
use crate::slab::inbox::Inbox;
use crate::slab::lock::Lock;
use core::cell::UnsafeCell;
use core::mem::MaybeUninit;
use core::sync::atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering, compiler_fence};

use Ordering::{Acquire, Relaxed, Release};

/// Who uses a heap.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Standing {
    /// Not made yet.
    Unused = 0,
    /// A thread's own.
    Owned = 1,
    /// Shared by threads without their own, under its lock.
    Guest = 2,
    /// Its thread has ended; in the pool.
    Abandoned = 3,
    /// Its thread was running when the process forked: never used again in the child.
    Retired = 4,
}

/// See the module.
#[repr(C, align(128))]
pub struct ThreadHeap {
    gate: AtomicUsize,
    owner: AtomicUsize,
    /// Its number in the heap table.
    pub index: AtomicU32,
    standing: AtomicU32,
    /// Slow-path events, the clock of decay.
    pub events: AtomicU32,
    /// The next region to look for memory that has waited for long.
    pub decay: AtomicU32,
    /// Bytes freed ever of slots that share their slabs with others.
    pub freed_shared: AtomicU64,
    /// Those of slots that have slabs to themselves.
    pub freed_single: AtomicU64,
    /// Bytes in quarantine of slots that share their slabs: in snapshots that wait.
    pub quarantined: AtomicU64,
    /// Bytes of slots handed out and not yet queued for reuse.
    pub live: AtomicU64,
    /// The most of those of late.
    pub peak: AtomicU64,
    /// [`freed`](ThreadHeap::freed) when that was last measured anew.
    pub peak_since: AtomicU64,
    random: UnsafeCell<MaybeUninit<Stream>>,
    /// Serialises guests.
    pub lock: Lock,
    /// Looks at it in a row that found it as it was, see `idle`.
    pub idle: AtomicU32,
    /// Where the last of these stopped.
    pub idle_at: AtomicU32,
    /// As what it was found last.
    pub seen: AtomicU64,
    /// [`freed`](ThreadHeap::freed) when the memory of all that waited was last given back.
    pub emptied: AtomicU64,
    /// Groups in which others freed objects. On a line of its own.
    pub inbox: OwnLine,
    bins: [Bin; MOST_REGIONS],
}

/// An inbox on a cache line of its own: others write it.
#[derive(Default)]
#[repr(C, align(128))]
pub struct OwnLine(pub Inbox);

// SAFETY: all fields are atomics, or `Sync` by themselves, but `random`, which only an `Entry`
// gives access to, and there is one `Entry` at a time: the owner's by the gate, a guest's by the
// lock, an adopter's or a borrower's by the pool.
unsafe impl Sync for ThreadHeap {}

/// Proof of being the only one inside a heap. Leaving is dropping it.
#[must_use]
pub struct Entry<'h> {
    /// The heap.
    pub heap: &'h ThreadHeap,
    /// What the gate holds afterwards.
    leave: usize,
}

impl ThreadHeap {
    /// Bytes from one heap of the table to the next.
    pub const STRIDE: usize = size_of::<ThreadHeap>().next_power_of_two();

    /// log2 of it: where a heap's number stands in a thread's word, which so is an offset into the
    /// heap table.
    pub const SHIFT: u32 = Self::STRIDE.trailing_zeros();

    /// A heap of no one.
    #[expect(
        clippy::declare_interior_mutable_const,
        reason = "an initial value, never used in place"
    )]
    pub const EMPTY: ThreadHeap = ThreadHeap {
        gate: AtomicUsize::new(0),
        owner: AtomicUsize::new(0),
        index: AtomicU32::new(0),
        standing: AtomicU32::new(0),
        events: AtomicU32::new(0),
        decay: AtomicU32::new(0),
        freed_shared: AtomicU64::new(0),
        freed_single: AtomicU64::new(0),
        quarantined: AtomicU64::new(0),
        live: AtomicU64::new(0),
        peak: AtomicU64::new(0),
        peak_since: AtomicU64::new(0),
        random: UnsafeCell::new(MaybeUninit::uninit()),
        lock: Lock::EMPTY,
        idle: AtomicU32::new(0),
        idle_at: AtomicU32::new(0),
        seen: AtomicU64::new(0),
        emptied: AtomicU64::new(0),
        inbox: OwnLine(Inbox::EMPTY),
        bins: [const { Bin::EMPTY }; MOST_REGIONS],
    };

    /// Sets up a heap in fresh (zero) memory. Nobody else knows it yet.
    pub fn set_up(&self, index: u32, standing: Standing, stream: Stream) {
        // SAFETY: nobody else has access: the heap's number was not given out.
        unsafe { (*self.random.get()).write(stream) };
        self.index.store(index, Relaxed);
        self.standing.store(standing as u32, Release);
    }

    /// Who uses it.
    pub fn standing(&self) -> Standing {
        match self.standing.load(Acquire) {
            1 => Standing::Owned,
            2 => Standing::Guest,
            3 => Standing::Abandoned,
            4 => Standing::Retired,
            _ => Standing::Unused,
        }
    }

    /// The bin of a region, if there is such a region.
    #[inline(always)]
    pub fn bin(&self, region: usize) -> Option<&Bin> {
        self.bins.get(region)
    }

    /// The bin of a region.
    ///
    /// # Safety
    /// `region` is below [`MOST_REGIONS`].
    #[inline(always)]
    pub unsafe fn bin_unchecked(&self, region: usize) -> &Bin {
        // SAFETY: the caller's.
        unsafe { self.bins.get_unchecked(region) }
    }

    /// Enters as the owner: `None` if it is another's, or the caller is inside already.
    #[inline(always)]
    pub fn enter<P: Policy>(&self, thread: &Thread<'_>) -> Option<Entry<'_>> {
        let gate = self.gate.load(Relaxed);
        let mine = if P::SET.has(Set::OWNER_CHECK) { gate == thread.identity } else { gate != 0 };
        if !mine {
            return None;
        }
        self.gate.store(0, Relaxed);
        // A signal handler of this thread must see the gate closed before anything else changes.
        compiler_fence(Ordering::SeqCst);
        Some(Entry { heap: self, leave: gate })
    }

    /// Looks how much is in use. What was most is forgotten when four times as much was freed.
    pub fn measure_peak(&self) {
        let (live, freed) = (self.live.load(Relaxed), self.freed());
        let peak = self.peak.load(Relaxed);
        let is_old = freed.wrapping_sub(self.peak_since.load(Relaxed)) > peak.saturating_mul(4);
        if live > peak || is_old {
            self.peak.store(live, Relaxed);
            self.peak_since.store(freed, Relaxed);
        }
    }

    /// Bytes of slots freed ever.
    pub fn freed(&self) -> u64 {
        self.freed_shared.load(Relaxed).wrapping_add(self.freed_single.load(Relaxed))
    }

    /// Differs after it was used: a refill, a free.
    pub fn activity(&self) -> u64 {
        self.freed().rotate_left(32) ^ u64::from(self.events.load(Relaxed))
    }

    /// So many slots of this shape were freed.
    #[inline(always)]
    pub fn count_freed(&self, shape: &Shape, slots: u64) {
        let freed = if shape.is_single() { &self.freed_single } else { &self.freed_shared };
        Bin::add(freed, slots * u64::from(shape.slot));
    }

    /// Whether this thread owns the heap, inside or outside.
    pub fn is_owned_by(&self, identity: usize) -> bool {
        self.owner.load(Relaxed) == identity
    }

    /// Whether the owner is inside.
    pub fn is_entered(&self) -> bool {
        self.owner.load(Relaxed) != 0 && self.gate.load(Relaxed) == 0
    }

    /// Makes the thread its owner. The caller took the heap out of the pool or has just made it.
    pub fn give_to(&self, identity: usize) {
        self.idle.store(0, Relaxed);
        self.standing.store(Standing::Owned as u32, Relaxed);
        self.owner.store(identity, Relaxed);
        self.gate.store(identity, Relaxed);
    }

    /// The owner leaves for good. The caller is the owner and outside.
    pub fn abandon(&self) {
        self.gate.store(0, Relaxed);
        self.owner.store(0, Relaxed);
        self.standing.store(Standing::Abandoned as u32, Release);
    }

    /// Child of a fork: the owner is not in this process.
    pub fn retire(&self) {
        self.gate.store(0, Relaxed);
        self.owner.store(0, Relaxed);
        self.standing.store(Standing::Retired as u32, Release);
    }

    /// Enters a heap that the caller has by another right.
    ///
    /// # Safety
    /// The caller holds the heap's lock and it is a guest heap, or has taken it out of the pool,
    /// or is the only thread of a forked child and the heap's owner.
    pub unsafe fn enter_held(&self) -> Entry<'_> {
        Entry { heap: self, leave: self.gate.load(Relaxed) }
    }
}

impl Entry<'_> {
    /// The heap's random numbers.
    #[inline]
    pub fn random(&mut self) -> &mut Stream {
        // SAFETY: there is one `Entry` of a heap at a time (see `Sync`), and this borrows it;
        // `set_up` wrote the stream before the heap could be entered.
        unsafe { (*self.heap.random.get()).assume_init_mut() }
    }

    /// Draws a new seed: what another process may know is worth nothing. False if refused.
    pub fn reseed<O: Os>(&mut self) -> bool {
        match Stream::from_kernel::<O>() {
            Some(stream) => {
                *self.random() = stream;
                true
            }
            None => false,
        }
    }
}

impl Drop for Entry<'_> {
    #[inline(always)]
    fn drop(&mut self) {
        compiler_fence(Ordering::SeqCst);
        self.heap.gate.store(self.leave, Relaxed);
    }
}
