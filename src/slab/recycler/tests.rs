use super::*;
use crate::os::Linux;
use crate::os::linux::testing::{child, free_range, peek, poke, signal, touch};

const WINDOW: (usize, usize) = (1 << 42, 1 << 44);

fn new() -> Recycler {
    Recycler {
        user: AtomicUsize::new(0),
        closed: AtomicU32::new(0),
        idle: AtomicU32::new(0),
        base: AtomicUsize::new(0),
        lane: [const { AtomicUsize::new(0) }; LANES],
    }
}

/// Whether this is used here at all: a kernel that has markers moves pages.
fn works() -> bool {
    Linux::probe().guards
}

/// Memory that holds something in every page.
fn written(len: usize) -> usize {
    let at = free_range();
    Linux::map(at, len).unwrap();
    (at..at + len).step_by(Linux::page_size()).for_each(|page| poke(page, 0x5a));
    at
}

/// Bytes of `[at, at + len)` that have memory.
fn resident(at: usize, len: usize) -> usize {
    let page = Linux::page_size();
    let mut pages = std::vec![0u8; len / page];
    // SAFETY: one byte a page.
    let status = unsafe { libc::mincore(pointer(at), len, pages.as_mut_ptr()) };
    assert_eq!(status, 0);
    pages.iter().filter(|&&here| here & 1 != 0).count() * page
}

#[test]
fn what_is_put_is_gone_and_comes_back_zero_elsewhere() {
    if !works() {
        return;
    }
    let recycler = new();
    let (from, to) = (written(4 * LEAST), free_range());
    Linux::map(to, 4 * LEAST).unwrap();
    assert!(recycler.put::<Linux>(from, 4 * LEAST, false, WINDOW, false));
    assert_eq!((resident(from, 4 * LEAST), recycler.held()), (0, 4 * LEAST));
    assert!(recycler.verify::<Linux>(false));
    let taken = recycler.take::<Linux>(to, 4 * LEAST, false);
    assert_eq!(taken, Ok(Taken { bytes: 4 * LEAST, pieces: 1, is_zero: true }));
    assert_eq!((resident(to, 4 * LEAST), recycler.held()), (4 * LEAST, 0));
    // Nobody reaches it where it was kept.
    let lane = recycler.base.load(Relaxed);
    assert_eq!(signal(child(|| touch(lane))), libc::SIGSEGV);
}

#[test]
fn one_is_put_together_from_several_and_what_is_left_serves_another() {
    if !works() {
        return;
    }
    let recycler = new();
    for len in [LEAST, 3 * LEAST] {
        assert!(recycler.put::<Linux>(written(len), len, false, WINDOW, false));
    }
    let to = free_range();
    Linux::map(to, 8 * LEAST).unwrap();
    // The one that fits best, of which a part is left.
    let taken = recycler.take::<Linux>(to, 2 * LEAST, false).unwrap();
    assert_eq!((taken.bytes, taken.pieces, recycler.held()), (2 * LEAST, 1, 2 * LEAST));
    let taken = recycler.take::<Linux>(to + 2 * LEAST, 6 * LEAST, false).unwrap();
    assert_eq!((taken.bytes, taken.pieces, recycler.held()), (2 * LEAST, 2, 0));
    assert_eq!(resident(to, 8 * LEAST), 4 * LEAST);
    // Less than is worth a call goes back to the kernel.
    assert!(recycler.put::<Linux>(written(2 * LEAST), 2 * LEAST, false, WINDOW, false));
    let taken = recycler.take::<Linux>(to + 4 * LEAST, 2 * LEAST - Linux::page_size(), false);
    assert_eq!((taken.unwrap().pieces, recycler.held()), (1, 0));
}

/// Its second half is another mapping, which cannot be moved; Linux 6.17 and later move the first.
#[test]
fn what_was_moved_in_part_is_given_back() {
    if !works() || !Linux::probe().seal {
        return;
    }
    // In a child, since what is sealed cannot be removed again.
    let status = child(|| {
        let recycler = new();
        let from = written(2 * LEAST);
        Linux::no_dump(from + LEAST, LEAST).unwrap();
        Linux::seal(from + LEAST, LEAST).unwrap();
        assert!(!recycler.put::<Linux>(from, 2 * LEAST, false, WINDOW, false));
        assert_eq!((recycler.held(), peek(from + LEAST)), (0, 0x5a));
        let (lane, _) = recycler.span().unwrap();
        assert_eq!(resident(lane, 2 * LEAST), 0);
        touch(lane);
    });
    assert_eq!(signal(status), libc::SIGSEGV, "{status}");
}

