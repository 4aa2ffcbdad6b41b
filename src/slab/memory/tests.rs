//! Layer: mechanisms, tests only. What is written behind objects and what of it is watched.

use super::*;
use std::boxed::Box;

#[repr(align(16))]
struct Slot([u8; 160]);

fn words() -> Words {
    Words::from_numbers(0x0123_4567_89ab_cdef | 0x0101_0101_0101_0101, 0x1122_3344_5566_0077)
}

/// The forms for a known slot size do the same.
fn exact(slot: SlotMemory, slack: usize) {
    fn one<const LEN: usize>(slot: SlotMemory, slack: usize) {
        if slot.len == LEN && slack <= MOST_SLACK {
            assert!(slot.is_sealed_exact::<LEN>(MOST_SLACK, slack, words()));
            for i in 0..LEN {
                // SAFETY: inside the buffer.
                let byte = unsafe { &mut *pointer::<u8>(slot.start + i) };
                let old = core::mem::replace(byte, !*byte);
                let sound = slot.is_sealed_exact::<LEN>(MOST_SLACK, slack, words());
                assert_eq!(sound, i < LEN - CANARY - slack, "{LEN} {slack} {i}");
                // SAFETY: as above.
                unsafe { pointer::<u8>(slot.start + i).write(old) };
            }
            slot.wipe(false);
            slot.seal_exact::<LEN>(MOST_SLACK, slack, words());
            assert!(slot.is_sealed(slack, words()));
        }
    }
    one::<16>(slot, slack);
    one::<32>(slot, slack);
    one::<144>(slot, slack);
}

#[test]
fn every_byte_past_the_end_is_watched_and_none_of_the_object() {
    for len in [16usize, 32, 144] {
        for slack in (0..=len - CANARY).step_by(if cfg!(miri) { 9 } else { 1 }) {
            let mut buffer = Box::new(Slot([0; 160]));
            let start = buffer.0.as_mut_ptr().expose_provenance();
            // SAFETY: the buffer is `len` bytes or more, aligned, and only used here.
            let slot = unsafe { SlotMemory::new(start, len) };
            slot.seal(slack, words());
            assert!(slot.is_sealed(slack, words()));
            exact(slot, slack);
            let object = len - CANARY - slack;
            for i in 0..len {
                // SAFETY: inside the buffer.
                let byte = unsafe { &mut *pointer::<u8>(start + i) };
                let old = core::mem::replace(byte, !*byte);
                assert_eq!(slot.is_sealed(slack, words()), i < object, "{len} {slack} {i}");
                // SAFETY: as above.
                unsafe { pointer::<u8>(start + i).write(old) };
            }
            slot.wipe(false);
            assert!(slot.is_zero(false));
        }
    }
}

#[test]
fn a_resealed_slot_is_as_if_sealed_anew() {
    const LEN: usize = 144;
    let step = if cfg!(miri) { 11 } else { 1 };
    for old in (0..=LEN - CANARY).step_by(step) {
        for new in (0..=LEN - CANARY).step_by(step) {
            let mut buffer = Box::new(Slot([0; 160]));
            let start = buffer.0.as_mut_ptr().expose_provenance();
            // SAFETY: the buffer is `LEN` bytes or more, aligned, and only used here.
            let slot = unsafe { SlotMemory::new(start, LEN) };
            // SAFETY: inside the buffer.
            let bytes = unsafe { &mut *pointer::<[u8; LEN]>(start) };
            let size = LEN - CANARY - old;
            bytes[..size].fill(0x55);
            slot.seal(old, words());
            slot.reseal(old, new, Some(words()));
            assert!(slot.is_sealed(new, words()), "{old} {new}");
            let (kept, size) = (size.min(LEN - CANARY - new), LEN - CANARY - new);
            assert!(bytes[..kept].iter().all(|&byte| byte == 0x55), "{old} {new}");
            assert!(bytes[kept..size].iter().all(|&byte| byte == 0), "{old} {new}");
        }
    }
}

#[test]
fn near_the_end_and_at_the_canary_damage_is_seen() {
    const LEN: usize = 1 << 12;
    let mut buffer = Box::new([[0u128; 256]; 1]);
    let start = buffer.as_mut_ptr().expose_provenance();
    // SAFETY: the buffer is `LEN` bytes, aligned to 16, and only used here.
    let slot = unsafe { SlotMemory::new(start, LEN) };
    for (slack, most) in [(3000, 100), (3000, 2900), (3001, 5000), (40, 20), (5, 1)] {
        slot.wipe(false);
        slot.seal(slack, words());
        let end = LEN - CANARY - slack;
        assert!(slot.is_sealed_near(slack, words(), most));
        for i in (end..LEN).step_by(7).chain([end, LEN - 1]) {
            let seen = i + 16 < end + most || i >= LEN - 16;
            let near = i < end + most || i >= LEN - 16;
            // SAFETY: inside the buffer.
            let byte = unsafe { &mut *pointer::<u8>(start + i) };
            *byte = !*byte;
            let sound = slot.is_sealed_near(slack, words(), most);
            assert!(!sound || !seen, "{slack} {most} {i}");
            assert!(sound || near || most + 16 >= slack, "{slack} {most} {i}");
            // SAFETY: as above.
            let byte = unsafe { &mut *pointer::<u8>(start + i) };
            *byte = !*byte;
        }
    }
}
