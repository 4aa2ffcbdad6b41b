//! The owner looks at the canaries of its live slots while others free some of them. A wiped
//! canary is no damage: whoever sees the wipe also sees, behind an Acquire fence, the claim.

use crate::world::{Met, SHAPE, World, explore};
use casemate::bitmap::{bit, members};
use casemate::slab::group::QUEUED;
use casemate::slab::inbox::Ticket;
use casemate::violation::Kind;
use loom::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed};
use loom::sync::atomic::{AtomicU32, fence};
use loom::thread;
use std::sync::Arc;

/// The canary of every slot; 0 is wiped, anything else damaged.
const CANARY: u32 = 77;

/// A group whose slots' memory is one canary word each, read and written atomically.
struct Words {
    world: Arc<World<1>>,
    words: [AtomicU32; 2],
}

static ABSOLVED: Met = Met::new();

impl Words {
    fn new() -> Arc<Self> {
        let words = Words { world: World::new(&[]), words: Default::default() };
        words.allocate(0);
        words.allocate(1);
        Arc::new(words)
    }

    fn allocate(&self, slot: usize) {
        let group = self.world.clusters[0].group();
        group.begin(slot, SHAPE).unwrap();
        self.words[slot].store(CANARY, Relaxed);
        group.publish(slot);
    }

    /// Owner: every live canary; on mismatch the slot's state decides.
    fn sweep(&self) -> Result<(), Kind> {
        let cluster = &self.world.clusters[0];
        for slot in members(cluster.live()) {
            if self.words[slot].load(Relaxed) != CANARY {
                fence(Acquire);
                if cluster.group().check_owned(slot).is_ok() {
                    return Err(Kind::DamagedNeighbour);
                }
                ABSOLVED.hit();
            }
        }
        Ok(())
    }

    /// Others: looks at the object's own canary, then wipes.
    fn free_remote(&self, slot: usize) {
        let claimed = self.world.clusters[0].group().claim(slot).unwrap();
        assert_eq!(self.words[slot].load(Relaxed), CANARY, "false overflow");
        self.words[slot].store(0, Relaxed);
        self.world.hand_over(0, claimed);
    }
}

/// Another thread frees both slots; the owner sweeps, takes in and reuses what came, sweeps.
fn sweep_beside(name: &str, free: fn(&Words, usize), sweep: fn(&Words) -> Result<(), Kind>) {
    explore(name, None, move || {
        let words = Words::new();
        let other = {
            let words = words.clone();
            thread::spawn(move || [0, 1].map(|slot| free(&words, slot)))
        };
        assert_eq!(sweep(&words), Ok(()), "false alarm");
        let [folded] = words.world.drain().unwrap();
        for slot in members(folded) {
            assert_eq!(words.words[slot].load(Relaxed), 0, "write after free");
            words.allocate(slot);
        }
        assert_eq!(sweep(&words), Ok(()), "false alarm");
        other.join().unwrap();
    });
}

#[test]
fn a_sweep_beside_frees_raises_no_alarm() {
    sweep_beside("sweep beside frees", Words::free_remote, Words::sweep);
    ABSOLVED.assert("a wiped canary seen, and the claim behind it");
}

/// What is damaged and not being freed is found, whatever happens to its neighbour.
#[test]
fn damage_is_found_beside_a_free() {
    explore("damage beside a free", None, || {
        let words = Words::new();
        words.words[1].store(1, Relaxed);
        let other = {
            let words = words.clone();
            thread::spawn(move || words.free_remote(0))
        };
        assert_eq!(words.sweep(), Err(Kind::DamagedNeighbour));
        other.join().unwrap();
    });
}

