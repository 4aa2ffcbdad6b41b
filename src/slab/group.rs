//! Layer: mechanisms. The states of a group's slots and every transition between them.
//!
//! A group is up to 63 slots of one slab. Its state lies out of line, in two parts, so that the
//! thread that owns the group needs no read-modify-write and threads that free its objects never
//! write to the owner's words. Both parts share a cache line, but for what the fast paths do not
//! need: whoever uses one uses the other, and with two lines each free by another thread moved both
//! (measured: larson-like exchange took a tenth to a third longer):
//!
//! ```text
//! owner's part    live: bitmap              record[]: one word per slot
//! others' part    claim: bitmap   done: bitmap, bit 63 = Q (queued)   next   owner
//!
//!                 live  claim  done
//!   free            0     0     0     handed out by the owner only
//!   allocated       1     0     0
//!   being freed     1     1     0     by another thread, which wipes it now
//!   handed over     1     1     1     wiped; the owner folds it in: back to free
//!   anything else                     a violation
//! ```
//!
//! The order of the remote free is what makes it safe: the slot is claimed before it is wiped,
//! and looked at again after it is claimed, so a second free that was preempted before its claim
//! finds that the object has gone and wipes nothing.

use crate::bitmap::bit;
use crate::record::Record;
use crate::sync::{AtomicU32, AtomicU64, Ordering, fence};
use crate::violation::Kind;

use Ordering::{AcqRel, Acquire, Relaxed, Release};

/// The bit of `done` that says that the group is on its owner's inbox, or about to be.
pub const QUEUED: u64 = 1 << 63;

/// Written by the thread that owns the group, read by all.
#[derive(Default)]
#[repr(C)]
pub struct OwnerPart {
    /// Slots that are handed out.
    pub live: AtomicU64,
    /// Free slots in quarantine: those that were free when `queued_at` was noted.
    pub waiting: AtomicU64,
    /// The bin's count of frees at that time, modulo 2^32.
    pub queued_at: AtomicU32,
    /// Next group in the quarantine queue: its number plus one, 0 at the end.
    pub next: AtomicU32,
    /// What the owner is doing with the group, see the heap's `phase`.
    pub phase: AtomicU32,
    /// Frees until the group is ripe or, while it waits, worth another look; or out of reach.
    pub until: AtomicU32,
    /// Free slots that have waited long enough, while the group is in a list of such.
    pub served: AtomicU64,
}

/// Written by threads that free objects of a group that they do not own.
#[derive(Default)]
#[repr(C)]
pub struct OthersPart {
    /// Slots that some thread is freeing.
    pub claim: AtomicU64,
    /// Slots that are wiped and wait for the owner, and [`QUEUED`].
    pub done: AtomicU64,
    /// Next group on the owner's inbox.
    pub next: AtomicU64,
    /// Index of the owning heap; 0 while the slab belongs to none.
    pub owner: AtomicU32,
}

/// One group's state: its two parts and its slots' records.
#[derive(Clone, Copy)]
pub struct Group<'m> {
    /// The owner's part.
    pub own: &'m OwnerPart,
    /// The others' part.
    pub others: &'m OthersPart,
    /// One record per slot.
    pub records: &'m [AtomicU32],
}

/// Proof that the holder, and nobody else, is freeing this slot of a group it does not own:
/// steps 1 to 3 of the remote free have succeeded.
#[must_use]
pub struct Claimed {
    slot: usize,
    /// The record the object was allocated with.
    pub record: Record,
}

/// The live set of a group, as its owner read it in the operation that is going on.
#[derive(Clone, Copy)]
#[must_use]
pub struct LiveSet(u64);

impl LiveSet {
    /// Whether the slot before this one is live; false for the first.
    #[inline(always)]
    pub fn has_before(self, slot: usize) -> bool {
        (self.0 << 1) >> (slot & 63) & 1 != 0
    }
}

/// Whether a remote free must put the group on its owner's inbox.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Handover {
    /// Push it: this was the first slot since the owner last looked.
    Push,
    /// It is on its way already.
    Queued,
}