#[test]
fn what_was_written_to_is_found() {
    if !works() {
        return;
    }
    let recycler = new();
    assert!(recycler.put::<Linux>(written(LEAST), LEAST, false, WINDOW, false));
    poke(recycler.base.load(Relaxed) + LEAST - 1, 1);
    assert!(!recycler.verify::<Linux>(false));
    let to = free_range();
    Linux::map(to, LEAST).unwrap();
    assert!(!recycler.take::<Linux>(to, LEAST, false).unwrap().is_zero);
}

#[test]
fn there_is_an_end_to_what_is_kept() {
    if !works() {
        return;
    }
    let recycler = new();
    assert!(!recycler.put::<Linux>(0, LEAST / 2, true, WINDOW, false));
    assert!(!recycler.put::<Linux>(0, LANE + LEAST, true, WINDOW, false));
    let mut put = 0;
    while recycler.put::<Linux>(written(LEAST), LEAST, true, WINDOW, false) {
        put += 1;
    }
    assert_eq!((put, recycler.held()), (LANES, LANES * LEAST));
    // What nobody wants goes back, range by range.
    for _ in 0..IDLE {
        recycler.age::<Linux>();
    }
    assert_eq!(recycler.held(), (LANES - 1) * LEAST);
    let lane = recycler.base.load(Relaxed);
    assert!(recycler.give_way::<Linux>());
    assert!(!recycler.give_way::<Linux>());
    assert_eq!(recycler.held(), 0);
    assert_eq!(signal(child(|| touch(lane))), libc::SIGSEGV);
    assert!(recycler.put::<Linux>(written(LEAST), LEAST, true, WINDOW, false));
}

#[test]
fn who_finds_it_in_use_does_without() {
    let recycler = new();
    let turn = recycler.turn::<Linux>();
    for _ in 0..2 {
        assert!(recycler.turn::<Linux>().is_none());
        assert!(!recycler.put::<Linux>(written(LEAST), LEAST, false, WINDOW, false));
    }
    assert_eq!(recycler.take::<Linux>(0, LEAST, false), Ok(Taken::NOTHING));
    assert!(recycler.verify::<Linux>(false));
    // As a forked child does: the fork was in a handler that interrupted this very use.
    recycler.reset::<Linux>();
    assert!(recycler.turn::<Linux>().is_none());
    drop(turn);
    // Or another thread of the parent was here.
    std::thread::scope(|scope| {
        scope.spawn(|| core::mem::forget(recycler.turn::<Linux>()));
    });
    assert!(recycler.turn::<Linux>().is_none());
    recycler.reset::<Linux>();
    assert!(recycler.turn::<Linux>().is_some());
}

/// Whoever gets pages gets zeros, and nobody else has them.
#[test]
fn many_at_once() {
    if !works() {
        return;
    }
    let recycler = new();
    std::thread::scope(|scope| {
        for id in 1..=3u8 {
            let recycler = &recycler;
            scope.spawn(move || {
                let (mut from, mut to) = (written(2 * LEAST), free_range());
                Linux::map(to, 2 * LEAST).unwrap();
                let pages = |at| (at..at + 2 * LEAST).step_by(Linux::page_size());
                for _ in 0..300 {
                    recycler.put::<Linux>(from, 2 * LEAST, false, WINDOW, false);
                    recycler.age::<Linux>();
                    assert!(recycler.verify::<Linux>(false));
                    // What was not put still has what was written, or zeros.
                    Linux::discard(from, 2 * LEAST).unwrap();
                    let taken = recycler.take::<Linux>(to, 2 * LEAST, false).unwrap();
                    assert!(taken.is_zero);
                    assert!(pages(to).all(|page| peek(page) == 0));
                    pages(to).for_each(|page| poke(page, id));
                    std::thread::yield_now();
                    assert!(pages(to).all(|page| peek(page) == id));
                    (from, to) = (to, from);
                }
            });
        }
    });
}

/// Whoever is here when it is closed gives everything back on leaving, and nothing is kept again.
#[test]
fn closed_while_in_use_it_is_given_back_afterwards() {
    if !works() {
        return;
    }
    for busy in [false, true] {
        let recycler = new();
        assert!(recycler.put::<Linux>(written(LEAST), LEAST, false, WINDOW, false));
        let (base, len) = recycler.span().unwrap();
        let turn = busy.then(|| recycler.turn::<Linux>().unwrap());
        recycler.close::<Linux>();
        assert_eq!(recycler.span().is_some(), busy);
        drop(turn);
        assert_eq!((recycler.span(), recycler.held()), (None, 0));
        // Nothing is mapped there any more.
        Linux::reserve(base, len).unwrap();
        Linux::unmap(base, len).unwrap();
        assert!(!recycler.put::<Linux>(written(LEAST), LEAST, false, WINDOW, false));
        assert_eq!(recycler.span(), None);
    }
}