/// A thread that frees slot 1 looks at its neighbour's canary, which the owner wipes and then
/// clears from `live`, without a claim: however the other looks again, it finds the slot live,
/// unclaimed and unchanged. So others must take a wiped word for no damage.
#[test]
#[should_panic(expected = "false alarm")]
fn control_others_look_at_neighbours() {
    explore("control: neighbour", None, || {
        let words = Words::new();
        let other = {
            let words = words.clone();
            thread::spawn(move || {
                let cluster = &words.world.clusters[0];
                let (own, others, group) = (&cluster.own, &cluster.others, cluster.group());
                let live = own.live.load(Acquire);
                let record = group.record(0).unwrap();
                if live & bit(0) == 0 || words.words[0].load(Relaxed) == CANARY {
                    return;
                }
                fence(Acquire);
                let same = own.live.load(Relaxed) & bit(0) != 0 && group.record(0) == Ok(record);
                assert!(!same || others.claim.load(Relaxed) & bit(0) != 0, "false alarm");
            })
        };
        let group = words.world.clusters[0].group();
        group.check_owned(0).unwrap();
        words.words[0].store(0, Relaxed);
        group.release_owned(0);
        other.join().unwrap();
    });
}

/// The mismatch alone is the accusation.
#[test]
#[should_panic(expected = "false alarm")]
fn control_sweep_without_a_second_look() {
    let sweep = |words: &Words| {
        let mut live = members(words.world.clusters[0].live());
        let good = live.all(|slot| words.words[slot].load(Relaxed) == CANARY);
        if good { Ok(()) } else { Err(Kind::DamagedNeighbour) }
    };
    sweep_beside("control: no second look", Words::free_remote, sweep);
}

/// The second look may see an older `claim` than the wipe.
#[test]
#[should_panic(expected = "false alarm")]
fn control_second_look_without_fence() {
    let sweep = |words: &Words| {
        let cluster = &words.world.clusters[0];
        let mut live = members(cluster.live());
        let bad = live.any(|slot| {
            words.words[slot].load(Relaxed) != CANARY && cluster.group().check_owned(slot).is_ok()
        });
        if bad { Err(Kind::DamagedNeighbour) } else { Ok(()) }
    };
    sweep_beside("control: no acquire fence", Words::free_remote, sweep);
}

/// The claim is not ordered before the wipe: `AcqRel` on it orders only what came earlier.
#[test]
#[should_panic(expected = "false alarm")]
fn control_claim_without_release_fence() {
    let free = |words: &Words, slot: usize| {
        let others = &words.world.clusters[0].others;
        assert_eq!(others.claim.fetch_or(bit(slot), AcqRel) & bit(slot), 0);
        words.words[slot].store(0, Relaxed);
        if others.done.fetch_or(bit(slot) | QUEUED, AcqRel) & QUEUED == 0 {
            words.world.inbox.push(Ticket(1), others);
        }
    };
    sweep_beside("control: no release fence", free, Words::sweep);
}
fn shared(fences: bool) {
    explore("neighbour, shared", None, move || {
        let words = Words::new();
        let other = {
            let words = words.clone();
            thread::spawn(move || {
                let cluster = &words.world.clusters[0];
                let (own, others, group) = (&cluster.own, &cluster.others, cluster.group());
                let state = || {
                    let record = group.record(0).unwrap();
                    if fences {
                        fence(Acquire);
                    }
                    let live = own.live.load(Acquire) & bit(0) != 0;
                    let record = if fences { record } else { group.record(0).unwrap() };
                    let claimed = others.claim.load(Acquire) & bit(0) != 0;
                    (live && !claimed).then_some(record)
                };
                let tail = || {
                    let w = words.words[0].load(Relaxed);
                    fence(Acquire);
                    w
                };
                let Some(record) = state() else { return };
                let expected = CANARY + u32::from(record.generation()) - 1;
                let mut seen = 0;
                for _ in 0..2 {
                    let w = tail();
                    if w == expected || w == 0 || state() != Some(record) {
                        return;
                    }
                    seen = w;
                }
                assert!(!(tail() == seen && state() == Some(record)), "false alarm");
            })
        };
        let group = words.world.clusters[0].group();
        group.check_owned(0).unwrap();
        words.words[0].store(0, Relaxed);
        group.release_owned(0);
        group.fold_in_place().unwrap();
        if fences {
            fence(loom::sync::atomic::Ordering::Release);
        }
        group.begin(0, SHAPE).unwrap();
        if fences {
            fence(loom::sync::atomic::Ordering::Release);
        }
        words.words[0].store(CANARY + 1, Relaxed);
        group.publish(0);
        other.join().unwrap();
    });
}
#[test]
fn shared_now() {
    shared(false)
}
#[test]
fn shared_fences() {
    shared(true)
}