impl<'m> Group<'m> {
    #[inline]
    fn word(&self, slot: usize) -> Result<&'m AtomicU32, Kind> {
        self.records.get(slot).ok_or(Kind::Metadata)
    }

    /// The slot's record as it is now.
    #[inline]
    pub fn record(&self, slot: usize) -> Result<Record, Kind> {
        Ok(Record::from_bits(self.word(slot)?.load(Relaxed)))
    }

    /// Owner: takes the slot for an object of this shape. Fails if it is live. The caller then
    /// prepares the slot's memory and calls [`publish`](Group::publish).
    #[inline]
    #[expect(unsafe_code, reason = "checks what the unchecked form needs")]
    pub fn begin(&self, slot: usize, shape: Record) -> Result<Record, Kind> {
        self.word(slot)?;
        // SAFETY: there is a record for the slot.
        unsafe { self.begin_known(slot, shape) }.map(|(record, _)| record).ok_or(Kind::Metadata)
    }

    /// [`begin`](Group::begin) for a slot that is known to be the group's; with the live set, for
    /// [`publish_in`](Group::publish_in).
    ///
    /// # Safety
    /// `slot` is below the number of records.
    #[inline(always)]
    #[expect(unsafe_code, reason = "the fast path knows the slot")]
    pub unsafe fn begin_known(&self, slot: usize, shape: Record) -> Option<(Record, LiveSet)> {
        // SAFETY: the caller's.
        let word = unsafe { self.records.get_unchecked(slot) };
        let live = self.own.live.load(Relaxed);
        if live >> (slot & 63) & 1 != 0 {
            return None;
        }
        let record = Record::from_bits(word.load(Relaxed)).next(shape);
        // Release, before: whoever sees the new record sees that the slot was free in between.
        // Release, after: whoever sees the new canary sees the new record. (A look at the slot
        // below, by a thread that owns neither.) No instruction on x86.
        fence(Release);
        word.store(record.bits(), Relaxed);
        fence(Release);
        Some((record, LiveSet(live)))
    }

    /// [`publish`](Group::publish) with the set that was read when the slot was begun.
    #[inline(always)]
    pub fn publish_in(&self, live: LiveSet, slot: usize) {
        self.own.live.store(live.0 | bit(slot), Release);
    }

    /// Owner: the slot, begun and with its canary written, is live.
    #[inline(always)]
    pub fn publish(&self, slot: usize) {
        let live = self.own.live.load(Relaxed);
        // Release: whoever sees the bit sees the record and the canary.
        self.own.live.store(live | bit(slot), Release);
    }

    /// Owner: the slot is allocated and nobody is freeing it; its record.
    #[inline]
    pub fn check_owned(&self, slot: usize) -> Result<Record, Kind> {
        let record = self.record(slot)?;
        if self.own.live.load(Relaxed) & bit(slot) == 0 {
            return Err(not_live(record));
        }
        if self.others.claim.load(Relaxed) & bit(slot) != 0 {
            return Err(Kind::DoubleFree);
        }
        Ok(record)
    }

    /// Owner: as [`check_owned`](Group::check_owned), without saying what is wrong: the record, and
    /// the live set without the slot, for [`release_to`](Group::release_to).
    ///
    /// # Safety
    /// `slot` is below the number of records.
    #[inline(always)]
    #[expect(unsafe_code, reason = "the fast path has decoded the slot")]
    pub unsafe fn allocated_record(&self, slot: usize) -> Option<(Record, LiveSet)> {
        let live = self.own.live.load(Relaxed);
        if (live & !self.others.claim.load(Relaxed)) >> (slot & 63) & 1 == 0 {
            return None;
        }
        // SAFETY: the caller's.
        let record = unsafe { self.records.get_unchecked(slot) }.load(Relaxed);
        Some((Record::from_bits(record), LiveSet(live)))
    }

    /// Owner: the slot, found good by [`check_owned`](Group::check_owned) and wiped, is free.
    /// Returns the live set that remains.
    ///
    /// Before the slot is handed out again the group must be folded, by a fold that writes
    /// `claim`: it orders a late claim after this store.
    #[inline(always)]
    pub fn release_owned(&self, slot: usize) -> u64 {
        let live = self.own.live.load(Relaxed) & !bit(slot);
        self.own.live.store(live, Release);
        live
    }

    /// [`release_owned`](Group::release_owned) with the set that was read when the slot was
    /// checked. Only the owner writes it, so it is the same still.
    #[inline(always)]
    pub fn release_to(&self, live: LiveSet, slot: usize) {
        self.own.live.store(live.0 & !bit(slot), Release);
    }

    /// Owner: the object stays in its slot with another size.
    #[inline]
    pub fn resize_owned(&self, slot: usize, shape: Record) -> Result<Record, Kind> {
        let word = self.word(slot)?;
        let record = Record::from_bits(word.load(Relaxed)).resized(shape);
        word.store(record.bits(), Relaxed);
        Ok(record)
    }

    /// Others: step 1 alone, for a caller that has something to do before it can claim.
    pub fn check_live(&self, slot: usize) -> Result<(), Kind> {
        let record = self.record(slot)?;
        if self.own.live.load(Acquire) & bit(slot) == 0 {
            return Err(not_live(record));
        }
        Ok(())
    }

    /// Others: steps 1 to 3. From here on the slot is the caller's to read and wipe.
    #[inline]
    pub fn claim(&self, slot: usize) -> Result<Claimed, Kind> {
        let word = self.word(slot)?;
        let before = self.own.live.load(Acquire);
        let record = Record::from_bits(word.load(Relaxed));
        if before & bit(slot) == 0 {
            return Err(not_live(record));
        }
        if self.others.claim.fetch_or(bit(slot), AcqRel) & bit(slot) != 0 {
            return Err(Kind::DoubleFree);
        }
        // Looked at again: the object may have been freed, and its slot handed to a new owner,
        // between the first look and the claim.
        let after = self.own.live.load(Acquire);
        if after & bit(slot) == 0 || word.load(Relaxed) != record.bits() {
            return Err(Kind::RacingFree);
        }
        // Release: whoever sees the slot being wiped sees that it is claimed.
        fence(Release);
        Ok(Claimed { slot, record })
    }

    /// Others: step 5. The slot is wiped; the owner may have it. On [`Handover::Push`] the caller
    /// pushes the group on the owner's inbox and touches nothing of it afterwards.
    #[inline]
    pub fn hand_over(&self, claimed: Claimed) -> Handover {
        let old = self.others.done.fetch_or(bit(claimed.slot) | QUEUED, AcqRel);
        if old & QUEUED == 0 { Handover::Push } else { Handover::Queued }
    }

    /// Owner: takes in what others freed, for a group that comes off the inbox. The caller has
    /// read `next` already: from the swap on the group may be pushed again.
    #[inline]
    pub fn fold_from_inbox(&self) -> Result<u64, Kind> {
        self.fold(self.others.done.swap(0, AcqRel) & !QUEUED)
    }

    /// Owner: the same for a group that may be on the inbox and stays there.
    #[inline]
    pub fn fold_in_place(&self) -> Result<u64, Kind> {
        let done = match self.others.done.load(Acquire) & !QUEUED {
            0 => 0,
            _ => self.others.done.fetch_and(QUEUED, AcqRel) & !QUEUED,
        };
        self.fold(done)
    }

    /// Owner: the same where nothing rests on an empty fold: the group is not taken up yet.
    #[inline]
    pub fn fold_if_any(&self) -> Result<u64, Kind> {
        if self.others.done.load(Relaxed) & !QUEUED == 0 {
            return Ok(0);
        }
        self.fold_in_place()
    }

    /// Clears `done` slots from `live` and `claim`; returns them.
    fn fold(&self, done: u64) -> Result<u64, Kind> {
        let live = self.own.live.load(Relaxed);
        if done & !live != 0 {
            return Err(Kind::RacingFree);
        }
        self.own.live.store(live & !done, Release);
        let claim = self.others.claim.fetch_and(!done, AcqRel);
        if done & !claim != 0 {
            return Err(Kind::Metadata);
        }
        if claim & !done & !live != 0 {
            return Err(Kind::RacingFree);
        }
        Ok(done)
    }

    /// Whether a slot of it was ever handed out, in this or an earlier use of its slab.
    pub fn was_used(&self) -> bool {
        self.records.iter().any(|record| Record::from_bits(record.load(Relaxed)).was_used())
    }

    /// Owner: whether the group can leave its heap: no slot in use, none on its way.
    pub fn is_quiet(&self) -> bool {
        // A read-modify-write, so that a claim which comes later sees the owner's last store to
        // `live` and fails. After a mere load it may still find the slot live, and then wipes it
        // in the heap that has it next.
        self.own.live.load(Relaxed) == 0
            && self.others.claim.fetch_or(0, AcqRel) == 0
            && self.others.done.load(Acquire) == 0
    }
}

/// What a free of a slot that is not live was.
#[inline]
fn not_live(record: Record) -> Kind {
    if record.was_used() { Kind::DoubleFree } else { Kind::ForeignPointer }
}
