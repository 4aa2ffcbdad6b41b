//! Layer: faces. What secure memory starts with is mapped, filled in, and entered into the start-up
//! page; and the draw of places for all its mappings.
#![expect(unsafe_code, reason = "writes to a new mapping, and to the start-up page")]

use super::{ENTERED, Fixed, LIVE, READ_ONLY, ROOT, Root, SEALED, closed_at};
use crate::canary::Key;
use crate::os::{Linux, MapError, Os, pointer};
use crate::rng::Stream;
use crate::secure::pages::{ENTRIES, Entry};
use crate::secure::protection::{Protection, on};
use crate::secure::state::State;
use crate::units::round_up;
use core::sync::atomic::Ordering;
use zeroize::Zeroize;

/// Draws places until a reservation of `len` bytes holds.
pub(in crate::secure) fn reserve(
    fixed: (usize, u32),
    stream: &mut Stream,
    len: usize,
    align: usize,
) -> Result<usize, MapError> {
    let (page, bits) = fixed;
    let step = align.max(page);
    // The lowest part holds programs that are not position-independent and what they map low, the
    // highest the stack and libraries.
    let low = 1usize << (bits - 5);
    let high = (1usize << bits) - (1usize << (bits - 4));
    let Some(room) = (high - low).checked_sub(len).and_then(|room| room.checked_sub(step)) else {
        return Err(MapError::Exhausted);
    };
    for attempt in 0..64 {
        let random = stream.below_long::<Linux>(room);
        let at = if on(Protection::RandomPlace) { random } else { attempt << 30 };
        let at = round_up(low + at, step);
        match Linux::reserve(at, len) {
            Ok(()) => return Ok(at),
            Err(MapError::Occupied) => {}
            Err(other) => return Err(other),
        }
    }
    Err(MapError::Exhausted)
}

/// Metadata that nobody knows yet.
pub(super) struct Made {
    pub(super) fixed: Fixed,
    /// Its mapping, with the guards.
    base: usize,
    len: usize,
    /// What of it stays where it is for good, from its start on.
    lasting: usize,
    seals: bool,
}

impl Made {
    /// Another thread was first.
    pub(super) fn undo(self) {
        let _ = Linux::unmap(self.base, self.len);
    }

    /// Enters it into the start-up page, and closes that. For the thread whose generation word
    /// `STATUS` holds.
    pub(super) fn enter(self) {
        if self.seals {
            // What was opened stays where it is for good, and so do the guards in front.
            let _ = Linux::seal(self.base, self.lasting);
        }
        let closes = self.fixed.page <= align_of::<Root>() && on(Protection::Seal);
        // SAFETY: this thread's word is in the status; nobody reads before LIVE.
        let fixed = unsafe {
            ROOT.fixed.get().write(self.fixed);
            &*ROOT.fixed.get()
        };
        fixed.closed().store(ENTERED, Ordering::Release);
        let (at, len) = ((&raw const ROOT).expose_provenance(), size_of::<Root>());
        if closes && Linux::read_only(at, len).is_ok() {
            let sealed = self.seals && Linux::seal(at, len).is_ok();
            fixed.closed().store(if sealed { SEALED } else { READ_ONLY }, Ordering::Relaxed);
        }
        fixed.generation().store(LIVE, Ordering::Release);
    }
}

/// Maps the metadata and fills in what is fixed, for the thread `me`.
pub(super) fn make(me: usize) -> Option<Made> {
    let features = Linux::probe();
    let page = Linux::page_size();
    let bits = Linux::address_bits();
    let mut stream = Stream::from_kernel::<Linux>()?;
    let mut random = [0u8; 80];
    if !Linux::entropy(&mut random) {
        return None;
    }
    let key = Key::new(random, features.aes);
    random.zeroize();

    let guard = |stream: &mut Stream| page * (1 + stream.below::<Linux>(16) as usize);
    let (before, behind) = (guard(&mut stream), guard(&mut stream));
    let state_len = round_up(size_of::<State>(), page);
    let entries_len = round_up(ENTRIES * size_of::<Entry>(), page);
    let index_len = round_up(2 * ENTRIES * size_of::<u32>(), page);
    let fixed_len = 2 * page + state_len;
    let len = before + fixed_len + entries_len + index_len + behind;
    let base = reserve((page, bits), &mut stream, len, page).ok()?;
    let generation = base + before;
    if Linux::open(generation, fixed_len).is_err() {
        let _ = Linux::unmap(base, len);
        return None;
    }
    // Out of core dumps, with the guards; a kernel that cannot is no reason to fail.
    let _ = Linux::no_dump(base, len);
    // Without it, before Linux 4.14, only forks that run handlers are noticed.
    if on(Protection::ForkNotice) {
        let _ = Linux::wipe_on_fork(generation, page);
    }
    let state = generation + 2 * page;
    // SAFETY: zeros are a valid state but for the stream, which is written here, before anybody
    // else can see it.
    unsafe { (&raw mut (*pointer::<State>(state)).stream).write(stream) };
    let fixed = Fixed {
        key,
        page,
        bits,
        wide: features.avx2,
        markers: features.guards,
        closed: closed_at(generation, page),
        generation,
        lock: generation + page,
        state,
        entries: state + state_len,
        index: state + state_len + entries_len,
        metadata: fixed_len,
    };
    fixed.generation().store(me, Ordering::Release);
    let lasting = before + fixed_len;
    Some(Made { fixed, base, len, lasting, seals: features.seal })
}
