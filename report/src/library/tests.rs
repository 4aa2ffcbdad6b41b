use super::*;

#[test]
fn descriptors_are_digits() {
    assert_eq!(descriptor(b"0"), Some(0));
    assert_eq!(descriptor(b"1023"), Some(1023));
    assert_eq!(descriptor(b"9999999"), Some(9_999_999));
    for bad in [&b""[..], b"-1", b"+3", b" 3", b"3 ", b"0x3", b"10000000", b"3\n", b"\xd9\xa3"] {
        assert_eq!(descriptor(bad), None, "{bad:?}");
    }
}

#[test]
fn long_paths_keep_their_end() {
    assert_eq!(last_bytes(c"/usr/bin/true"), b"/usr/bin/true");
    let mut path = std::vec![b'a'; NAME];
    path.extend(b"end\0");
    let kept = last_bytes(CStr::from_bytes_with_nul(&path).unwrap());
    assert!(kept.len() == NAME && kept.ends_with(b"end"));
}

#[test]
fn drawing_ends_whatever_others_write() {
    let next = AtomicU32::new(0);
    let drawn = draws(&next, 5).inspect(|_| next.store(0, Relaxed)).count();
    assert_eq!(drawn, 5);
}

/// All records are taken, and another process keeps saying that none is.
#[test]
fn a_full_table_is_given_up_whatever_others_write() {
    static OWN: Own = Own {
        place: AtomicU32::new(NONE),
        last: AtomicU64::new(0),
        ticks: AtomicU32::new(0),
        pid: AtomicU32::new(0),
    };
    let table = mapping::open(mapping::create().expect("a file")).expect("a table");
    for record in &table.record {
        record.state.store(State::Running as u32, Relaxed);
    }
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Relaxed) {
                table.header.next.store(0, Relaxed);
                table.header.next_reserved.store(0, Relaxed);
            }
        });
        let channel = Channel { table, own: &OWN };
        assert!(channel.take(Origin::Fork, For::Violation).is_none());
        channel.violation(b"nobody has room for it");
        done.store(true, Relaxed);
    });
    assert_eq!(OWN.place.load(Relaxed), LOST);
    let header = &table.header;
    assert_eq!((header.lost.load(Relaxed), header.lost_violations.load(Relaxed)), (1, 1));
}

#[test]
fn drawing_ends_and_never_wraps() {
    let next = AtomicU32::new(0);
    for expected in 0..5 {
        assert_eq!(draw(&next, 5), Some(expected));
    }
    assert_eq!((draw(&next, 5), draw(&next, 5)), (None, None));
    let hostile = AtomicU32::new(u32::MAX);
    assert_eq!(draw(&hostile, 5), None);
    assert_eq!(hostile.into_inner(), u32::MAX);
}
